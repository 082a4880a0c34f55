/**
 * The folder of a mesh as its objects' home: follows the files and hands every batch to the control plane, one after the other.
 * Knows which objects have arrived there, so that a writer can wait for its own change to come round.
 */
import type { Clock } from '#base/clock.ts';
import type { Diagnostic, SourcePosition } from '#base/diagnostic.ts';
import { type ObjectRef, objectKey } from '#base/object-ref.ts';
import { FilesSource } from '#sources/files.ts';
import type { SourceBatch } from '#sources/object-sink.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Arrival, ObjectFolder } from './object-folder.ts';

const DEFAULT_NAMESPACE = 'default';
/** The source looks at everything again after three seconds, should the system not have told of a change. */
const ARRIVAL_LIMIT_MS = 8000;

/** Reads the folder and follows it. Errors: rejects when it is not there. */
export async function openMeshFolder(
  dir: string,
  controlPlane: ControlPlane,
  clock: Clock,
): Promise<ObjectFolder> {
  const arrived = new Map<string, string>();
  const listeners = new Set<() => void>();
  let diagnostics: readonly Diagnostic[] = [];
  let last: Promise<void> = Promise.resolve();
  const take = async (batch: SourceBatch): Promise<void> => {
    await controlPlane.apply(batch);
    for (const ref of batch.remove) arrived.delete(objectKey(ref));
    for (const object of batch.set) arrived.set(objectKey(object), object.hash);
    for (const listener of listeners) listener();
  };
  const sink = {
    apply(batch: SourceBatch): void {
      diagnostics = batch.diagnostics;
      last = last.then(() => take(batch));
    },
  };
  const source = new FilesSource({ folder: dir, sink, clock, defaultNamespace: DEFAULT_NAMESPACE });
  try {
    await source.start();
    await last;
  } catch (error) {
    source[Symbol.dispose]();
    throw error;
  }
  return {
    locate: (ref) => locate(source, ref),
    diagnostics: () => diagnostics,
    arrival: (expected) => waitFor(expected, arrived, listeners, clock),
    async [Symbol.asyncDispose](): Promise<void> {
      source[Symbol.dispose]();
      await last;
    },
  };
}

function locate(source: FilesSource, ref: ObjectRef): SourcePosition | undefined {
  const origin = source.originOf(ref);
  if (origin === undefined) return undefined;
  return source.positionOf(ref, '') ?? { file: origin.file, line: 1, column: 1 };
}

/** Resolves when all is as expected. Errors: rejects when it does not come about in time. */
function waitFor(
  expected: readonly Arrival[],
  arrived: ReadonlyMap<string, string>,
  listeners: Set<() => void>,
  clock: Clock,
): Promise<void> {
  const missing = (): Arrival | undefined =>
    expected.find(({ ref, hash }) => arrived.get(objectKey(ref)) !== hash);
  return new Promise((resolve, reject) => {
    const look = (): void => {
      if (missing() === undefined) end(resolve);
    };
    const limit = clock.schedule(ARRIVAL_LIMIT_MS, () => {
      const ref = missing()?.ref;
      const what = ref === undefined ? 'the change' : objectKey(ref);
      end(() => reject(new Error(`${what} is written, but has not been taken up from its file`)));
    });
    function end(settle: () => void): void {
      limit[Symbol.dispose]();
      listeners.delete(look);
      settle();
    }
    listeners.add(look);
    look();
  });
}

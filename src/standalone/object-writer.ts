/**
 * apply and delete: changes objects in the files of the mesh's folder, so that the folder stays the whole truth. Everything is checked
 * before anything is written; when it returns, the control plane has the change.
 */
import { join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { hasErrors } from '#base/diagnostic-catalog.ts';
import { type ObjectRef, objectKey } from '#base/object-ref.ts';
import type {
  ApplyAction,
  ApplyAnswer,
  ApplyRequest,
  DeleteRequest,
  HeldBackStatus,
  ObjectSource,
  PrintedObject,
} from '#doors/control-protocol.ts';
import type { ControlPlane } from './control-plane.ts';
import { ControlRefusal } from './control-door.ts';
import { FileEdits, withNamespace } from './file-edits.ts';
import { readTextFile, writeTextFiles } from './file-writer.ts';
import type { Arrival, ObjectFolder } from './object-folder.ts';
import { placeIn, type ReadObject, readObjects } from './object-reader.ts';
import { printWithStatus } from './object-status.ts';
import { explainSystemError } from './system-error.ts';

export interface ObjectWriterOptions {
  readonly dir: string;
  readonly folder: ObjectFolder;
  readonly controlPlane: ControlPlane;
  readonly clock: Clock;
}

type Changed = ObjectRef & { readonly action: ApplyAction };

const DEFAULT_NAMESPACE = 'default';

export class ObjectWriter {
  readonly #options: ObjectWriterOptions;
  /** Changes are made one after the other: each plans on what the one before has written. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ObjectWriterOptions) {
    this.#options = options;
  }

  apply(request: ApplyRequest): Promise<ApplyAnswer> {
    return this.#inTurn(() => this.#apply(request));
  }

  remove(request: DeleteRequest): Promise<ApplyAnswer> {
    return this.#inTurn(() => this.#remove(request));
  }

  /** Objects as Kubernetes prints them. */
  objects(kind: string | undefined): readonly PrintedObject[] {
    const { controlPlane } = this.#options;
    return printWithStatus(controlPlane.objects(kind), controlPlane);
  }

  /** An object's own text in its file; undefined when no file has it. */
  source(ref: ObjectRef): ObjectSource | undefined {
    const at = this.#options.folder.locate(ref);
    const found = at === undefined ? undefined : new FileEdits(readTextFile).find(at.file, ref);
    return at === undefined || found === undefined ? undefined : { ref, file: at.file, ...found };
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#last.then(run);
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #apply(request: ApplyRequest): Promise<ApplyAnswer> {
    const { objects, diagnostics } = readObjects(request.files, request.namespace);
    if (hasErrors(diagnostics)) return refused(diagnostics);
    const known = this.#known();
    const changed = objects.map(({ object }): Changed => {
      const { kind, namespace, name, hash } = object;
      const before = known.get(objectKey(object));
      const action = before === undefined ? 'created' : before === hash ? 'unchanged' : 'configured';
      return { kind, namespace, name, action };
    });
    if (request.dryRun) return accepted(changed, diagnostics);
    const edits = new FileEdits(readTextFile);
    for (const [index, one] of objects.entries()) {
      if (changed[index]?.action !== 'unchanged') this.#put(edits, one, request.namespace);
    }
    const refs = changed.filter(({ action }) => action !== 'unchanged');
    const hashes = new Map(objects.map(({ object }) => [objectKey(object), object.hash]));
    await this.#write(
      edits,
      refs.map((ref) => ({ ref, hash: hashes.get(objectKey(ref)) ?? '' })),
    );
    const warnings = this.#warnings(objects);
    return this.#afterwards(accepted(changed, [...diagnostics, ...warnings]), refs, request);
  }

  /** References that lead nowhere, placed in what the user wrote. */
  #warnings(objects: readonly ReadObject[]): readonly Diagnostic[] {
    const byKey = new Map(objects.map((one) => [objectKey(one.object), one]));
    const refs = objects.map(({ object: { kind, namespace, name } }) => ({ kind, namespace, name }));
    return this.#options.controlPlane.warnings(refs).map((warning) => {
      const one = warning.resource === undefined ? undefined : byKey.get(objectKey(warning.resource));
      return one === undefined ? warning : placeIn(one, warning);
    });
  }

  #put(edits: FileEdits, { object, content }: ReadObject, namespace: string): void {
    const { dir, folder } = this.#options;
    const at = folder.locate(object);
    const folderName = object.namespace === '' ? 'cluster' : object.namespace;
    const file = at?.file ?? join(dir, folderName, `${object.kind.toLowerCase()}-${object.name}.yaml`);
    const isElsewhere = object.namespace !== '' && object.namespace !== DEFAULT_NAMESPACE;
    const text = isElsewhere && object.namespace === namespace ? withNamespace(content, namespace) : content;
    edits.put(file, object, text);
  }

  async #remove(request: DeleteRequest): Promise<ApplyAnswer> {
    const read = readObjects(request.files, request.namespace);
    if (hasErrors(read.diagnostics)) return refused(read.diagnostics);
    const refs = [...request.refs, ...read.objects.map(({ object }) => object)];
    const edits = new FileEdits(readTextFile);
    const changed: Changed[] = [];
    for (const { kind, namespace, name } of refs) {
      const at = this.#options.folder.locate({ kind, namespace, name });
      if (at !== undefined && edits.remove(at.file, { kind, namespace, name })) {
        changed.push({ kind, namespace, name, action: 'deleted' });
      } else if (!request.ignoreNotFound) {
        throw new ControlRefusal(404, `${kind} "${name}" not found in namespace "${namespace}"`);
      }
    }
    await this.#write(
      edits,
      changed.map((ref) => ({ ref })),
    );
    return this.#afterwards(accepted(changed, []), changed, request);
  }

  async #write(edits: FileEdits, expected: readonly Arrival[]): Promise<void> {
    try {
      writeTextFiles(edits.changes);
    } catch (error) {
      throw new Error(`nothing was changed: ${explainSystemError(error)}`);
    }
    await this.#options.folder.arrival(expected);
  }

  /** Waits for the proxies when asked to, and tells which of the objects Envoy refused. */
  async #afterwards(
    answer: ApplyAnswer,
    refs: readonly ObjectRef[],
    { wait, timeoutMs }: Pick<ApplyRequest, 'wait' | 'timeoutMs'>,
  ): Promise<ApplyAnswer> {
    const { controlPlane } = this.#options;
    const pending = wait && refs.length > 0 ? (await controlPlane.waitForProxies(timeoutMs)).pending : [];
    const keys = new Set(refs.map(objectKey));
    const heldBack: readonly HeldBackStatus[] = controlPlane
      .heldBack()
      .filter((one) => keys.has(objectKey(one)));
    return { ...answer, pending, heldBack };
  }

  #known(): ReadonlyMap<string, string> {
    return new Map(this.#options.controlPlane.objects().map((object) => [objectKey(object), object.hash]));
  }
}

function refused(diagnostics: readonly Diagnostic[]): ApplyAnswer {
  return { accepted: false, objects: [], diagnostics, pending: [], heldBack: [] };
}

function accepted(objects: readonly Changed[], diagnostics: readonly Diagnostic[]): ApplyAnswer {
  return { accepted: true, objects, diagnostics, pending: [], heldBack: [] };
}

/** What writers need of the folder that a mesh's objects stand in; mesh-folder.ts follows a real one. */
import type { Diagnostic, SourcePosition } from '#base/diagnostic.ts';
import type { ObjectRef } from '#base/object-ref.ts';

/** An object as it should be in the control plane; without a hash it should be gone. */
export interface Arrival {
  readonly ref: ObjectRef;
  readonly hash?: string;
}

export interface ObjectFolder extends AsyncDisposable {
  /** Where an object stands; undefined when no file of the folder has it. */
  locate(ref: ObjectRef): SourcePosition | undefined;
  /** Problems of the files as they stand now. */
  diagnostics(): readonly Diagnostic[];
  /** Resolves when changes just written have come through to the control plane. Errors: rejects when they do not in time. */
  arrival(expected: readonly Arrival[]): Promise<void>;
}

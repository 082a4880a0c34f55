/** What the mesh on one machine needs of the folder that its objects stand in; sources/ reads it, see mesh-folder.ts. */
import type { Diagnostic, SourcePosition } from '#base/diagnostic.ts';
import type { ObjectRef } from '#base/object-ref.ts';

export interface ObjectFolder extends AsyncDisposable {
  /** Where an object stands; undefined when no file of the folder has it. */
  locate(ref: ObjectRef): SourcePosition | undefined;
  /** Problems of the files as they stand now. */
  diagnostics(): readonly Diagnostic[];
  /** Reads what has changed; the control plane has it when this resolves. */
  rescan(): Promise<void>;
}

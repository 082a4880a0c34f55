/**
 * Where sources deliver: one batch at a time, each a transaction. The composition root connects a sink to
 * ObjectCollections and to whoever shows findings; the same sink serves files, memory and Kubernetes.
 */
import type { ObjectBatch } from '#api/object-collections.ts';
import type { Diagnostic } from '#base/diagnostic.ts';

/** What changed, and what there is to say about the source now. */
export interface SourceBatch extends ObjectBatch {
  /** All findings of the source as they stand after the batch, not only new ones. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Takes batches. An object is in `set` only when it is new or differs, in `remove` only when it was there. */
export interface ObjectSink {
  apply(batch: SourceBatch): void;
}

/** Where an object was written. */
export interface ObjectOrigin {
  readonly file: string;
  /** Number of the document in the file, from 0, empty documents not counted. */
  readonly documentIndex: number;
  /** Path of the object within its document: '' or `items[3]` of a List. */
  readonly pathPrefix: string;
}

/**
 * Why a generated thing looks as it does (law 7): the object, and where known the field, that shaped it.
 * Causes travel beside resources, never inside a builder's input, so that a change of causes alone sends nothing.
 */
import type { ObjectRef } from './object-ref.ts';

/** One object that shaped a generated resource; `path` is the field path, '' for the whole object. */
export interface Cause extends ObjectRef {
  readonly path: string;
}

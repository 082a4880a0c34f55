/**
 * Reading the graph from outside of a derivation, for questions that somebody asks now and then: the functions that
 * derivations use, over the last finished epoch. Records nothing, so it must not be kept in a derivation.
 */
import type { Fetch } from './collection.ts';

/** Sees the last finished epoch; what changes afterwards is not told. */
export const READ_NOW: Fetch = {
  get: (collection, key) => collection.get(key),
  bucket: (index, bucket) => index.bucket(bucket),
  all: (collection) => collection.all(),
};

/**
 * Addresses of host names that the control plane itself has to know, as DNS has them: a source collection, keyed by the name as
 * it is wanted. A controller looks up what is wanted; nothing in the model waits for it.
 */

/** What is known of a name; absent: not looked up yet. */
export interface ResolvedName {
  /** Sorted, both families; empty where DNS has none, or never answered. */
  readonly addresses: readonly string[];
}

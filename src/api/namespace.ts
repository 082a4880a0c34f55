/**
 * Kubernetes Namespace: only labels and annotations matter.
 */

/** Nothing of a namespace's spec is read. */
export interface NamespaceSpec {
  readonly [field: string]: never;
}

/** Nothing of a Namespace but its metadata is read. */
export function decodeNamespaceSpec(): NamespaceSpec {
  return {};
}

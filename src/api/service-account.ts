/**
 * Kubernetes ServiceAccount: its name is an identity; nothing else of it is read.
 */

/** Nothing of a service account's fields is read. */
export interface ServiceAccountSpec {
  readonly [field: string]: never;
}

/** Nothing of a ServiceAccount but its metadata is read. */
export function decodeServiceAccountSpec(): ServiceAccountSpec {
  return {};
}

/**
 * Names one Kubernetes-shaped object. Used wherever a thing points back at what a user wrote:
 * diagnostics, causes, verdicts. Values are plain strings, so a ref is safe to log and to compare.
 */

/** Kind, namespace ('' for cluster-scoped kinds) and name of an object. */
export interface ObjectRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** The ref as one string, `Kind/namespace/name`; unique, and ordered by kind first. */
export function objectKey(ref: ObjectRef): string {
  return `${ref.kind}/${ref.namespace}/${ref.name}`;
}

/** The ref as a person writes it: `Kind namespace/name`, without the namespace for cluster-scoped kinds. */
export function printObjectRef(ref: ObjectRef): string {
  return ref.namespace === '' ? `${ref.kind} ${ref.name}` : `${ref.kind} ${ref.namespace}/${ref.name}`;
}

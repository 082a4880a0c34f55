/** Names of resources and objects as the API server's paths and answers have them. */

/** One resource in one version. */
export interface ApiResource {
  /** '' for core. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  /** Filter on fields that the server applies; '' for none. */
  readonly fieldSelector: string;
  /** The objects of this namespace only. */
  readonly namespace?: string;
}

/** An object as it came, nothing checked but that it has a name. */
export interface KubeObject {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

/** Path of all objects of a resource, in its namespace or in all. */
export function resourcePath({
  group,
  version,
  plural,
  namespace,
}: Omit<ApiResource, 'fieldSelector'>): string {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  return namespace === undefined ? `${root}/${plural}` : `${root}/namespaces/${namespace}/${plural}`;
}

/** `plural.group`, as permissions and CRDs name a resource. */
export function resourceName({ group, plural }: Pick<ApiResource, 'group' | 'plural'>): string {
  return group === '' ? plural : `${plural}.${group}`;
}

/** `namespace/name`, `/name` without a namespace. */
export function nameKey(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

/** True for what can be used as an object. */
export function isKubeObject(value: unknown): value is KubeObject {
  const metadata = (value as { readonly metadata?: unknown } | null | undefined)?.metadata as
    | Readonly<Record<string, unknown>>
    | null
    | undefined;
  if (typeof metadata !== 'object' || metadata === null) return false;
  const { name, namespace } = metadata;
  return (
    typeof name === 'string' && name !== '' && (namespace === undefined || typeof namespace === 'string')
  );
}

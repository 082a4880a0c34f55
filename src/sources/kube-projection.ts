/**
 * What we keep of an object from an API server, cut out before it is decoded: managedFields, the last applied
 * configuration, status and fields that no derivation reads never cost more than the JSON parser did.
 */
import type { KindInfo } from '#api/kind-registry.ts';
import type { ApiResource, KubeObject } from '#kube/api-resource.ts';

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
/** Read by Pod (owner, deletion, uid) besides what every kind has. */
const METADATA: readonly string[] = [
  'name',
  'namespace',
  'labels',
  'creationTimestamp',
  'ownerReferences',
  'deletionTimestamp',
  'uid',
];
/** Root fields by kind; every other kind keeps its spec. */
const ROOT_FIELDS: ReadonlyMap<string, readonly string[]> = new Map([
  ['Service', ['spec', 'status']],
  ['ServiceEntry', ['spec', 'status']],
  ['WorkloadEntry', ['spec', 'status']],
  ['Pod', ['spec', 'status']],
  ['Node', ['status']],
  ['EndpointSlice', ['addressType', 'endpoints', 'ports']],
  ['Endpoints', ['subsets']],
  ['Namespace', []],
  ['ServiceAccount', []],
  ['Secret', ['type', 'data']],
  ['ConfigMap', ['data', 'binaryData']],
]);
const DEFAULT_FIELDS: readonly string[] = ['spec'];

/**
 * Objects that no mesh reads, left out by the server: Helm's releases, tokens of service accounts, the key of the mesh's own
 * root, the root certificates that are copied into every namespace, pods that have failed (as Istio does).
 */
const FIELD_SELECTORS: ReadonlyMap<string, string> = new Map([
  ['Secret', 'type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,type!=istio.io/ca-root'],
  ['ConfigMap', 'metadata.name!=kube-root-ca.crt,metadata.name!=istio-ca-root-cert'],
  ['Pod', 'status.phase!=Failed'],
]);

/** The resource to follow for a kind in one of its versions. */
export function resourceOf(info: KindInfo, version: string): ApiResource {
  const { group, plural } = info;
  return { group, version, plural, fieldSelector: FIELD_SELECTORS.get(info.kind) ?? '' };
}

/** The object without what we do not read; lists leave kind and apiVersion of their items out, so they are put back. */
export function project(
  object: KubeObject,
  info: KindInfo,
  version: string,
): Readonly<Record<string, unknown>> {
  const kept: Record<string, unknown> = {
    apiVersion: info.group === '' ? version : `${info.group}/${version}`,
    kind: info.kind,
    metadata: projectMetadata(object.metadata),
  };
  for (const field of ROOT_FIELDS.get(info.kind) ?? DEFAULT_FIELDS) {
    const value = object[field];
    if (value !== undefined && value !== null) kept[field] = value;
  }
  return kept;
}

function projectMetadata(metadata: KubeObject['metadata']): Readonly<Record<string, unknown>> {
  const kept: Record<string, unknown> = {};
  for (const field of METADATA) if (metadata[field] !== undefined) kept[field] = metadata[field];
  const annotations = metadata['annotations'];
  if (typeof annotations !== 'object' || annotations === null) return kept;
  const { [LAST_APPLIED]: _copy, ...rest } = annotations as Readonly<Record<string, unknown>>;
  return { ...kept, annotations: rest };
}

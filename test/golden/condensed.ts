/**
 * Resources as goldens show them: keys sorted, and what is the same in all of them as one word. A form is condensed
 * only where it is exactly that form; the filters of telemetry have goldens of their own beside their code.
 */
import { isDeepStrictEqual } from 'node:util';
import type { JsonValue } from '@bufbuild/protobuf';

const ADS = { ads: {}, initialFetchTimeout: '0s', resourceApiVersion: 'V3' };
const SDS = {
  apiConfigSource: {
    apiType: 'GRPC',
    grpcServices: [{ envoyGrpc: { clusterName: 'sds-grpc' } }],
    setNodeOnFirstMessageOnly: true,
    transportApiVersion: 'V3',
  },
  initialFetchTimeout: '0s',
  resourceApiVersion: 'V3',
};
const MAX = 4294967295;
const UNLIMITED = { maxConnections: MAX, maxPendingRequests: MAX, maxRequests: MAX, maxRetries: MAX };

const CIPHERS = [
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-GCM-SHA256',
];
const REQUEST_ID = {
  typedConfig: {
    '@type': 'type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig',
    useRequestIdForTraceSampling: true,
  },
};
const variable = (tag: string, name: string, defaultValue: string): JsonValue => ({
  tag,
  environment: { name, defaultValue },
});
const policyTag = (tag: string, key: string): JsonValue => ({
  tag,
  metadata: { kind: { request: {} }, metadataKey: { key: 'envoy.filters.http.rbac', path: [{ key }] } },
});
/** In the order of their names. */
const PROXY_TAGS: readonly JsonValue[] = [
  policyTag(
    'istio.authorization.dry_run.allow_policy.name',
    'istio_dry_run_allow_shadow_effective_policy_id',
  ),
  policyTag('istio.authorization.dry_run.allow_policy.result', 'istio_dry_run_allow_shadow_engine_result'),
  policyTag('istio.authorization.dry_run.deny_policy.name', 'istio_dry_run_deny_shadow_effective_policy_id'),
  policyTag('istio.authorization.dry_run.deny_policy.result', 'istio_dry_run_deny_shadow_engine_result'),
  variable('istio.canonical_revision', 'LATEEN_CANONICAL_REVISION', 'latest'),
  variable('istio.canonical_service', 'LATEEN_CANONICAL_SERVICE', 'unknown'),
  variable('istio.cluster_id', 'LATEEN_CLUSTER', 'unknown'),
  variable('istio.mesh_id', 'LATEEN_MESH_ID', 'unknown'),
  variable('istio.namespace', 'LATEEN_NAMESPACE', 'default'),
];
const ALL = { value: 100 };
/** What mesh config says of tracing where it says nothing. */
const TRACING: JsonValue = {
  clientSampling: ALL,
  randomSampling: { value: 1 },
  overallSampling: ALL,
  customTags: [...PROXY_TAGS],
};
const INBOUND_LIMITS = { grpcTimeoutHeaderMax: '0s', maxStreamDuration: '0s' };

const FORMS: readonly (readonly [JsonValue, string])[] = [
  [ADS, '(ads)'],
  [SDS, '(sds-grpc)'],
  [UNLIMITED, '(unlimited)'],
  [CIPHERS, '(mesh ciphers)'],
  [REQUEST_ID, '(uuid)'],
  [INBOUND_LIMITS, '(unlimited)'],
  [TRACING, '(1 %)'],
  ...PROXY_TAGS.map((tag): [JsonValue, string] => [tag, `(${(tag as { readonly tag: string }).tag})`]),
  [[{ upgradeType: 'websocket' }], '(websocket)'],
];
const TYPE_PREFIX = 'type.googleapis.com/';

/** The condensed form of a value. */
export function condensed(value: JsonValue): JsonValue {
  if (typeof value === 'string' && value.startsWith(TYPE_PREFIX)) return value.slice(TYPE_PREFIX.length);
  if (typeof value !== 'object' || value === null) return value;
  const form = FORMS.find(([one]) => isDeepStrictEqual(one, value));
  if (form !== undefined) return form[1];
  if (Array.isArray(value)) return value.map(condensed);
  const { name, typedConfig } = value;
  if (typeof name === 'string' && typedConfig !== undefined) {
    if (isTelemetry(name)) return `(${name})`;
    if (Object.keys(typedConfig as object).length === 1 && Object.keys(value).length === 2) return name;
  }
  const fields = Object.keys(value).sort();
  return Object.fromEntries(fields.map((field) => [field, condensed(value[field] as JsonValue)]));
}

/** Filters and loggers that only count, or only carry the labels of peers. */
function isTelemetry(name: string): boolean {
  return (
    name === 'envoy.access_loggers.stats' ||
    name === 'envoy.filters.http.grpc_stats' ||
    name.startsWith('lateen.')
  );
}

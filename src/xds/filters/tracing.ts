/**
 * The tracing part of an HTTP connection manager: how many requests are traced, with which tags, and who takes the spans (tracers.ts).
 * Where no tracer is named Envoy takes that of its bootstrap, and without one sends nothing.
 * Source: istio pilot/pkg/networking/core/tracing.go; Envoy HttpConnectionManager.Tracing.
 */
import { compareBytes } from '#base/bytes-order.ts';
import type { HttpConnectionManager_TracingSchema } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { CustomTagSchema } from '#proto/envoy/type/tracing/v3/custom_tag_pb.ts';
import type { ProxyTags, SpanTag, Tracing } from '#scope/tracing.ts';
import type { InitOf } from '#xds/message-init.ts';
import { outboundClusterName } from '#xds/names.ts';
import { buildTracer, collectorsOf } from './tracers.ts';

type TagInit = InitOf<typeof CustomTagSchema>;

/** Variables of Envoy's process that our agent sets, and what Istio says where a proxy does not know. */
const PROXY_VARIABLES: Readonly<Record<keyof ProxyTags, readonly [variable: string, fallback: string]>> = {
  canonicalRevision: ['LATEEN_CANONICAL_REVISION', 'latest'],
  canonicalService: ['LATEEN_CANONICAL_SERVICE', 'unknown'],
  meshId: ['LATEEN_MESH_ID', 'unknown'],
  namespace: ['LATEEN_NAMESPACE', 'default'],
  clusterId: ['LATEEN_CLUSTER', 'unknown'],
};
const PROXY_TAGS: readonly (readonly [tag: string, fact: keyof ProxyTags])[] = [
  ['istio.canonical_revision', 'canonicalRevision'],
  ['istio.canonical_service', 'canonicalService'],
  ['istio.mesh_id', 'meshId'],
  ['istio.namespace', 'namespace'],
  ['istio.cluster_id', 'clusterId'],
];
/** What policies in dry run would have done; tags without a value are not sent. */
const POLICY_TAGS: readonly TagInit[] = ['allow', 'deny'].flatMap((action) => [
  policyTag(`istio.authorization.dry_run.${action}_policy.name`, `${action}_shadow_effective_policy_id`),
  policyTag(`istio.authorization.dry_run.${action}_policy.result`, `${action}_shadow_engine_result`),
]);

/** The tracing of one connection manager. A gateway begins a span of its own for each call that it makes. */
export function buildTracing(
  tracing: Tracing,
  direction: 'inbound' | 'outbound' | 'gateway',
): InitOf<typeof HttpConnectionManager_TracingSchema> {
  const { tracer, sampling, maxPathTagLength } = tracing;
  const makesSpans = tracer?.kind === 'skywalking' || direction === 'gateway';
  return {
    clientSampling: { value: 100 },
    randomSampling: { value: sampling },
    overallSampling: { value: 100 },
    customTags: tagsOf(tracing),
    ...(maxPathTagLength === 0 ? {} : { maxPathTagLength }),
    ...(tracer === undefined ? {} : { provider: buildTracer(tracer, tracing) }),
    ...(tracer !== undefined && makesSpans ? { spawnUpstreamSpan: true } : {}),
  };
}

/** Names of the clusters that must be at the proxy before a listener that traces so. */
export function tracingReferences(tracing: Tracing | undefined): readonly string[] {
  if (tracing?.tracer === undefined) return [];
  return collectorsOf(tracing.tracer).map(({ hostname, port }) => outboundClusterName(port, '', hostname));
}

function tagsOf({ isTagged, proxy, customTags }: Tracing): TagInit[] {
  const standard = isTagged ? [...PROXY_TAGS.map((entry) => proxyTag(entry, proxy)), ...POLICY_TAGS] : [];
  return [...standard, ...customTags.map(customTag)].sort((a, b) => compareBytes(a.tag ?? '', b.tag ?? ''));
}

function proxyTag(
  [tag, fact]: readonly [tag: string, fact: keyof ProxyTags],
  proxy: Tracing['proxy'],
): TagInit {
  if (proxy !== 'environment') return { tag, type: { case: 'literal', value: { value: proxy[fact] } } };
  const [name, defaultValue] = PROXY_VARIABLES[fact];
  return { tag, type: { case: 'environment', value: { name, defaultValue } } };
}

function customTag(custom: SpanTag): TagInit {
  const { tag } = custom;
  if (custom.from === 'literal') return { tag, type: { case: 'literal', value: { value: custom.value } } };
  const value = { name: custom.name, defaultValue: custom.fallback };
  return { tag, type: { case: custom.from === 'header' ? 'requestHeader' : 'environment', value } };
}

function policyTag(tag: string, key: string): TagInit {
  return {
    tag,
    type: {
      case: 'metadata',
      value: {
        kind: { kind: { case: 'request', value: {} } },
        metadataKey: {
          key: 'envoy.filters.http.rbac',
          path: [{ segment: { case: 'key', value: `istio_dry_run_${key}` } }],
        },
      },
    },
  };
}

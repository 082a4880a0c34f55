/**
 * How a proxy traces requests, as one plain record: out of mesh config, the proxy's own ProxyConfig, and what tells it from others.
 * Who sends a span is said by tags. Proxies of our own agent find the values in Envoy's environment, so that their listeners
 * are the same for all; others get them as texts, as Istio writes them. Pure; costs a walk over the settings.
 * Source: istio pilot/pkg/networking/core/tracing.go configureTracing, pilot/pkg/model/telemetry.go Tracing.
 */
import { sortedBy } from '#base/bytes-order.ts';
import type { Collection, Fetch } from '#collections/collection.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import type { MeshFlags } from '#model/mesh-flags.ts';
import type { Proxy } from '#model/proxy.ts';
import { HEADER_NAME, type Tracer, type TracerResolution, tracerKey } from '#model/tracing.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { ProxyConfigJson, Tracing_CustomTagJson } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';
import type { ListenerFacts } from './listener-facts.ts';
import type { OutboundHost } from './outbound-host.ts';
import { viewerKey } from './viewer.ts';

/** A tag of a user's, and where its value comes from. */
export type SpanTag =
  | { readonly tag: string; readonly from: 'literal'; readonly value: string }
  | {
      readonly tag: string;
      readonly from: 'environment' | 'header';
      readonly name: string;
      readonly fallback: string;
    };

/** Who the proxy is, in texts. */
export interface ProxyTags {
  readonly canonicalRevision: string;
  readonly canonicalService: string;
  readonly meshId: string;
  readonly namespace: string;
  readonly clusterId: string;
}

export interface Tracing {
  /** Percent of the requests that nobody has decided about yet. */
  readonly sampling: number;
  /** Who the proxy is: as Envoy's environment has it, or in texts. */
  readonly proxy: 'environment' | ProxyTags;
  /** Spans say who the proxy is. */
  readonly isTagged: boolean;
  /** Sorted by name. */
  readonly customTags: readonly SpanTag[];
  /** Longest value of a tag that holds a path; 0: Envoy's own limit. */
  readonly maxPathTagLength: number;
  /** Undefined: what the proxy's bootstrap names, if anything. */
  readonly tracer: Tracer | undefined;
  /** Under which name the proxy's spans are sent, where Envoy does not know it by itself. */
  readonly serviceName: string;
}

/** What a proxy traces with, before its own settings are asked. */
export type TracerChoice = 'none' | 'bootstrap' | Tracer;

/** The choice of mesh config: the first default provider, or `enableTracing` where there are none. */
export function meshTracer(
  mesh: MeshConfigJson,
  find: (key: string) => TracerResolution | undefined,
): TracerChoice {
  const [provider] = mesh.defaultProviders?.tracing ?? [];
  if (provider === undefined) return mesh.enableTracing === true ? 'bootstrap' : 'none';
  const found = find(tracerKey(provider));
  return found !== undefined && 'tracer' in found ? found.tracer : 'none';
}

export interface TracingSources {
  readonly choice: TracerChoice;
  readonly flags: MeshFlags;
  /** The config that the proxy was started with. */
  readonly config: ProxyConfigJson;
  /** Undefined: any proxy of our own agent. */
  readonly proxy: Proxy | undefined;
}

/** How the proxy traces; undefined where it does not. */
export function tracingOf({ choice, flags, config, proxy }: TracingSources): Tracing | undefined {
  if (choice === 'none') return undefined;
  const tracer = choice === 'bootstrap' ? undefined : choice;
  const own = config.tracing ?? {};
  // A sampler of the provider's own has to see every span.
  const isDecidedElsewhere = tracer?.kind === 'opentelemetry' && tracer.sampler !== undefined;
  // With a provider only a Telemetry can take these tags away.
  const isTagged = tracer !== undefined || own.enableIstioTags !== false;
  return {
    sampling: isDecidedElsewhere ? 100 : samplingOf(own.sampling, flags.traceSampling),
    proxy: proxyTags(proxy),
    isTagged,
    customTags: sortedBy(Object.entries(own.customTags ?? {}), ([name]) => name).flatMap(([name, tag]) =>
      spanTag(name, tag),
    ),
    maxPathTagLength: tracer?.maxTagLength || (own.maxPathTagLength ?? 0),
    tracer,
    serviceName: serviceName(tracer, proxy),
  };
}

type Sampling = NonNullable<ProxyConfigJson['tracing']>['sampling'];

/** What is no percentage counts as 1, as what is too much does in Istio; Envoy would refuse the listener. */
function samplingOf(sampling: Sampling, fallback: number): number {
  const percent = Number(sampling ?? 0);
  if (percent === 0) return fallback;
  return percent > 0 && percent <= 100 ? percent : 1;
}

function proxyTags(proxy: Proxy | undefined): 'environment' | ProxyTags {
  if (proxy === undefined || !proxy.traits.foreign) return 'environment';
  const { labels, metadata, namespace, clusterId } = proxy;
  return {
    canonicalRevision: labels['service.istio.io/canonical-revision'] || 'latest',
    canonicalService: labels['service.istio.io/canonical-name'] || 'unknown',
    meshId: metadata['MESH_ID'] || 'unknown',
    namespace: namespace || 'default',
    clusterId: clusterId || 'unknown',
  };
}

/** What Envoy would refuse is left out: a tag needs a name, and somewhere to have its value from. */
function spanTag(tag: string, { literal, environment, header }: Tracing_CustomTagJson): SpanTag[] {
  if (tag === '') return [];
  if (literal !== undefined) {
    const value = literal.value ?? '';
    return value === '' ? [] : [{ tag, from: 'literal', value }];
  }
  const { name = '', defaultValue: fallback = '' } = environment ?? header ?? {};
  const from = environment === undefined ? 'header' : 'environment';
  const isUsable = from === 'header' ? HEADER_NAME.test(name) : name !== '';
  return isUsable ? [{ tag, from, name, fallback }] : [];
}

/**
 * Zipkin and SkyWalking take the proxy's cluster by themselves. For Datadog and OpenTelemetry our agent says it in the environment
 * of its Envoy, where Datadog's word goes before that of the configuration, which may not be empty.
 */
function serviceName(tracer: Tracer | undefined, proxy: Proxy | undefined): string {
  const isOurs = proxy === undefined || !proxy.traits.foreign;
  if (tracer?.kind === 'datadog') return isOurs ? 'istio-proxy' : proxy.traits.serviceCluster;
  if (tracer?.kind !== 'opentelemetry' || proxy === undefined) return '';
  if (tracer.namesByConvention) return conventionalName(proxy);
  return isOurs ? '' : proxy.traits.serviceCluster;
}

/**
 * The facts without tracing where the proxies of the viewer have no cluster for the collector: Envoy would refuse the listener, with
 * all that it serves. OpenTelemetry and SkyWalking it takes all the same.
 */
export function tracedFacts(
  fetch: Fetch,
  hosts: Collection<OutboundHost>,
  viewer: string,
  facts: ListenerFacts,
): ListenerFacts {
  const tracer = facts.tracing?.tracer;
  if (tracer?.kind !== 'zipkin' && tracer?.kind !== 'datadog') return facts;
  const { hostname, port } = tracer.collector;
  const host = fetch.get(hosts, viewerKey(viewer, hostname));
  const isSeen = host?.service.ports.some(({ number }) => number === port) === true;
  return isSeen ? facts : untracedFacts(facts);
}

/** What a listener without requests takes from the facts; one object for all who share them. */
export const untracedFacts: (facts: ListenerFacts) => ListenerFacts = identityMemo(
  (facts: ListenerFacts): ListenerFacts => ({ ...facts, tracing: undefined }),
);

/** Source: istio otelServiceName, after OpenTelemetry's conventions for Kubernetes. */
function conventionalName({ traits, labels, metadata, name }: Proxy): string {
  return (
    traits.spanServiceName ||
    labels['app.kubernetes.io/instance'] ||
    labels['app.kubernetes.io/name'] ||
    metadata['WORKLOAD_NAME'] ||
    name.split('.')[0] ||
    'unknown_service'
  );
}

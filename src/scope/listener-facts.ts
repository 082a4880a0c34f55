/**
 * The few facts of mesh config that listeners of every proxy depend on, as one frozen record: another part of mesh
 * config may change without touching a listener. Keyed 'mesh' in its collection.
 */
import { durationMs } from '#api/duration.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarSpec } from '#api/sidecar.ts';
import type { Collection, Engine } from '#collections/collection.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { Viewer } from './viewer.ts';

export interface ListenerFacts {
  readonly trustDomains: readonly string[];
  readonly rootNamespace: string;
  readonly outboundPort: number;
  readonly inboundPort: number;
  /** Port of the HTTP proxy listener; 0 none, unless the proxy's own node metadata names one. */
  readonly httpProxyPort: number;
  /** What becomes of a destination that the mesh does not know. */
  readonly outboundPolicy: 'ALLOW_ANY' | 'REGISTRY_ONLY';
  readonly pathNormalization: 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';
  readonly accessLog: { readonly file: string; readonly format: string; readonly encoding: 'TEXT' | 'JSON' };
  readonly minimumTlsVersion: 'TLSv1_2' | 'TLSv1_3';
  readonly connectTimeoutMs: number;
}

/** Derives the facts; equal facts keep their identity. */
export function createListenerFacts(
  engine: Engine,
  meshConfig: Collection<MeshConfigJson>,
): Collection<ListenerFacts> {
  return engine.derive('scope.listenerFacts', meshConfig, (_fetch, config) => listenerFacts(config));
}

/**
 * The facts as one viewer's outbound listeners have them: a Sidecar object may have its own word on unknown
 * destinations. Keyed by viewer. Source: istio pilot/pkg/model/sidecar.go, outboundTrafficPolicy.
 */
export function createViewerListenerFacts(
  engine: Engine,
  deps: {
    readonly viewers: Collection<Viewer>;
    readonly sidecars: Collection<MeshObject<SidecarSpec>>;
    readonly facts: Collection<ListenerFacts>;
  },
): Collection<ListenerFacts> {
  return engine.derive('scope.viewerListenerFacts', deps.viewers, (fetch, viewer) => {
    const facts = fetch.get(deps.facts, MESH_KEY);
    const sidecar = viewer.sidecar === '' ? undefined : fetch.get(deps.sidecars, viewer.sidecar);
    const policy = sidecar?.spec.outboundTrafficPolicy;
    if (facts === undefined || policy === undefined) return facts;
    const outboundPolicy = policy.mode ?? 'REGISTRY_ONLY';
    return outboundPolicy === facts.outboundPolicy ? facts : { ...facts, outboundPolicy };
  });
}

function listenerFacts(config: MeshConfigJson): ListenerFacts {
  const normalization = config.pathNormalization?.normalization ?? 'DEFAULT';
  return {
    trustDomains: [config.trustDomain ?? 'cluster.local', ...(config.trustDomainAliases ?? [])],
    rootNamespace: config.rootNamespace ?? 'istio-system',
    outboundPort: config.proxyListenPort ?? 15001,
    inboundPort: config.proxyInboundListenPort ?? 15006,
    httpProxyPort: config.proxyHttpPort ?? 0,
    outboundPolicy: config.outboundTrafficPolicy?.mode === 'REGISTRY_ONLY' ? 'REGISTRY_ONLY' : 'ALLOW_ANY',
    pathNormalization: normalization === 'DEFAULT' ? 'BASE' : normalization,
    accessLog: {
      file: config.accessLogFile ?? '',
      format: config.accessLogFormat ?? '',
      encoding: config.accessLogEncoding === 'JSON' ? 'JSON' : 'TEXT',
    },
    minimumTlsVersion: config.meshMTLS?.minProtocolVersion === 'TLSV1_3' ? 'TLSv1_3' : 'TLSv1_2',
    connectTimeoutMs: durationMs(config.connectTimeout, 10_000),
  };
}

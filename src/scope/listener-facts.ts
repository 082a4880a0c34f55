/**
 * The few facts of mesh config that listeners of every proxy depend on, as one frozen record: another part of mesh
 * config may change without touching a listener. Keyed 'mesh' in its collection.
 */
import { durationMs } from '#api/duration.ts';
import type { Collection, Engine } from '#collections/collection.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';

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

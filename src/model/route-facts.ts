/** What routes take from mesh config and flags, as one record: a change of anything else in it touches no route. Keyed 'mesh'. */
import type { Collection, Engine } from '#collections/collection.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { DEFAULT_MESH_FLAGS, type MeshFlags } from './mesh-flags.ts';
import type { ProxyConfigJson } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';
import type { HTTPRetryJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';

/** They are refused, sent on to the address that they were going to, or to the one that DNS has for them. */
export type UnknownHosts = 'REGISTRY_ONLY' | 'ALLOW_ANY' | 'ALLOW_ANY_DYNAMIC_DNS';

/** On one machine a request tells by its host alone where it was going. */
export function policyOnOneMachine(policy: UnknownHosts): UnknownHosts {
  return policy === 'ALLOW_ANY' ? 'ALLOW_ANY_DYNAMIC_DNS' : policy;
}

export interface RouteFacts {
  /** Retries of routes that ask for none of their own; undefined: Istio's default. */
  readonly defaultRetries: HTTPRetryJson | undefined;
  /** What becomes of requests for hosts that the mesh does not know. */
  readonly unknownHosts: UnknownHosts;
  /** Port of the HTTP proxy listener of every sidecar, 0 for none. */
  readonly httpProxyPort: number;
  /** Names also match with the dot of the root at their end. */
  readonly absoluteDomains: boolean;
  /** Mirrored requests get `-shadow` behind their host, as Envoy alone does it. */
  readonly shadowSuffix: boolean;
  /** Headers that proxies add, unless they were started with settings of their own. */
  readonly proxyHeaders: ProxyConfigJson['proxyHeaders'];
}

/** Takes the facts out of mesh config; equal facts keep their identity. */
export function createRouteFacts(
  engine: Engine,
  meshConfig: Collection<MeshConfigJson>,
  flags: MeshFlags,
): Collection<RouteFacts> {
  return engine.derive('model.routeFacts', meshConfig, (_fetch, mesh) => routeFacts(mesh, flags));
}

/** The facts of one mesh config; those of an empty one are Istio's defaults. */
export function routeFacts(mesh: MeshConfigJson, flags: MeshFlags = DEFAULT_MESH_FLAGS): RouteFacts {
  return {
    defaultRetries: mesh.defaultHttpRetryPolicy,
    unknownHosts: mesh.outboundTrafficPolicy?.mode ?? 'ALLOW_ANY',
    httpProxyPort: mesh.proxyHttpPort ?? 0,
    absoluteDomains: flags.absoluteDomains,
    shadowSuffix: !flags.noShadowHostSuffix,
    proxyHeaders: mesh.defaultConfig?.proxyHeaders,
  };
}

/** What routes take from mesh config, as one record: a change of anything else in it touches no route. Keyed 'mesh'. */
import type { Collection, Engine } from '#collections/collection.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { HTTPRetryJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';

/** They are refused, sent on to the address that they were going to, or to the one that DNS has for them. */
export type UnknownHosts = 'REGISTRY_ONLY' | 'ALLOW_ANY' | 'ALLOW_ANY_DYNAMIC_DNS';

export interface RouteFacts {
  /** Retries of routes that ask for none of their own; undefined: Istio's default. */
  readonly defaultRetries: HTTPRetryJson | undefined;
  /** What becomes of requests for hosts that the mesh does not know. */
  readonly unknownHosts: UnknownHosts;
  /** Port of the HTTP proxy listener of every sidecar, 0 for none. */
  readonly httpProxyPort: number;
}

/** Takes the facts out of mesh config; equal facts keep their identity. */
export function createRouteFacts(
  engine: Engine,
  meshConfig: Collection<MeshConfigJson>,
): Collection<RouteFacts> {
  return engine.derive('model.routeFacts', meshConfig, (_fetch, mesh) => routeFacts(mesh));
}

/** The facts of one mesh config; those of an empty one are Istio's defaults. */
export function routeFacts(mesh: MeshConfigJson): RouteFacts {
  return {
    defaultRetries: mesh.defaultHttpRetryPolicy,
    unknownHosts: mesh.outboundTrafficPolicy?.mode ?? 'ALLOW_ANY',
    httpProxyPort: mesh.proxyHttpPort ?? 0,
  };
}

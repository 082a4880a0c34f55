/**
 * Endpoints of services together with what PeerAuthentication makes of them: one value per service for all viewers,
 * indexed by shard, so that a shard of hosts costs one dependency.
 */
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { Endpoint, ServiceEndpoints } from '#model/endpoint.ts';
import type { ServiceModel } from '#model/service-model.ts';
import { shardOf } from '#scope/outbound-host-model.ts';
import type { ServerMutualTls } from '#xds/tls/server-mutual-tls.ts';

/** Endpoints, and which of them PeerAuthentication keeps from taking mesh mTLS. */
export interface ServedEndpoints {
  readonly endpoints: readonly Endpoint[];
  /** Positions in `endpoints`; empty as a rule. */
  readonly plainOnly: readonly number[];
}

/** A service without endpoints. */
export const NOT_SERVED: ServedEndpoints = { endpoints: [], plainOnly: [] };

/** Asks for each endpoint that could take mesh mTLS whether it does. */
export function serveEndpoints(
  fetch: Fetch,
  { endpoints }: ServiceEndpoints,
  servers: ServerMutualTls,
): ServedEndpoints {
  const plainOnly = endpoints.flatMap((endpoint, i) =>
    endpoint.tlsMode === 'istio' && servers.endpointMode(fetch, endpoint) === 'DISABLE' ? [i] : [],
  );
  return { endpoints, plainOnly };
}

/** Tells endpoints that are not kept from mesh mTLS. */
export function serverMutualCheck({
  endpoints,
  plainOnly,
}: ServedEndpoints): (endpoint: Endpoint) => boolean {
  const plain = new Set(plainOnly.map((i) => endpoints[i]));
  return (endpoint) => !plain.has(endpoint);
}

/** All services' endpoints, keyed `namespace/hostname`, and the same by shard of their host. */
export function createServedEndpoints(
  engine: Engine,
  serviceModel: Pick<ServiceModel, 'endpoints'>,
  servers: ServerMutualTls,
): { readonly served: Collection<ServedEndpoints>; readonly servedByShard: Index<ServedEndpoints> } {
  const served = engine.derive('xds.servedEndpoints', serviceModel.endpoints, (fetch, endpoints) =>
    serveEndpoints(fetch, endpoints, servers),
  );
  const servedByShard = engine.index('xds.servedEndpointsByShard', served, (_served, key) => [
    shardOf(key.slice(key.indexOf('/') + 1)),
  ]);
  return { served, servedByShard };
}

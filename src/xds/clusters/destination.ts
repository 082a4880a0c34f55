/**
 * What clusters need of a service beyond the host itself: who serves it, and what its servers demand. One value per service
 * for all viewers; indexed by shard, so that a shard of hosts costs one dependency.
 */
import type { Engine, Index } from '#collections/collection.ts';
import { isDnsService } from '#model/endpoint-entry.ts';
import type { EndpointSummary } from '#model/endpoint-summary.ts';
import type { ServiceModel } from '#model/service-model.ts';
import { shardOf } from '#scope/outbound-host-model.ts';
import { NOT_SERVED, type ServedEndpoints, serveEndpoints } from '#xds/endpoints/served-endpoints.ts';
import type { ServerMutualTls } from '#xds/tls/server-mutual-tls.ts';
import type { MutualTlsMode } from '#xds/tls/upstream-settings.ts';

/** Keyed `namespace/hostname`. */
export interface Destination {
  readonly summary: EndpointSummary;
  readonly serverMode: MutualTlsMode;
  /** For services whose names Envoy resolves, which carry their endpoints inline; empty for all others. */
  readonly inline: ServedEndpoints;
}

const NO_SUMMARY: EndpointSummary = { identities: [], mutualTlsPorts: [] };

/** All services' destinations by shard of their host; inner key `namespace/hostname`. */
export function createDestinations(
  engine: Engine,
  serviceModel: Pick<ServiceModel, 'services' | 'endpoints' | 'endpointSummaries'>,
  servers: ServerMutualTls,
): Index<Destination> {
  const destinations = engine.derive(
    'xds.destinations',
    serviceModel.services,
    (fetch, service, key): Destination => {
      const endpoints = isDnsService(service) ? fetch.get(serviceModel.endpoints, key) : undefined;
      return {
        summary: fetch.get(serviceModel.endpointSummaries, key) ?? NO_SUMMARY,
        serverMode: service.meshExternal ? 'UNKNOWN' : servers.namespaceMode(fetch, service.namespace),
        inline: endpoints === undefined ? NOT_SERVED : serveEndpoints(fetch, endpoints, servers),
      };
    },
  );
  return engine.index('xds.destinationsByShard', destinations, (_destination, key) => [
    shardOf(key.slice(key.indexOf('/') + 1)),
  ]);
}

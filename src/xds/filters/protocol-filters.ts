/**
 * What stands at the end of a byte stream's chain: the TCP proxy, and before it a filter that understands the port's protocol, where
 * Istio has one for it by default. Redis is not a stream to its filter, so that one takes the TCP proxy's place.
 * Source: istio pilot/pkg/networking/core/networkfilter.go buildNetworkFiltersStack.
 */
import { create } from '@bufbuild/protobuf';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { MongoProxySchema } from '#proto/envoy/extensions/filters/network/mongo_proxy/v3/mongo_proxy_pb.ts';
import { RedisProxySchema } from '#proto/envoy/extensions/filters/network/redis_proxy/v3/redis_proxy_pb.ts';
import type { Protocol } from '#model/service.ts';
import type { ListenerFlags } from '#scope/listener-facts.ts';
import { durationFromMs } from '#xds/duration.ts';
import { packAny } from '#xds/encode.ts';

/** How long a Redis command may take. */
const REDIS_TIMEOUT_MS = 5_000;

export interface StreamEnd {
  readonly protocol: Protocol;
  readonly flags: Pick<ListenerFlags, 'mongoFilter' | 'redisFilter'>;
  readonly statPrefix: string;
  /** The first cluster: Redis knows only one. */
  readonly cluster: string;
  readonly tcpProxy: Filter;
}

/** The last filters of the chain. Stock Envoy has no filter for MySQL; Istio's is off unless asked for. */
export function streamEndFilters({ protocol, flags, statPrefix, cluster, tcpProxy }: StreamEnd): Filter[] {
  if (protocol === 'Mongo' && flags.mongoFilter) return [mongoFilter(statPrefix), tcpProxy];
  if (protocol === 'Redis' && flags.redisFilter) return [redisFilter(statPrefix, cluster)];
  return [tcpProxy];
}

function mongoFilter(statPrefix: string): Filter {
  const value = packAny(MongoProxySchema, create(MongoProxySchema, { statPrefix }));
  return create(FilterSchema, {
    name: 'envoy.filters.network.mongo_proxy',
    configType: { case: 'typedConfig', value },
  });
}

function redisFilter(statPrefix: string, cluster: string): Filter {
  const config = create(RedisProxySchema, {
    latencyInMicros: true,
    statPrefix,
    settings: { opTimeout: durationFromMs(REDIS_TIMEOUT_MS) },
    prefixRoutes: { catchAllRoute: { cluster } },
  });
  return create(FilterSchema, {
    name: 'envoy.filters.network.redis_proxy',
    configType: { case: 'typedConfig', value: packAny(RedisProxySchema, config) },
  });
}

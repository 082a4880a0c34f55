/**
 * Filters that start the DNS look-up for a host that only the request names: by its Host header, or by the server name of its
 * handshake. The cluster finds the answer in the cache of the same name, which dns-cache.ts describes for both.
 * Source: istio pilot/pkg/xds/filters buildDynamicForwardProxyFilter, core/networkfilter.go buildSNIDFPFilter.
 */
import { create } from '@bufbuild/protobuf';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterConfigSchema as HttpForwardSchema } from '#proto/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { FilterConfigSchema as SniForwardSchema } from '#proto/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.ts';
import type { IpFamilies, ListenerFacts } from '#scope/listener-facts.ts';
import { unknownHostsCache, wildcardDnsCache } from '#xds/clusters/dns-cache.ts';
import { packAny } from '#xds/encode.ts';
import { httpFilter } from './http-connection-manager.ts';

/** Looks up the request's host; `host` is the wildcard of the service. */
export function forwardHttpFilter(host: string, facts: ListenerFacts): HttpFilter {
  const config = create(HttpForwardSchema, {
    implementationSpecifier: {
      case: 'dnsCacheConfig',
      value: wildcardDnsCache(host, lookedUpFamilies(facts)),
    },
  });
  return httpFilter('envoy.filters.http.dynamic_forward_proxy', packAny(HttpForwardSchema, config));
}

/** Looks up the hosts that no service of the mesh has. Source: istio buildAllowAnyDynamicDNSDNSCacheConfig. */
export function forwardUnknownFilter(facts: ListenerFacts): HttpFilter {
  const config = create(HttpForwardSchema, {
    implementationSpecifier: { case: 'dnsCacheConfig', value: unknownHostsCache(lookedUpFamilies(facts)) },
  });
  return httpFilter('envoy.filters.http.dynamic_forward_proxy', packAny(HttpForwardSchema, config));
}

/** Looks up the server name of the handshake. */
export function forwardSniFilter(host: string, port: number, facts: ListenerFacts): Filter {
  const config = create(SniForwardSchema, {
    dnsCacheConfig: wildcardDnsCache(host, lookedUpFamilies(facts)),
    portSpecifier: { case: 'portValue', value: port },
  });
  return create(FilterSchema, {
    name: 'envoy.filters.network.sni_dynamic_forward_proxy',
    configType: { case: 'typedConfig', value: packAny(SniForwardSchema, config) },
  });
}

/** The families that clusters look up: IPv4 alone where there are both and the mesh is not one of dual stack. */
export function lookedUpFamilies({ ipFamilies, flags }: ListenerFacts): IpFamilies {
  return ipFamilies === 'dual' && !flags.dualStack ? 'v4' : ipFamilies;
}

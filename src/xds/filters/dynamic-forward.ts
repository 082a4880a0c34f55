/**
 * Filters that start the DNS look-up for a host that only the request names: by its Host header, or by the server name of its
 * handshake. The cluster finds the answer in the cache of the same name, so name and families are the cluster's.
 * Source: istio pilot/pkg/xds/filters buildDynamicForwardProxyFilter, core/networkfilter.go buildSNIDFPFilter.
 */
import { create } from '@bufbuild/protobuf';
import { Cluster_DnsLookupFamily as DnsLookupFamily } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterConfigSchema as HttpForwardSchema } from '#proto/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { FilterConfigSchema as SniForwardSchema } from '#proto/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.ts';
import type { IpFamilies } from '#scope/listener-facts.ts';
import { dnsCacheName } from '#xds/clusters/outbound-cluster.ts';
import { packAny } from '#xds/encode.ts';
import { httpFilter } from './http-connection-manager.ts';

/** Looks up the request's host; `host` is the wildcard of the service. */
export function forwardHttpFilter(host: string, families: IpFamilies): HttpFilter {
  const config = create(HttpForwardSchema, {
    implementationSpecifier: { case: 'dnsCacheConfig', value: dnsCache(dnsCacheName(host), families) },
  });
  return httpFilter('envoy.filters.http.dynamic_forward_proxy', packAny(HttpForwardSchema, config));
}

/** Looks up the hosts that no service of the mesh has. Source: istio buildAllowAnyDynamicDNSDNSCacheConfig. */
export function forwardUnknownFilter(families: IpFamilies): HttpFilter {
  const config = create(HttpForwardSchema, {
    implementationSpecifier: { case: 'dnsCacheConfig', value: unknownHostsCache(families) },
  });
  return httpFilter('envoy.filters.http.dynamic_forward_proxy', packAny(HttpForwardSchema, config));
}

/** The cache that filter and cluster of unknown hosts share. */
export function unknownHostsCache(families: IpFamilies): DnsCache & { maxHosts: number } {
  return { ...dnsCache('allow_any_dfp_dns_cache', families), maxHosts: MAX_UNKNOWN_HOSTS };
}

/** How many names such a cache holds. Source: PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS. */
const MAX_UNKNOWN_HOSTS = 1_024;

/** Looks up the server name of the handshake. */
export function forwardSniFilter(host: string, port: number, families: IpFamilies): Filter {
  const config = create(SniForwardSchema, {
    dnsCacheConfig: dnsCache(dnsCacheName(host), families),
    portSpecifier: { case: 'portValue', value: port },
  });
  return create(FilterSchema, {
    name: 'envoy.filters.network.sni_dynamic_forward_proxy',
    configType: { case: 'typedConfig', value: packAny(SniForwardSchema, config) },
  });
}

interface DnsCache {
  readonly name: string;
  readonly dnsLookupFamily: DnsLookupFamily;
}

function dnsCache(name: string, families: IpFamilies): DnsCache {
  return { name, dnsLookupFamily: families === 'v6' ? DnsLookupFamily.V6_ONLY : DnsLookupFamily.V4_ONLY };
}

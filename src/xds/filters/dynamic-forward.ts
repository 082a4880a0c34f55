/**
 * Filters that start the DNS look-up for a host that only the request names: by its Host header, or by the server name of its
 * handshake. The cluster finds the answer in the cache of the same name, which clusters/dns-cache.ts describes for both.
 * Source: istio pilot/pkg/xds/filters buildDynamicForwardProxyFilter, core/networkfilter.go buildSNIDFPFilter.
 */
import { create } from '@bufbuild/protobuf';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { DnsCacheConfig } from '#proto/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.ts';
import { FilterConfigSchema as HttpForwardSchema } from '#proto/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { FilterConfigSchema as SniForwardSchema } from '#proto/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.ts';
import {
  unknownHostsCache,
  type UnknownHostsLookup,
  usedFamilies,
  wildcardDnsCache,
} from '#xds/clusters/dns-cache.ts';
import { packAny } from '#xds/encode.ts';
import { httpFilter } from './http-connection-manager.ts';

/** Looks up the request's host; `host` is the wildcard of the service. */
export function forwardHttpFilter(host: string, lookup: UnknownHostsLookup): HttpFilter {
  return lookUpFilter(wildcardDnsCache(host, usedFamilies(lookup)));
}

/** Looks up the hosts that no service of the mesh has. */
export function forwardUnknownFilter(lookup: UnknownHostsLookup): HttpFilter {
  return lookUpFilter(unknownHostsCache(lookup));
}

function lookUpFilter(cache: DnsCacheConfig): HttpFilter {
  const config = create(HttpForwardSchema, {
    implementationSpecifier: { case: 'dnsCacheConfig', value: cache },
  });
  return httpFilter('envoy.filters.http.dynamic_forward_proxy', packAny(HttpForwardSchema, config));
}

/** Looks up the server name of the handshake. */
export function forwardSniFilter(host: string, port: number, lookup: UnknownHostsLookup): Filter {
  const config = create(SniForwardSchema, {
    dnsCacheConfig: wildcardDnsCache(host, usedFamilies(lookup)),
    portSpecifier: { case: 'portValue', value: port },
  });
  return create(FilterSchema, {
    name: 'envoy.extensions.filters.network.sni_dynamic_forward_proxy',
    configType: { case: 'typedConfig', value: packAny(SniForwardSchema, config) },
  });
}

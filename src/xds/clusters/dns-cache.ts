/**
 * DNS caches by which dynamic clusters find the hosts that requests name. The filter that starts a look-up and the cluster that
 * waits for the answer share a cache by its name, and Envoy demands that both describe it alike: so both ask here.
 * Source: Istio pilot/pkg/networking/core/networkfilter.go, cluster_builder.go buildDFPCluster, util SelectDNSLookupFamily.
 */
import { create } from '@bufbuild/protobuf';
import {
  Cluster_DnsLookupFamily as DnsLookupFamily,
  type ClusterSchema,
} from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import {
  type ClusterConfig,
  ClusterConfigSchema,
} from '#proto/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts';
import {
  type DnsCacheConfig,
  DnsCacheConfigSchema,
} from '#proto/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.ts';
import type { Viewer } from '#scope/viewer.ts';
import { packAny } from '#xds/encode.ts';
import type { InitOf } from '#xds/message-init.ts';

type IpFamilies = Viewer['ipFamilies'];

/** Which addresses of a name a proxy with these addresses can use. */
export function dnsLookupFamily(families: IpFamilies): DnsLookupFamily {
  if (families === 'dual') return DnsLookupFamily.ALL;
  return families === 'v6' ? DnsLookupFamily.V6_ONLY : DnsLookupFamily.V4_ONLY;
}

/** The form of a cluster that looks hosts up as requests name them. */
export function dynamicCluster(
  config: ClusterConfig,
): NonNullable<InitOf<typeof ClusterSchema>['clusterDiscoveryType']> {
  return {
    case: 'clusterType',
    value: {
      name: 'envoy.clusters.dynamic_forward_proxy',
      typedConfig: packAny(ClusterConfigSchema, config),
    },
  };
}

/** Name of the cache of a wildcard host. */
export function dnsCacheName(host: string): string {
  return `${host}-dfp-dns-cache`;
}

/** The cache of a wildcard host with resolution DYNAMIC_DNS. */
export function wildcardDnsCache(host: string, families: IpFamilies): DnsCacheConfig {
  return create(DnsCacheConfigSchema, {
    name: dnsCacheName(host),
    dnsLookupFamily: dnsLookupFamily(families),
  });
}

/** How many names the cache of unknown hosts holds. Source: PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS. */
const MAX_UNKNOWN_HOSTS = 1_024;

/** The cache of hosts that no service of the mesh has. */
export function unknownHostsCache(families: IpFamilies): DnsCacheConfig {
  return create(DnsCacheConfigSchema, {
    name: 'allow_any_dfp_dns_cache',
    dnsLookupFamily: dnsLookupFamily(families),
    maxHosts: MAX_UNKNOWN_HOSTS,
  });
}

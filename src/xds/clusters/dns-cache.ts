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
import { CaresDnsResolverConfigSchema } from '#proto/envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver_pb.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import type { Viewer } from '#scope/viewer.ts';
import { socketAddress } from '#xds/address.ts';
import { packAny } from '#xds/encode.ts';
import type { InitOf } from '#xds/message-init.ts';

type IpFamilies = Viewer['ipFamilies'];

/** What decides how the hosts are looked up that no service has. */
export type UnknownHostsLookup = Pick<ListenerFacts, 'ipFamilies' | 'unknownHostsResolver'> & {
  readonly flags: Pick<ListenerFacts['flags'], 'dualStack' | 'unknownHostsLimit'>;
};

/** The families that a sidecar's look-ups are for: both only where the control plane is told to use both. */
export function usedFamilies({
  ipFamilies,
  flags,
}: Pick<UnknownHostsLookup, 'ipFamilies'> & {
  readonly flags: Pick<ListenerFacts['flags'], 'dualStack'>;
}): IpFamilies {
  return ipFamilies === 'dual' && !flags.dualStack ? 'v4' : ipFamilies;
}

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
  return `${host}_dfp_dns_cache`;
}

/** The cache of a wildcard host with resolution DYNAMIC_DNS. */
export function wildcardDnsCache(host: string, families: IpFamilies): DnsCacheConfig {
  return create(DnsCacheConfigSchema, {
    name: dnsCacheName(host),
    dnsLookupFamily: dnsLookupFamily(families),
  });
}

/** The cache of the hosts that no service has. Source: istio buildAllowAnyDynamicDNSDNSCacheConfig. */
export function unknownHostsCache(lookup: UnknownHostsLookup): DnsCacheConfig {
  const resolver = lookup.unknownHostsResolver;
  return create(DnsCacheConfigSchema, {
    name: 'allow_any_dfp_dns_cache',
    dnsLookupFamily: dnsLookupFamily(usedFamilies(lookup)),
    maxHosts: lookup.flags.unknownHostsLimit,
    ...(resolver === '' ? {} : { typedDnsResolverConfig: resolverAt(resolver) }),
  });
}

function resolverAt(resolver: string) {
  const colon = resolver.lastIndexOf(':');
  const address = resolver.slice(0, colon).replace(/^\[|\]$/g, '');
  const config = create(CaresDnsResolverConfigSchema, {
    resolvers: [socketAddress(address, Number(resolver.slice(colon + 1)))],
  });
  return {
    name: 'envoy.network.dns_resolver.cares',
    typedConfig: packAny(CaresDnsResolverConfigSchema, config),
  };
}

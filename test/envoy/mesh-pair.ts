/**
 * Two workloads' sidecars as static Envoys, made with the builders of src/xds: `caller` (productpage) and `called` (reviews).
 * Only transport sockets differ from what the control plane sends: certificates are inline instead of over SDS.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { Cluster } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { Cluster_DiscoveryType, ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import type { TransportSocket } from '#proto/envoy/config/core/v3/base_pb.ts';
import { TransportSocketSchema } from '#proto/envoy/config/core/v3/base_pb.ts';
import type {
  Filter,
  FilterChainMatchSchema,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterChainSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { RouteConfiguration } from '#proto/envoy/config/route/v3/route_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '#proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { HttpProtocolOptionsSchema } from '#proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import type { Inbound } from '#scope/inbound.ts';
import { type ListenerFacts, meshListenerFacts } from '#scope/listener-facts.ts';
import { socketAddress } from '#xds/address.ts';
import { packAny } from '#xds/encode.ts';
import { tlsInspectorFilter } from '#xds/listeners/listener-filters.ts';
import type { WorkloadCertificate } from './workload-certificates.ts';

const MESH_FACTS = meshListenerFacts({ accessLogFile: '/dev/stdout' }, DEFAULT_MESH_FLAGS);

/** A child's standard output is a socket, which cannot be opened by name. */
export const FACTS: ListenerFacts = {
  ...MESH_FACTS,
  accessLog: { ...MESH_FACTS.accessLog, stdoutIsSocket: true },
};

/** An inbound facet; chains under test don't depend on it. */
export const INBOUND: Inbound = {
  interception: 'NONE',
  mode: 'PERMISSIVE',
  passthroughPorts: [],
  ports: [],
  namespace: 'bookinfo',
  labels: {},
};
/** What a workload's agent puts into Envoy's environment. */
export function workloadEnvironment(name: string, namespace: string): Record<string, string> {
  return {
    LATEEN_WORKLOAD: `${name}-v1`,
    LATEEN_NAMESPACE: namespace,
    LATEEN_APP: name,
    LATEEN_VERSION: 'v1',
    LATEEN_CANONICAL_SERVICE: name,
    LATEEN_CANONICAL_REVISION: 'v1',
    LATEEN_CLUSTER: 'Kubernetes',
    LATEEN_PRINCIPAL: `spiffe://cluster.local/ns/${namespace}/sa/${name}`,
  };
}

/** One filter chain of a listener under test. */
export interface TestChain {
  readonly match?: MessageInitShape<typeof FilterChainMatchSchema>;
  readonly filters: readonly Filter[];
  readonly certificate?: WorkloadCertificate;
}

/** A listener; chains with a certificate end mesh mTLS. */
export function testListener(
  name: string,
  address: string,
  port: number,
  root: string,
  chains: readonly TestChain[],
): Listener {
  return create(ListenerSchema, {
    name,
    address: socketAddress(address, port),
    listenerFilters: [tlsInspectorFilter()],
    filterChains: chains.map((chain) =>
      create(FilterChainSchema, {
        ...(chain.match === undefined ? {} : { filterChainMatch: chain.match }),
        filters: [...chain.filters],
        ...(chain.certificate === undefined ? {} : { transportSocket: serverTls(chain.certificate, root) }),
      }),
    ),
  });
}

/** A static cluster and how to reach it. */
export interface TestCluster {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Filter metadata `lateen` of the cluster. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Filter metadata `lateen` of the endpoint. */
  readonly endpointMetadata?: Readonly<Record<string, string>>;
  readonly tls?: { readonly certificate: WorkloadCertificate; readonly alpn: readonly string[] };
  readonly http2?: boolean;
  readonly followsCaller?: boolean;
}

export function testCluster(input: TestCluster): Cluster {
  const lateen = (fields: Readonly<Record<string, string>> | undefined) =>
    fields === undefined ? {} : { metadata: { filterMetadata: { lateen: { ...fields } } } };
  const cluster = create(ClusterSchema, {
    name: input.name,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    ...lateen(input.metadata),
    loadAssignment: {
      clusterName: input.name,
      endpoints: [
        {
          lbEndpoints: [
            {
              hostIdentifier: {
                case: 'endpoint',
                value: { address: socketAddress(input.address, input.port) },
              },
              ...lateen(input.endpointMetadata),
            },
          ],
        },
      ],
    },
  });
  if (input.tls !== undefined) cluster.transportSocket = clientTls(input.tls.certificate, input.tls.alpn);
  const options = protocolOptions(input);
  if (options !== undefined) {
    cluster.typedExtensionProtocolOptions = {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': packAny(HttpProtocolOptionsSchema, options),
    };
  }
  return cluster;
}

function protocolOptions(input: TestCluster) {
  if (input.followsCaller === true) {
    return create(HttpProtocolOptionsSchema, {
      upstreamProtocolOptions: {
        case: 'useDownstreamProtocolConfig',
        value: { httpProtocolOptions: {}, http2ProtocolOptions: {} },
      },
    });
  }
  if (input.http2 !== true) return undefined;
  return create(HttpProtocolOptionsSchema, {
    upstreamProtocolOptions: {
      case: 'explicitHttpConfig',
      value: { protocolConfig: { case: 'http2ProtocolOptions', value: {} } },
    },
  });
}

/** A route table from host name to cluster. */
export function hostRoutes(clusterByHost: Readonly<Record<string, string>>): RouteConfiguration {
  return create(RouteConfigurationSchema, {
    name: 'test',
    virtualHosts: Object.entries(clusterByHost).map(([host, cluster]) => ({
      name: host,
      domains: [host],
      routes: [
        {
          match: { pathSpecifier: { case: 'prefix' as const, value: '/' } },
          action: {
            case: 'route' as const,
            value: { clusterSpecifier: { case: 'cluster' as const, value: cluster } },
          },
        },
      ],
    })),
  });
}

const inline = (value: string) => ({ specifier: { case: 'inlineString' as const, value } });

function serverTls(certificate: WorkloadCertificate, root: string): TransportSocket {
  const context = create(DownstreamTlsContextSchema, {
    requireClientCertificate: true,
    commonTlsContext: {
      alpnProtocols: ['h2', 'http/1.1'],
      tlsCertificates: [{ certificateChain: inline(certificate.chain), privateKey: inline(certificate.key) }],
      validationContextType: { case: 'validationContext', value: { trustedCa: inline(root) } },
    },
  });
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: { case: 'typedConfig', value: packAny(DownstreamTlsContextSchema, context) },
  });
}

function clientTls(certificate: WorkloadCertificate, alpn: readonly string[]): TransportSocket {
  const context = create(UpstreamTlsContextSchema, {
    commonTlsContext: {
      alpnProtocols: [...alpn],
      tlsCertificates: [{ certificateChain: inline(certificate.chain), privateKey: inline(certificate.key) }],
      tlsParams: { tlsMaximumProtocolVersion: 4 },
    },
  });
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: { case: 'typedConfig', value: packAny(UpstreamTlsContextSchema, context) },
  });
}

/** Repeats `look` until it gives something, at most ten seconds; then fails with `what`. */
export async function waitFor<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const until = Date.now() + 10_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > until) throw new Error(`waited in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/**
 * Networks of the mesh: which network an address lies in, and by which gateways a network is reached from others. Gateways come
 * from mesh networks (by address, or by the name of a Service) and from Services with a network label.
 * Two small values for the whole mesh; a Service that is no gateway costs nothing when it changes.
 * Source: Istio serviceregistry/kube/controller/network.go, pilot/pkg/model/network.go.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { MeshNetworks } from '#api/mesh-networks.ts';
import type { NamespaceSpec } from '#api/namespace.ts';
import { compareBytes, sortedBy } from '#base/bytes-order.ts';
import { type Cidr, cidrContains, isIp, parseCidr, parseIp } from '#base/cidr.ts';
import type { Collection, Engine, Index } from '#collections/collection.ts';
import { MESH_KEY, meshFact, type PolicyFacts } from './mesh-facts.ts';
import type { Service } from './service.ts';
import { NETWORK_LABEL } from './workload-labels.ts';

/** One door into a network. */
export interface NetworkGateway {
  readonly network: string;
  /** The cluster that it is in; '' when unknown. */
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
}

/** All gateways of the mesh by address and port. Keyed 'mesh'. */
export interface NetworkGateways {
  readonly gateways: readonly NetworkGateway[];
}

/** What decides the network of a workload that names none. Keyed 'mesh'. */
export interface NetworkFacts {
  /** Of all workloads of this cluster; '' when addresses decide. */
  readonly network: string;
  readonly blocks: readonly { readonly network: string; readonly block: Cidr }[];
  /** Gateways with addresses of their own. */
  readonly gateways: readonly NetworkGateway[];
  /** Services that are gateways of this cluster's network. */
  readonly gatewayServices: readonly {
    readonly hostname: string;
    readonly network: string;
    readonly port: number;
  }[];
}

/** In a mesh of one network. */
export const ONE_NETWORK: NetworkFacts = { network: '', blocks: [], gateways: [], gatewayServices: [] };
export const NO_GATEWAYS: NetworkGateways = { gateways: [] };

const GATEWAY_PORT_LABEL = 'networking.istio.io/gatewayPort';
const DEFAULT_GATEWAY_PORT = 15_443;

/** Where networks come from. */
export interface NetworkSources {
  readonly engine: Engine;
  readonly meshNetworks: Collection<MeshNetworks>;
  readonly namespacesByName: Index<MeshObject<NamespaceSpec>>;
  readonly policyFacts: Collection<PolicyFacts>;
  readonly clusterId: string;
}

/** The networks of mesh config and of the system namespace, keyed 'mesh'. */
export function createNetworkFacts(sources: NetworkSources): Collection<NetworkFacts> {
  return sources.engine.derive('model.networkFacts', sources.policyFacts, (fetch, { rootNamespace }) => {
    const networks = fetch.get(sources.meshNetworks, MESH_KEY) ?? {};
    const [system] = fetch.bucket(sources.namespacesByName, rootNamespace).values();
    return networkFacts(networks, system?.labels[NETWORK_LABEL] ?? '', sources.clusterId);
  });
}

/** Source: reloadMeshNetworks. The label of the system namespace wins over mesh networks. */
export function networkFacts(
  { networks = {} }: MeshNetworks,
  ofSystem: string,
  clusterId: string,
): NetworkFacts {
  const named = sortedBy(Object.entries(networks), ([name]) => name);
  const ofRegistry = named.find(([, { endpoints = [] }]) =>
    endpoints.some(({ fromRegistry }) => fromRegistry === clusterId),
  );
  return {
    network: ofSystem || (ofRegistry?.[0] ?? ''),
    blocks: named.flatMap(([network, { endpoints = [] }]) =>
      endpoints.flatMap(({ fromCidr = '' }) => {
        const block = parseCidr(fromCidr);
        return block.ok ? [{ network, block: block.value }] : [];
      }),
    ),
    gateways: named.flatMap(([network, { gateways = [] }]) =>
      gateways.flatMap(({ address = '', port = 0 }) =>
        address === '' ? [] : [{ network, cluster: '', address, port }],
      ),
    ),
    gatewayServices: named
      .filter(([, { endpoints = [] }]) => endpoints.some(({ fromRegistry }) => fromRegistry === clusterId))
      .flatMap(([network, { gateways = [] }]) =>
        gateways.flatMap(({ registryServiceName: hostname = '', port = 0 }) =>
          hostname === '' ? [] : [{ hostname, network, port }],
        ),
      ),
  };
}

/** The network of an address that no label names. */
export function networkOfAddress({ network, blocks }: NetworkFacts, address: string): string {
  if (network !== '' || blocks.length === 0) return network;
  const ip = parseIp(address);
  return (ip && blocks.find(({ block }) => cidrContains(block, ip))?.network) ?? '';
}

/** What gateways are made of. */
export interface GatewaySources {
  readonly engine: Engine;
  readonly facts: Collection<NetworkFacts>;
  readonly services: Collection<Service>;
  readonly servicesByHostname: Index<Service>;
  readonly policyFacts: Collection<PolicyFacts>;
  readonly clusterId: string;
}

/** All gateways that proxies can call, keyed 'mesh'. Those with host names instead of addresses are left out. */
export function createNetworkGateways(sources: GatewaySources): Collection<NetworkGateways> {
  const { engine, clusterId } = sources;
  const labelled = engine.index('model.labelledNetworkGateways', sources.services, (service) =>
    (service.labels[NETWORK_LABEL] ?? '') === '' ? [] : [MESH_KEY],
  );
  return engine.derive('model.networkGateways', sources.policyFacts, (fetch) => {
    const facts = meshFact(fetch, sources.facts, () => ONE_NETWORK);
    const byLabel = [...fetch.bucket(labelled, MESH_KEY).values()].flatMap((service) =>
      labelledGateways(service, clusterId),
    );
    const byName = facts.gatewayServices.flatMap(({ hostname, network, port }) =>
      [...fetch.bucket(sources.servicesByHostname, hostname).values()].flatMap((service) =>
        gatewaysAt(service, { network, cluster: clusterId, port }),
      ),
    );
    return { gateways: distinct([...facts.gateways, ...byLabel, ...byName]) };
  });
}

function labelledGateways(service: Service, cluster: string): readonly NetworkGateway[] {
  const wanted = Number(service.labels[GATEWAY_PORT_LABEL]);
  const port = Number.isInteger(wanted) && wanted > 0 ? wanted : DEFAULT_GATEWAY_PORT;
  if (!service.ports.some(({ number }) => number === port)) return [];
  return gatewaysAt(service, { network: service.labels[NETWORK_LABEL] ?? '', cluster, port });
}

function gatewaysAt(service: Service, gateway: Omit<NetworkGateway, 'address'>): readonly NetworkGateway[] {
  return service.externalAddresses.map((address) => ({ ...gateway, address }));
}

function distinct(gateways: readonly NetworkGateway[]): readonly NetworkGateway[] {
  const byKey = new Map(
    gateways
      .filter(({ address }) => isIp(address))
      .map((gateway) => [
        `${gateway.address}|${gateway.port}|${gateway.network}|${gateway.cluster}`,
        gateway,
      ]),
  );
  return [...byKey.values()].sort(
    (a, b) => compareBytes(a.address, b.address) || a.port - b.port || compareBytes(a.network, b.network),
  );
}

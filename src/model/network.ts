/**
 * Networks of the mesh: which network an address lies in, and by which gateways a network is reached from others. Gateways come
 * from mesh networks (by address, or by the name of a Service) and from Services with a network label.
 * Two small values for the whole mesh; a Service that is no gateway costs nothing when it changes.
 * Source: Istio serviceregistry/kube/controller/network.go, pilot/pkg/model/network.go.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { MeshNetworks } from '#api/mesh-networks.ts';
import type { NodeSpec } from '#api/node.ts';
import type { ServiceSpec } from '#api/service.ts';
import type { NamespaceSpec } from '#api/namespace.ts';
import { compareBytes, sortedBy } from '#base/bytes-order.ts';
import { type Cidr, cidrContains, isIp, parseCidr, parseIp } from '#base/cidr.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import { MESH_KEY, meshFact, type PolicyFacts } from './mesh-facts.ts';
import { externalNode, isNodePortGateway, type NodePortDoor, nodePortDoor } from './node-port-gateway.ts';
import type { ResolvedName } from './resolved-name.ts';
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

/** Blocks of addresses that lie in the mesh's networks, in the order of addresses and lengths. */
export function networkBlocks({ networks = {} }: MeshNetworks): readonly AddressBlock[] {
  const texts = Object.values(networks).flatMap(({ endpoints = [] }) =>
    endpoints.map(({ fromCidr = '' }) => fromCidr),
  );
  const blocks = texts.flatMap((text) => {
    const block = parseCidr(text);
    const [address = ''] = text.split('/');
    return block.ok ? [{ address, prefixLength: block.value.prefixLength }] : [];
  });
  return blocks.sort(compareBlocks);
}

/** A block of addresses as it is written. */
export interface AddressBlock {
  readonly address: string;
  readonly prefixLength: number;
}

function compareBlocks(a: AddressBlock, b: AddressBlock): number {
  const [left = [], right = []] = [a, b].map(({ address }) => [...(parseIp(address) ?? [])]);
  const differing = left.findIndex((byte, i) => byte !== right[i]);
  const byAddress = differing < 0 ? 0 : (left[differing] ?? 0) - (right[differing] ?? 0);
  return left.length - right.length || byAddress || a.prefixLength - b.prefixLength;
}

/** The network of an address that no label names. */
export function networkOfAddress({ network, blocks }: NetworkFacts, address: string): string {
  if (network !== '' || blocks.length === 0) return network;
  const ip = parseIp(address);
  return (ip && blocks.find(({ block }) => cidrContains(block, ip))?.network) ?? '';
}

/** What gateways are made of. */
export interface GatewaySources {
  /** Kubernetes' own Services and Nodes, for gateways that stand on nodes. */
  readonly serviceObjects: Collection<MeshObject<ServiceSpec>>;
  readonly nodes: Collection<MeshObject<NodeSpec>>;
  /** What DNS has for host names. */
  readonly names: Collection<ResolvedName>;
  /** False where gateways with host names are left out. */
  readonly resolvesNames: boolean;
  readonly engine: Engine;
  readonly facts: Collection<NetworkFacts>;
  readonly services: Collection<Service>;
  readonly servicesByHostname: Index<Service>;
  readonly policyFacts: Collection<PolicyFacts>;
  readonly clusterId: string;
}

/** The gateways, and the host names among their addresses. */
export interface NetworkGatewayModel {
  /** All that proxies can call, keyed 'mesh'. */
  readonly networkGateways: Collection<NetworkGateways>;
  /** Names that somebody has to look up; key and value are the name. */
  readonly gatewayNames: Collection<string>;
}

/** Finds all gateways. One with a name for its address is a gateway at each address of the name, as far as they are known. */
export function createNetworkGateways(sources: GatewaySources): NetworkGatewayModel {
  const { engine, names } = sources;
  const named = createNamedGateways(sources);
  const gatewayNames = engine.deriveMany('model.gatewayNames', named, (_fetch, { gateways }) => {
    const hosts = gateways.map(({ address }) => address).filter((address) => !isIp(address));
    return sources.resolvesNames ? hosts.map((host) => [host, host] as const) : [];
  });
  const networkGateways = engine.derive('model.networkGateways', named, (fetch, { gateways }) => ({
    gateways: distinct(
      gateways.flatMap((gateway) => {
        if (isIp(gateway.address)) return [gateway];
        const { addresses = [] } =
          fetch.get(gatewayNames, gateway.address) === undefined
            ? {}
            : (fetch.get(names, gateway.address) ?? {});
        return addresses.filter(isIp).map((address) => ({ ...gateway, address }));
      }),
    ),
  }));
  return { networkGateways, gatewayNames };
}

/** The gateways as they are written, keyed 'mesh'. */
function createNamedGateways(sources: GatewaySources): Collection<NetworkGateways> {
  const { engine, clusterId } = sources;
  const nodes = engine.derive('model.externalNodes', sources.nodes, (_fetch, node) => externalNode(node));
  const doorOf = (fetch: Fetch, { registry, namespace, name }: Service): NodePortDoor | undefined => {
    const object =
      registry === 'Kubernetes' ? fetch.get(sources.serviceObjects, `${namespace}/${name}`) : undefined;
    if (object === undefined || !isNodePortGateway(object)) return undefined;
    return nodePortDoor(object, fetch.all(nodes).values());
  };
  const labelled = engine.index('model.labelledNetworkGateways', sources.services, (service) =>
    isLabelled(service) ? [MESH_KEY] : [],
  );
  return engine.derive('model.namedNetworkGateways', sources.policyFacts, (fetch) => {
    const facts = meshFact(fetch, sources.facts, () => ONE_NETWORK);
    const byLabel = [...fetch.bucket(labelled, MESH_KEY).values()].flatMap((service) =>
      labelledGateways(service, clusterId, doorOf(fetch, service)),
    );
    const byName = facts.gatewayServices.flatMap(({ hostname, network, port }) =>
      [...fetch.bucket(sources.servicesByHostname, hostname).values()].flatMap((service) =>
        // A label says it better.
        isLabelled(service)
          ? []
          : gatewaysAt(service, { network, cluster: clusterId, port }, doorOf(fetch, service)),
      ),
    );
    return { gateways: distinct([...facts.gateways, ...byLabel, ...byName]) };
  });
}

function isLabelled({ labels }: Service): boolean {
  return (labels[NETWORK_LABEL] ?? '') !== '';
}

function labelledGateways(
  service: Service,
  cluster: string,
  door: NodePortDoor | undefined,
): readonly NetworkGateway[] {
  const wanted = Number(service.labels[GATEWAY_PORT_LABEL]);
  const port = Number.isInteger(wanted) && wanted > 0 ? wanted : DEFAULT_GATEWAY_PORT;
  if (!service.ports.some(({ number }) => number === port)) return [];
  return gatewaysAt(service, { network: service.labels[NETWORK_LABEL] ?? '', cluster, port }, door);
}

/** Addresses of the Service itself go before those of nodes. */
function gatewaysAt(
  { externalAddresses }: Service,
  gateway: Omit<NetworkGateway, 'address'>,
  door: NodePortDoor | undefined,
): readonly NetworkGateway[] {
  const addresses = externalAddresses.length > 0 ? externalAddresses : (door?.addresses ?? []);
  const port = door?.nodePorts[gateway.port] || gateway.port;
  return addresses.map((address) => ({ ...gateway, address, port }));
}

function distinct(gateways: readonly NetworkGateway[]): readonly NetworkGateway[] {
  const byKey = new Map(
    gateways.map((gateway) => [
      `${gateway.address}|${gateway.port}|${gateway.network}|${gateway.cluster}`,
      gateway,
    ]),
  );
  return [...byKey.values()].sort(
    (a, b) => compareBytes(a.address, b.address) || a.port - b.port || compareBytes(a.network, b.network),
  );
}

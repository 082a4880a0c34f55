/**
 * Endpoints in networks that the client cannot reach directly are replaced by the gateways of these networks, which pass mesh
 * mTLS on by its server name. All weights are multiplied, so that a share for each gateway is a whole number. Plain data.
 * Source: Istio pilot/pkg/xds/endpoints/ep_filters.go EndpointsByNetworkFilter.
 */
import { isIpv6 } from '#base/cidr.ts';
import type { NetworkGateway, NetworkGateways } from '#model/network.ts';
import { CLUSTER_LABEL, type Labels, NETWORK_LABEL } from '#model/workload-labels.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import type { Viewer } from '#scope/viewer.ts';
import { type LabelledGroup, type LbEndpointInput, sumOfWeights } from './locality-group.ts';

/** Who asks. */
export interface NetworkClient {
  /** '' when unknown: such a client reaches everything that no gateway stands before. */
  readonly network: string;
  readonly ipFamilies: Viewer['ipFamilies'];
}

const MAX_WEIGHT = 0xffff_ffff;

/** The groups as the client reaches them; unchanged in a mesh without gateways between networks. */
export function acrossNetworks(
  groups: readonly LabelledGroup[],
  networks: NetworkGateways,
  client: NetworkClient,
): readonly LabelledGroup[] {
  if (networks.gateways.length === 0) return groups;
  const scale = weightScale(networks);
  return groups.map((group) => reachableGroup(group, networks, client, scale));
}

function reachableGroup(
  group: LabelledGroup,
  { gateways }: NetworkGateways,
  client: NetworkClient,
  scale: number,
): LabelledGroup {
  const endpoints: LbEndpointInput[] = [];
  const labels: Labels[] = [];
  const shares = new Map<NetworkGateway, number>();
  for (const [i, endpoint] of group.endpoints.entries()) {
    const { network = '', cluster = '' } = group.places[i] ?? {};
    const candidates = gatewaysOf(gateways, network, cluster);
    const weight = Math.min(endpoint.weight * scale, MAX_WEIGHT);
    if (isDirect(client.network, network, candidates)) {
      if (endpoint.address === '') continue;
      endpoints.push({ ...endpoint, weight });
      labels.push(group.labels[i] ?? {});
      continue;
    }
    const usable = candidates.filter(({ address }) => canReach(address, client.ipFamilies));
    // The gateway finds the destination by the server name of mesh mTLS: plain text would get nowhere.
    if (!endpoint.isMutualTls) continue;
    for (const gateway of usable) {
      shares.set(gateway, (shares.get(gateway) ?? 0) + Math.floor(weight / usable.length));
    }
  }
  // In the order of all gateways, whichever endpoint came first.
  for (const gateway of gateways) {
    const share = shares.get(gateway);
    if (share === undefined) continue;
    endpoints.push(gatewayEndpoint(gateway, Math.min(share || 1, MAX_WEIGHT)));
    labels.push({ [CLUSTER_LABEL]: gateway.cluster, [NETWORK_LABEL]: gateway.network });
  }
  return { ...group, endpoints, labels, places: [], weight: sumOfWeights(endpoints) };
}

/** Gateways of the endpoint's own cluster are the shortest way; without any, all of its network serve. */
function gatewaysOf(
  gateways: readonly NetworkGateway[],
  network: string,
  cluster: string,
): readonly NetworkGateway[] {
  const ofNetwork = gateways.filter((gateway) => gateway.network === network);
  const ofCluster = ofNetwork.filter((gateway) => gateway.cluster === cluster);
  return ofCluster.length > 0 ? ofCluster : ofNetwork;
}

function isDirect(own: string, network: string, candidates: readonly NetworkGateway[]): boolean {
  if (candidates.length === 0) return true;
  return network === '' || own === network;
}

function canReach(address: string, families: Viewer['ipFamilies']): boolean {
  return families === 'dual' || isIpv6(address) === (families === 'v6');
}

function gatewayEndpoint(gateway: NetworkGateway, weight: number): LbEndpointInput {
  return {
    address: gateway.address,
    port: gateway.port,
    weight,
    health: 'unknown',
    isMutualTls: true,
    workload: {
      workload: '',
      namespace: '',
      app: '',
      version: '',
      canonicalService: '',
      canonicalRevision: '',
      cluster: gateway.cluster,
      principal: '',
    },
  };
}

/** The least number by which a weight can be divided among the gateways of any network, or of one cluster in it. */
const weightScale = identityMemo(({ gateways }: NetworkGateways): number => {
  const counts = new Map<string, number>();
  for (const { network, cluster } of gateways) {
    for (const key of [network, `${network}|${cluster}`]) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts.values()].reduce(leastCommonMultiple, 1);
});

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a * b) / x;
}

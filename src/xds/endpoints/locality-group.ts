/**
 * Endpoints of one cluster as plain data, grouped by locality: the input of ClusterLoadAssignments, in EDS and inline in
 * DNS clusters alike. Selection and grouping are here; priorities and weights between localities in locality-priority.ts.
 * Source: Istio pilot/pkg/xds/endpoints/endpoint_builder.go.
 */
import { compareBytes } from '#base/bytes-order.ts';
import { canonicalRevisionOf, canonicalServiceOf } from '#model/canonical-name.ts';
import type { Endpoint } from '#model/endpoint.ts';
import type { Locality } from '#model/proxy.ts';
import type { Labels } from '#model/workload-labels.ts';

/** One endpoint as Envoy needs it. */
export interface LbEndpointInput {
  readonly address: string;
  /** Envoy tries them beside the first, whichever answers first. */
  readonly otherAddresses?: readonly string[];
  /** 0 where the address is the path of a Unix socket. */
  readonly port: number;
  readonly weight: number;
  readonly health: Endpoint['health'];
  /** The endpoint is to be called by mesh mTLS. */
  readonly isMutualTls: boolean;
  /** What telemetry says about the destination. */
  readonly workload: WorkloadFacts;
}

/** Facts about the workload behind an endpoint; '' where unknown. */
export interface WorkloadFacts {
  readonly workload: string;
  readonly namespace: string;
  readonly app: string;
  readonly version: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly cluster: string;
  readonly principal: string;
}

/** Endpoints of one locality with one priority. */
export interface LocalityGroup {
  readonly locality: Locality;
  readonly priority: number;
  readonly weight: number;
  readonly endpoints: readonly LbEndpointInput[];
}

/** A group that still knows the labels of its endpoints, in step: failover priorities compare them with the client's. */
export interface LabelledGroup extends LocalityGroup {
  readonly labels: readonly Labels[];
  /** Where each endpoint is, in step too, until networks have been looked at. */
  readonly places: readonly { readonly network: string; readonly cluster: string }[];
}

const MAX_WEIGHT = 0xffff_ffff;

/** Groups endpoints by locality; localities in byte order, all with priority 0. */
export function groupByLocality(
  endpoints: readonly Endpoint[],
  isMutualTls: (endpoint: Endpoint) => boolean,
): readonly LabelledGroup[] {
  const groups = new Map<string, Endpoint[]>();
  for (const endpoint of endpoints) {
    const { region, zone, subzone } = endpoint.locality;
    const key = `${region}/${zone}/${subzone}`;
    const members = groups.get(key);
    if (members === undefined) groups.set(key, [endpoint]);
    else members.push(endpoint);
  }
  const sorted = [...groups].sort((a, b) => compareBytes(a[0], b[0]));
  return sorted.map(([, members]) => {
    const inputs = members.map((endpoint) => lbEndpoint(endpoint, isMutualTls(endpoint)));
    return {
      locality: (members[0] as Endpoint).locality,
      priority: 0,
      weight: sumOfWeights(inputs),
      endpoints: inputs,
      labels: members.map((endpoint) => endpoint.labels),
      places: members.map(({ network, clusterId }) => ({ network, cluster: clusterId })),
    };
  });
}

/** Weights added up, cut off where Envoy's field ends. */
export function sumOfWeights(endpoints: readonly LbEndpointInput[]): number {
  return Math.min(
    endpoints.reduce((sum, endpoint) => sum + endpoint.weight, 0),
    MAX_WEIGHT,
  );
}

function lbEndpoint(endpoint: Endpoint, isMutualTls: boolean): LbEndpointInput {
  const { otherAddresses } = endpoint;
  return {
    address: endpoint.address,
    ...(otherAddresses === undefined ? {} : { otherAddresses }),
    port: endpoint.port,
    weight: endpoint.weight || 1,
    health: endpoint.health,
    isMutualTls,
    workload: workloadFacts(endpoint),
  };
}

function workloadFacts(endpoint: Endpoint): WorkloadFacts {
  const { labels } = endpoint;
  return {
    workload: endpoint.workloadName,
    namespace: endpoint.namespace,
    app: labels['app'] ?? '',
    version: labels['version'] ?? '',
    canonicalService: canonicalServiceOf(labels, endpoint.workloadName),
    canonicalRevision: canonicalRevisionOf(labels),
    cluster: endpoint.clusterId,
    principal: endpoint.identity,
  };
}

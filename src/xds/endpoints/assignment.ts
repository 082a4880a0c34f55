/**
 * The load assignment of one planned cluster: which endpoints, in which order of preference. Shared by plain clusters and those
 * that forward mesh TLS.
 */
import { isClusterLocal } from '#model/cluster-local.ts';
import type { ClusterFacts } from '#model/mesh-facts.ts';
import type { NetworkGateways } from '#model/network.ts';
import type { Service } from '#model/service.ts';
import { ClusterLoadAssignmentSchema } from '#proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import type { ClientTraits, HostPolicy, PlannedCluster } from '#xds/clusters/cluster-plan.ts';
import { encodeResource } from '#xds/encode.ts';
import { type Resource, TYPE_ENDPOINT } from '#xds/resource.ts';
import { mutualTlsCheck, ruleTlsMode, selectEndpoints } from './endpoint-selection.ts';
import type { ClientPlace } from './endpoint-view.ts';
import { buildLoadAssignment, type LoadAssignmentInput } from './load-assignment.ts';
import { groupByLocality } from './locality-group.ts';
import { prioritize } from './locality-priority.ts';
import { acrossNetworks } from './network-gateways.ts';
import { localityLbOf } from './locality-settings.ts';
import { type ServedEndpoints, serverMutualCheck } from './served-endpoints.ts';

/** Encodes one. */
export function encodeAssignment(input: LoadAssignmentInput): Resource {
  const message = buildLoadAssignment(input);
  return encodeResource(ClusterLoadAssignmentSchema, message, TYPE_ENDPOINT, input.clusterName);
}

/** What a cluster's load assignment is made from, besides the plan. */
export interface AssignmentContext {
  readonly service: Service;
  readonly policy: HostPolicy;
  readonly facts: ClusterFacts;
  readonly traits: ClientTraits;
  readonly served: ServedEndpoints;
  readonly networks: NetworkGateways;
  readonly place: ClientPlace;
  /** Leaves out endpoints that take plain text. */
  readonly onlyMutualTls?: boolean;
}

/** The input of one load assignment. */
export function assignmentInput(planned: PlannedCluster, context: AssignmentContext): LoadAssignmentInput {
  const { service, policy, facts, traits, served, networks, place } = context;
  const { port, rulePolicy } = planned;
  const subsetLabels = planned.subset?.labels ?? {};
  const query = {
    service,
    port,
    subsetLabels,
    policy: rulePolicy,
    clientNode: place.nodeName,
    ...(isClusterLocal(facts.clusterLocal, service.hostname) ? { onlyCluster: place.clusterId } : {}),
    flags: facts.flags,
    networkView: place.networkView,
  };
  const ruleMode = ruleTlsMode(policy, planned.subset?.name ?? '', port.number);
  const isMutualTls = mutualTlsCheck(ruleMode, serverMutualCheck(served));
  const selected = selectEndpoints(served.endpoints, query, false);
  const taken = context.onlyMutualTls === true ? selected.filter(isMutualTls) : selected;
  const client = { network: place.network, ipFamilies: traits.ipFamilies };
  const groups = acrossNetworks(groupByLocality(taken, isMutualTls), networks, client);
  const lb = localityLbOf(rulePolicy.loadBalancer, service.trafficDistribution, facts);
  const detectsOutliers = rulePolicy.outlierDetection !== undefined;
  return { clusterName: planned.name, groups: prioritize(groups, lb, place, detectsOutliers) };
}

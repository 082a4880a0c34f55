/**
 * ClusterLoadAssignment from grouped endpoints. Endpoint metadata tells the transport socket (`tlsMode`) and telemetry
 * (`istio` in Istio's compressed form, `lateen` one key per label) who is behind the address.
 * Source: Istio pilot/pkg/xds/endpoints/endpoint_builder.go buildEnvoyLbEndpoint, networking/util AppendLbEndpointMetadata.
 */
import { create, type JsonObject } from '@bufbuild/protobuf';
import { type Address, AddressSchema } from '#proto/envoy/config/core/v3/address_pb.ts';
import { HealthStatus } from '#proto/envoy/config/core/v3/health_check_pb.ts';
import {
  type LbEndpoint,
  LbEndpointSchema,
  type LocalityLbEndpoints,
  LocalityLbEndpointsSchema,
} from '#proto/envoy/config/endpoint/v3/endpoint_components_pb.ts';
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
} from '#proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import { socketAddress } from '#xds/address.ts';
import type { LbEndpointInput, LocalityGroup, WorkloadFacts } from './locality-group.ts';

/** All that a load assignment is made from. */
export interface LoadAssignmentInput {
  readonly clusterName: string;
  readonly groups: readonly LocalityGroup[];
}

const HEALTH = {
  healthy: HealthStatus.HEALTHY,
  unhealthy: HealthStatus.UNHEALTHY,
  draining: HealthStatus.DRAINING,
  unknown: HealthStatus.UNKNOWN,
} as const;

/** Builds the message. */
export function buildLoadAssignment(input: LoadAssignmentInput): ClusterLoadAssignment {
  return create(ClusterLoadAssignmentSchema, {
    clusterName: input.clusterName,
    endpoints: input.groups.map(localityEndpoints),
  });
}

function localityEndpoints(group: LocalityGroup): LocalityLbEndpoints {
  const { region, zone, subzone } = group.locality;
  return create(LocalityLbEndpointsSchema, {
    locality: { region, zone, subZone: subzone },
    priority: group.priority,
    loadBalancingWeight: group.weight,
    lbEndpoints: group.endpoints.map(lbEndpoint),
  });
}

function lbEndpoint(endpoint: LbEndpointInput): LbEndpoint {
  const { workload } = endpoint;
  const filterMetadata: Record<string, JsonObject> = { istio: { workload: compressedWorkload(workload) } };
  const labels = workloadLabels(workload);
  if (Object.keys(labels).length > 0) filterMetadata['lateen'] = labels;
  if (endpoint.isMutualTls) filterMetadata['envoy.transport_socket_match'] = { tlsMode: 'istio' };
  return create(LbEndpointSchema, {
    hostIdentifier: {
      case: 'endpoint',
      value: { address: addressOf(endpoint), additionalAddresses: otherAddresses(endpoint) },
    },
    healthStatus: HEALTH[endpoint.health],
    loadBalancingWeight: endpoint.weight,
    metadata: { filterMetadata },
  });
}

function addressOf(endpoint: LbEndpointInput): Address {
  if (endpoint.port !== 0) return socketAddress(endpoint.address, endpoint.port);
  return create(AddressSchema, { address: { case: 'pipe', value: { path: endpoint.address } } });
}

function otherAddresses({ otherAddresses = [], port }: LbEndpointInput) {
  return otherAddresses.map((address) => ({ address: socketAddress(address, port) }));
}

/** `workload;namespace;canonical service;canonical revision;cluster`, which tools that know Istio read. */
function compressedWorkload(facts: WorkloadFacts): string {
  return [
    facts.workload,
    facts.namespace,
    facts.canonicalService,
    facts.canonicalRevision,
    facts.cluster,
  ].join(';');
}

function workloadLabels(facts: WorkloadFacts): JsonObject {
  const labels: Record<string, string> = {
    workload: facts.workload,
    namespace: facts.namespace,
    app: facts.app,
    version: facts.version,
    canonical_service: facts.canonicalService,
    canonical_revision: facts.canonicalRevision,
    cluster: facts.cluster,
    principal: facts.principal,
  };
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ''));
}

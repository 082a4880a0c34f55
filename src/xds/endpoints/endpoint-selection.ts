/**
 * Which endpoints of a service belong to one cluster: by port, subset labels, health, and whether Envoy can use their
 * addresses; and which of them are called by mesh mTLS. Pure but for the answers of `ServerMutualTls`.
 * Source: Istio pilot/pkg/xds/endpoints/endpoint_builder.go, mtls_checker.go.
 */
import type { TrafficPolicy } from '#api/destination-rule.ts';
import type { Endpoint } from '#model/endpoint.ts';
import { isIp } from '#base/cidr.ts';
import type { ClusterFlags } from '#model/mesh-facts.ts';
import type { Service, ServicePort } from '#model/service.ts';
import { type Labels, matchesLabels } from '#model/workload-labels.ts';
import type { DestinationPolicy } from '#scope/outbound-host.ts';
import type { PortPolicy } from '#xds/clusters/traffic-policy.ts';

/** One cluster's wish. */
export interface EndpointQuery {
  readonly service: Service;
  readonly port: ServicePort;
  readonly subsetLabels: Labels;
  /** Policy in force for this port and subset. */
  readonly policy: PortPolicy;
  /** Node of the client: services with internalTrafficPolicy Local show only their endpoints there. */
  readonly clientNode: string;
  /** Cluster of the client where the service's endpoints are called from their own cluster only. */
  readonly onlyCluster?: string;
  readonly flags: ClusterFlags;
  /** Networks whose endpoints the client wants; empty for all. */
  readonly networkView: readonly string[];
}

/** The endpoints of the cluster; `resolvesNames` where Envoy resolves host names itself (DNS clusters). */
export function selectEndpoints(
  endpoints: readonly Endpoint[],
  query: EndpointQuery,
  resolvesNames: boolean,
): readonly Endpoint[] {
  const takesUnhealthy = sendsUnhealthy(query);
  const isNodeLocal = query.service.internalTrafficPolicy === 'Local';
  const { onlyCluster } = query;
  const keepsDraining = query.service.persistentSession?.by === 'cookie';
  return endpoints.filter(
    (endpoint) =>
      endpoint.servicePort === query.port.number &&
      (resolvesNames || endpoint.portName === query.port.name) &&
      (resolvesNames ? endpoint.address !== '' : isReachable(endpoint)) &&
      isInView(endpoint, query.networkView) &&
      (onlyCluster === undefined || endpoint.clusterId === onlyCluster) &&
      (!isNodeLocal || endpoint.nodeName === query.clientNode) &&
      (takesUnhealthy || endpoint.health !== 'unhealthy') &&
      (keepsDraining || endpoint.health !== 'draining') &&
      matchesLabels(query.subsetLabels, endpoint.labels),
  );
}

/** An endpoint that names no network is everywhere. */
function isInView({ network }: Endpoint, view: readonly string[]): boolean {
  return view.length === 0 || network === '' || view.includes(network);
}

function isReachable(endpoint: Endpoint): boolean {
  // Without an address, an endpoint is reached through a gateway of its network.
  return endpoint.address === '' || endpoint.port === 0 || isIp(endpoint.address);
}

/**
 * Endpoints that are not ready are sent, marked, so that Envoy knows how many there are; not where a rule asks for panic
 * mode, in which Envoy would use them.
 */
function sendsUnhealthy({ service, policy, flags }: EndpointQuery): boolean {
  if (service.trafficDistribution !== '' || flags.sendUnhealthyEndpoints) return true;
  if (!flags.autoSendUnhealthyEndpoints) return false;
  return (policy.outlierDetection?.minHealthPercent ?? 0) <= 0;
}

/**
 * Whether a cluster calls an endpoint by mesh mTLS: its sidecar must accept it; then a rule decides, and without one
 * what the server demands (`isServerMutual`).
 */
export function mutualTlsCheck(
  ruleMode: string | undefined,
  isServerMutual: (endpoint: Endpoint) => boolean,
): (endpoint: Endpoint) => boolean {
  return (endpoint) => {
    if (endpoint.tlsMode !== 'istio') return false;
    return ruleMode === undefined ? isServerMutual(endpoint) : ruleMode === 'ISTIO_MUTUAL';
  };
}

/**
 * The TLS mode that a DestinationRule sets for a port and subset, as endpoints see it; undefined when none does. Unlike
 * in clusters, a port-level setting without TLS leaves the setting above in force.
 */
export function ruleTlsMode(policy: DestinationPolicy, subset: string, port: number): string | undefined {
  const ofService = tlsModeAt(policy.trafficPolicy, port);
  if (subset === '') return ofService;
  const found = policy.subsets.find((candidate) => candidate.name === subset);
  return found === undefined ? undefined : (tlsModeAt(found.trafficPolicy, port) ?? ofService);
}

function tlsModeAt(policy: TrafficPolicy | undefined, port: number): string | undefined {
  const atPort = policy?.portLevelSettings?.find(
    (settings) => settings.port?.number === port && settings.tls,
  );
  const tls = atPort?.tls ?? policy?.tls;
  return tls === undefined ? undefined : (tls.mode ?? 'DISABLE');
}

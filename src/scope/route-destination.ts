/**
 * Destinations of routes as clusters: which port of which service, and with which consistent hash. Looks at services and
 * DestinationRules through a lookup, so that the caller's dependencies are exactly the hosts that were asked for.
 */
import type { Destination, HttpRoute } from '#api/virtual-service.ts';
import type { LoadBalancerSettings_ConsistentHashLBJson } from '#proto/istio/networking/v1alpha3/destination_rule_pb.ts';
import type { PersistentSession, Service } from '#model/service.ts';
import type { DestinationPolicy } from './outbound-host.ts';

/** Finds what a host name means for the asker; undefined when it sees no such service. */
export type HostLookup = (hostname: string) => HostFacts | undefined;

export interface HostFacts {
  readonly service: Service;
  readonly policy: DestinationPolicy | undefined;
}

/** Where a rule without port sends: `listener` is the port that the request came in on. */
export type PortInference =
  /** The listener's port, always: routes in a table of one port (Istio's sidecars). */
  | 'listener'
  /** The service's only port where it has one, else the listener's: gateways and the HTTP proxy. */
  | 'single-port';

export interface ResolutionScope {
  readonly lookup: HostLookup;
  readonly listenerPort: number;
  readonly inference: PortInference;
}

/** A destination as a cluster's parts. */
export interface ResolvedDestination {
  readonly hostname: string;
  readonly port: number;
  readonly subset: string;
  readonly hash: LoadBalancerSettings_ConsistentHashLBJson | undefined;
  /** The service's sessions, where routes are to keep them with an endpoint. */
  readonly session: PersistentSession | undefined;
}

/** All destinations of one rule. */
export interface ResolvedRule {
  /** In parallel with `route`. */
  readonly targets: readonly ResolvedDestination[];
  readonly mirror: ResolvedDestination | undefined;
  /** In parallel with `mirrors`. */
  readonly mirrors: readonly ResolvedDestination[];
}

/** Resolves what a rule names. Unknown services are no error: Envoy answers 503 for a cluster that it lacks. */
export function resolveRule(route: HttpRoute, scope: ResolutionScope): ResolvedRule {
  return {
    targets: (route.route ?? []).map((entry) => resolveDestination(entry.destination ?? {}, scope)),
    mirror: route.mirror === undefined ? undefined : resolveDestination(route.mirror, scope),
    mirrors: (route.mirrors ?? []).map((entry) => resolveDestination(entry.destination ?? {}, scope)),
  };
}

/** Source: istio route.go GetDestinationCluster, HashForHTTPDestination. */
export function resolveDestination(destination: Destination, scope: ResolutionScope): ResolvedDestination {
  const hostname = destination.host ?? '';
  const facts = scope.lookup(hostname);
  const subset = destination.subset ?? '';
  const namedPort = destination.port?.number ?? 0;
  const onListener = facts?.service.ports.some((port) => port.number === scope.listenerPort) ?? false;
  const followsAlias = scope.inference === 'single-port' || onListener;
  return {
    hostname: (followsAlias ? facts?.service.externalName : '') || hostname,
    port: namedPort || inferPort(facts?.service, scope),
    subset,
    hash: facts?.policy === undefined ? undefined : destinationHash(facts.policy, subset, namedPort),
    session: routedSession(facts?.service),
  };
}

/** The session that routes to a service keep with an endpoint. */
export function routedSession(service: Service | undefined): PersistentSession | undefined {
  const session = service?.persistentSession;
  return session?.isRouted === true ? session : undefined;
}

function inferPort(service: Service | undefined, scope: ResolutionScope): number {
  const only = service?.ports.length === 1 ? service.ports[0] : undefined;
  return scope.inference === 'single-port' && only !== undefined ? only.number : scope.listenerPort;
}

/** The most specific hash that a DestinationRule has: subset and port, subset, port, host. */
function destinationHash(
  policy: DestinationPolicy,
  subsetName: string,
  port: number,
): LoadBalancerSettings_ConsistentHashLBJson | undefined {
  const subset = policy.subsets.find((entry) => (entry.name ?? '') === subsetName)?.trafficPolicy;
  return (
    portHash(subset, port) ??
    subset?.loadBalancer?.consistentHash ??
    portHash(policy.trafficPolicy, port) ??
    policy.trafficPolicy?.loadBalancer?.consistentHash
  );
}

/** The hash of a service port that no VirtualService routes. Source: istio route.go hashForService. */
export function servicePortHash(
  policy: DestinationPolicy | undefined,
  port: number,
): LoadBalancerSettings_ConsistentHashLBJson | undefined {
  return portHash(policy?.trafficPolicy, port) ?? policy?.trafficPolicy?.loadBalancer?.consistentHash;
}

function portHash(
  traffic: DestinationPolicy['trafficPolicy'],
  port: number,
): LoadBalancerSettings_ConsistentHashLBJson | undefined {
  if (port === 0) return undefined;
  const settings = traffic?.portLevelSettings?.find((entry) => entry.port?.number === port);
  return settings?.loadBalancer?.consistentHash;
}

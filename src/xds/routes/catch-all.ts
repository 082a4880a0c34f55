/**
 * What becomes of requests for hosts that the mesh does not know: sent on to where they were going, or refused.
 * Source: istio httproute.go buildCatchAllVirtualHost.
 */
import { create } from '@bufbuild/protobuf';
import { type Route, RouteSchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { StringMatcherSchema } from '#proto/envoy/type/matcher/v3/string_pb.ts';
import type { Interner } from '#collections/interner.ts';
import type { Destination } from '#api/virtual-service.ts';
import type { UnknownHosts } from '#model/route-facts.ts';
import { outboundClusterName, PASSTHROUGH_CLUSTER, UNKNOWN_HOSTS_CLUSTER } from '#xds/names.ts';
import { timeouts } from './action.ts';
import { type EncodedRoute, encodeRoute } from './encoded-route.ts';
import { virtualServiceDomains } from '#scope/route-domains.ts';
import { type EncodedVirtualHost, encodeVirtualHost } from './virtual-host.ts';

export interface CatchAllInput {
  readonly unknownHosts: UnknownHosts;
  /** Where they are sent instead of where they were going; undefined as a rule. */
  readonly egressProxy: Destination | undefined;
  /** Requests that name this port would come back for ever; 0 for none. */
  readonly refusedPort: number;
  readonly includeAttemptCount: boolean;
  readonly appendForwardedHost: boolean;
}

/** Names of the virtual host and its route, as Istio has them. */
const NAMES: Readonly<Record<UnknownHosts, string>> = {
  REGISTRY_ONLY: 'block_all',
  ALLOW_ANY: 'allow_any',
  ALLOW_ANY_DYNAMIC_DNS: 'allow_any_dynamic_dns',
};
const REFUSED = { case: 'directResponse' as const, value: { status: 502 } };

/** The virtual host for every other host. */
export function internCatchAll(interner: Interner, input: CatchAllInput): EncodedVirtualHost {
  return interner.intern('catchAllVirtualHost', input, buildCatchAll);
}

function buildCatchAll(input: CatchAllInput): EncodedVirtualHost {
  const name = NAMES[input.unknownHosts];
  const route = create(RouteSchema, {
    name,
    match: { pathSpecifier: { case: 'prefix', value: '/' } },
    action: action(input),
  });
  return encodeVirtualHost(name, virtualServiceDomains('*'), {
    routes: [...refusal(input), encodeRoute(route)],
    requireTls: false,
    includeAttemptCount: input.includeAttemptCount,
  });
}

function refusal({ refusedPort, unknownHosts }: CatchAllInput): EncodedRoute[] {
  if (refusedPort === 0 || unknownHosts === 'REGISTRY_ONLY') return [];
  const suffix = create(StringMatcherSchema, {
    matchPattern: { case: 'suffix', value: `:${refusedPort}` },
  });
  const ofPort = {
    name: ':authority',
    headerMatchSpecifier: { case: 'stringMatch' as const, value: suffix },
  };
  const route = create(RouteSchema, {
    name: 'no_loop',
    match: { pathSpecifier: { case: 'prefix', value: '/' }, headers: [ofPort] },
    action: REFUSED,
  });
  return [encodeRoute(route)];
}

function action(input: CatchAllInput): Route['action'] {
  if (input.unknownHosts === 'REGISTRY_ONLY') return create(RouteSchema, { action: REFUSED }).action;
  const forward = {
    case: 'route' as const,
    value: {
      clusterSpecifier: { case: 'cluster' as const, value: clusterFor(input) },
      ...timeouts(undefined),
      appendXForwardedHost: input.appendForwardedHost,
    },
  };
  return create(RouteSchema, { action: forward }).action;
}

function clusterFor({ unknownHosts, egressProxy }: CatchAllInput): string {
  if (unknownHosts === 'ALLOW_ANY_DYNAMIC_DNS') return UNKNOWN_HOSTS_CLUSTER;
  if (egressProxy === undefined) return PASSTHROUGH_CLUSTER;
  const { host = '', subset = '', port } = egressProxy;
  return outboundClusterName(port?.number ?? 0, subset, host);
}

/**
 * From a selected list of rules to encoded routes: the input record of a route list (all that the builder sees) and its
 * building. Shared by sidecars and gateways.
 */
import type { HttpMatch, HttpRoute } from '#api/virtual-service.ts';
import type { HTTPRetryJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import type { PersistentSession } from '#model/service.ts';
import type { VirtualService } from '#model/virtual-service.ts';
import { type ResolutionScope, type ResolvedDestination, resolveRule } from '#scope/route-destination.ts';
import type { SelectedRule } from '#scope/route-selection.ts';
import { outboundClusterName } from '#xds/names.ts';
import type { RouteTarget } from './action.ts';
import { buildEncodedRoutes, type EncodedRoute } from './encoded-route.ts';
import type { MirrorClusters } from './mirror.ts';
import type { RouteInput } from './route.ts';

/** Everything that a list of routes depends on; plain data, so that equal lists are built once. */
export interface RouteListInput {
  readonly virtualService: { readonly namespace: string; readonly name: string };
  readonly semantics: VirtualService['semantics'];
  readonly rules: readonly RouteListRule[];
  readonly listenPort: number;
  readonly isTls: boolean;
  readonly defaultRetries: HTTPRetryJson | undefined;
  readonly appendForwardedHost: boolean;
  /** Answers name HTTP/3 on the listener's port; gateways only. */
  readonly advertisesHttp3?: boolean;
  readonly shadowSuffix: boolean;
}

export interface RouteListRule {
  /** The rule without its matches. */
  readonly http: HttpRoute;
  readonly match: HttpMatch | undefined;
  readonly targets: readonly RouteTarget[];
  readonly mirrors: MirrorClusters;
  readonly session: PersistentSession | undefined;
}

/** What the asker and the listener add to the rules. */
export interface RouteListContext {
  readonly isTls: boolean;
  readonly defaultRetries: HTTPRetryJson | undefined;
  readonly appendForwardedHost: boolean;
  /** Answers name HTTP/3 on the listener's port; gateways only. */
  readonly advertisesHttp3?: boolean;
  readonly shadowSuffix: boolean;
}

/** Makes the input record: resolves destinations and leaves out what no route depends on. */
export function routeListInput(
  virtualService: VirtualService,
  rules: readonly SelectedRule[],
  scope: ResolutionScope,
  context: RouteListContext,
): RouteListInput {
  return {
    virtualService: { namespace: virtualService.namespace, name: virtualService.name },
    semantics: virtualService.semantics,
    rules: rules.map(({ rule, match }) => {
      const { match: _matches, ...http } = rule.route;
      const resolved = resolveRule(rule.route, scope);
      return {
        http,
        match,
        targets: resolved.targets.map((target) => ({ cluster: clusterOf(target), hash: target.hash })),
        mirrors: {
          single: resolved.mirror === undefined ? '' : clusterOf(resolved.mirror),
          several: resolved.mirrors.map(clusterOf),
        },
        session: sessionOf(resolved.targets),
      };
    }),
    listenPort: scope.listenerPort,
    ...context,
  };
}

/**
 * The session of a rule with several destinations. That of the last one counts, unless two beside each other have one, then
 * the first of them: Istio's behaviour.
 */
function sessionOf(targets: readonly ResolvedDestination[]): PersistentSession | undefined {
  let session: PersistentSession | undefined;
  for (const target of targets) {
    if (session !== undefined && target.session !== undefined) return session;
    session = target.session;
  }
  return session;
}

/** Builds the routes of a list. Cost: O(rules), once per distinct input. */
export function buildRouteList(input: RouteListInput): readonly EncodedRoute[] {
  const { rules, semantics, ...common } = input;
  return buildEncodedRoutes(
    rules.map(
      (rule): RouteInput => ({
        ...common,
        ...rule,
        semantics: semantics === 'virtual-service' ? 'text' : 'element',
        notFoundIs500: semantics === 'gateway-api',
      }),
    ),
  );
}

/** A backend without a host (an invalid one of Gateway API) leads to a cluster that does not exist. */
function clusterOf(target: ResolvedDestination): string {
  if (target.hostname === '') return 'UnknownService';
  return outboundClusterName(target.port, target.subset, target.hostname);
}

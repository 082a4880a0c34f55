/**
 * Envoy's CORS filter: answers preflights, and lets everything else pass. Only where the route leads to a cluster.
 * Source: envoy source/extensions/filters/http/cors/cors_filter.cc.
 */
import type { CorsPolicy } from '#proto/envoy/extensions/filters/http/cors/v3/cors_pb.ts';
import type { Evaluation } from '#simulation/evaluation.ts';
import type { RequestHeaders } from '#simulation/headers.ts';
import { matchesString } from '#simulation/match/string.ts';
import { causeOfRoute, fractionWeights } from '#simulation/route/route-selection.ts';
import type { Verdict } from '#simulation/simulated-call.ts';
import type { RequestState } from './request-state.ts';
import { routeOf } from './router.ts';

/** The answer to a preflight, or nothing. `policies` are those of the route and its virtual host, in that order. */
export function runCors(
  evaluation: Evaluation,
  state: RequestState,
  policies: readonly CorsPolicy[],
): Verdict | undefined {
  const route = routeOf(state);
  const [first] = policies;
  if (route?.action.case !== 'route' || first === undefined) return undefined;
  const { headers } = state;
  const origin = headers.get('origin') ?? '';
  if (origin === '' || !isPreflight(headers)) return undefined;
  const enabled = first.filterEnabled?.defaultValue;
  if (enabled !== undefined && evaluation.chance.pick(fractionWeights(enabled)) !== 0) return undefined;
  const origins =
    policies.find((policy) => policy.allowOriginStringMatch.length > 0)?.allowOriginStringMatch ?? [];
  const isAllowed = origins.some((matcher) => matchesString(matcher, '*') || matchesString(matcher, origin));
  const forwards = policies.find((policy) => policy.forwardNotMatchingPreflights !== undefined);
  const causes = causeOfRoute(route);
  if (!isAllowed && forwards?.forwardNotMatchingPreflights !== false) {
    evaluation.note(
      'http-filter',
      'envoy.filters.http.cors',
      `origin ${origin} is not allowed; passes on`,
      causes,
    );
    return undefined;
  }
  const verdict = isAllowed ? 'allowed' : 'not allowed';
  evaluation.note('http-filter', 'envoy.filters.http.cors', `answers the preflight: ${verdict}`, causes);
  return { kind: 'cors-answer', status: 200, details: 'cors_response', route: route.name };
}

/** A browser asks whether it may. */
export function isPreflight(headers: RequestHeaders): boolean {
  const asks = (headers.get('access-control-request-method') ?? '') !== '';
  return headers.method === 'OPTIONS' && asks && (headers.get('origin') ?? '') !== '';
}

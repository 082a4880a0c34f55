/**
 * From a request to its route: virtual host, then the first route that takes it. The order is that of the configuration.
 * Pure; chance decides about runtime fractions.
 */
import type { Cause } from '#base/cause.ts';
import {
  type Route,
  type VirtualHost,
  VirtualHost_TlsRequirementType as TlsRequirement,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import type { RouteConfiguration } from '#proto/envoy/config/route/v3/route_pb.ts';
import {
  type FractionalPercent,
  FractionalPercent_DenominatorType,
} from '#proto/envoy/type/v3/percent_pb.ts';
import type { Chance } from '#simulation/chance.ts';
import { matchesRoute, type RouteSubject } from './route-match.ts';
import { findVirtualHost } from './virtual-host.ts';

export type RouteSelection =
  | {
      readonly kind: 'route';
      readonly virtualHost: VirtualHost;
      readonly route: Route;
      readonly index: number;
    }
  /** Plain HTTP to a virtual host that demands https. */
  | { readonly kind: 'tls-redirect'; readonly virtualHost: VirtualHost }
  | { readonly kind: 'none'; readonly virtualHost: VirtualHost | undefined };

/** Finds the route. Cost: O(routes of the virtual host). */
export function selectRoute(
  routes: RouteConfiguration,
  subject: RouteSubject,
  chance: Chance,
): RouteSelection {
  const { headers } = subject;
  const virtualHost = findVirtualHost(routes, headers.authority);
  if (virtualHost === undefined) return { kind: 'none', virtualHost };
  const isHttps = headers.get('x-forwarded-proto') === 'https';
  if (virtualHost.requireTls === TlsRequirement.ALL && !isHttps) return { kind: 'tls-redirect', virtualHost };
  if (virtualHost.matcher !== undefined) subject.onUnknown('matcher tree of a virtual host');
  const index = virtualHost.routes.findIndex(({ match }) => {
    if (match === undefined || !matchesRoute(match, subject)) return false;
    const fraction = match.runtimeFraction?.defaultValue;
    return fraction === undefined || chance.pick(fractionWeights(fraction)) === 0;
  });
  const route = virtualHost.routes[index];
  return route === undefined ? { kind: 'none', virtualHost } : { kind: 'route', virtualHost, route, index };
}

const DENOMINATORS: Readonly<Record<FractionalPercent_DenominatorType, number>> = {
  [FractionalPercent_DenominatorType.HUNDRED]: 100,
  [FractionalPercent_DenominatorType.TEN_THOUSAND]: 10_000,
  [FractionalPercent_DenominatorType.MILLION]: 1_000_000,
};

/** The weights of yes and no. */
export function fractionWeights({ numerator, denominator }: FractionalPercent): readonly [number, number] {
  const whole = DENOMINATORS[denominator] ?? 100;
  const yes = Math.min(numerator, whole);
  return [yes, whole - yes];
}

/** The VirtualService that a route came from, as its metadata names it. */
export function causeOfRoute({ metadata }: Route): readonly Cause[] {
  const config = metadata?.filterMetadata['istio']?.['config'];
  if (typeof config !== 'string') return [];
  const [, namespace, name] = /\/namespaces\/([^/]+)\/virtual-service\/(.+)$/.exec(config) ?? [];
  if (namespace === undefined || name === undefined) return [];
  return [{ kind: 'VirtualService', namespace, name, path: '' }];
}

/** Settings of an HTTP filter that a route, its virtual host or the route table overrides. */
import { isMessage, type Message } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { FilterConfigSchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { openAny } from '#simulation/resources.ts';
import type { RequestState } from './request-state.ts';

/** What is said of a filter for this route, most specific first. */
export interface PerRoute {
  readonly configs: readonly Message[];
  readonly isDisabled: boolean;
}

/**
 * Looks up a filter by its name in the weighted cluster, the route, the virtual host and the table.
 * `cluster` is asked only where a weighted cluster says something: it makes chance choose.
 */
export function perRoute(state: RequestState, filter: string, cluster: () => number): PerRoute {
  const { selection, routes } = state;
  if (selection === undefined || selection.virtualHost === undefined)
    return { configs: [], isDisabled: false };
  const scopes: Readonly<Record<string, Any>>[] = [];
  if (selection.kind === 'route') {
    const { action } = selection.route;
    const specifier = action.case === 'route' ? action.value.clusterSpecifier : undefined;
    const weighted = specifier?.case === 'weightedClusters' ? specifier.value.clusters : [];
    if (weighted.some((one) => filter in one.typedPerFilterConfig)) {
      scopes.push(weighted[cluster()]?.typedPerFilterConfig ?? {});
    }
    scopes.push(selection.route.typedPerFilterConfig);
  }
  scopes.push(selection.virtualHost.typedPerFilterConfig, routes?.typedPerFilterConfig ?? {});
  return unwrap(scopes.flatMap((scope) => (Object.hasOwn(scope, filter) ? [scope[filter]] : [])));
}

function unwrap(anys: readonly (Any | undefined)[]): PerRoute {
  const configs: Message[] = [];
  for (const any of anys) {
    const message = any === undefined ? undefined : openAny(any);
    if (message === undefined) continue;
    if (!isMessage(message, FilterConfigSchema)) {
      configs.push(message);
      continue;
    }
    if (message.disabled) return { configs, isDisabled: configs.length === 0 };
    const inner = message.config === undefined ? undefined : openAny(message.config);
    if (inner !== undefined) configs.push(inner);
  }
  return { configs, isDisabled: false };
}

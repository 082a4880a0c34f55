/**
 * What connected clients have asked for, where only that is made for them: name tables, and the resources of proxyless gRPC
 * clients by name. A source collection that ads/ feeds from subscriptions; whatever nobody asks for costs nothing.
 */
import { sortedBy } from '#base/bytes-order.ts';

/** The wishes of one client. Keyed by proxy id; names are sorted and unique. */
export interface Demand {
  readonly nameTable: boolean;
  readonly listeners: readonly string[];
  readonly routes: readonly string[];
  readonly clusters: readonly string[];
}

/** A client that has asked for nothing yet. */
export const NO_DEMAND: Demand = { nameTable: false, listeners: [], routes: [], clusters: [] };

/** True when nothing is asked for. */
export function isIdle(demand: Demand): boolean {
  const { nameTable, listeners, routes, clusters } = demand;
  return !nameTable && listeners.length + routes.length + clusters.length === 0;
}

/** What several streams of one client ask for together. */
export function joinDemands(demands: readonly Demand[]): Demand {
  const names = (part: 'listeners' | 'routes' | 'clusters'): readonly string[] =>
    sortedBy(new Set(demands.flatMap((demand) => demand[part])), (name) => name);
  return {
    nameTable: demands.some((demand) => demand.nameTable),
    listeners: names('listeners'),
    routes: names('routes'),
    clusters: names('clusters'),
  };
}

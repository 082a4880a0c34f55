/**
 * What Envoy does with configuration, whichever way it came: clusters warm until their endpoints come, listeners until their
 * routes come, and what is named by those in use is what it asks for. Facts: Envoy 1.40 cluster_manager_impl,
 * eds, listener_impl, rds_route_config_subscription.
 */
import { TYPE_CLUSTER, TYPE_ENDPOINT, TYPE_LISTENER, TYPE_ROUTE } from '#xds/resource.ts';
import type { Content } from './fake-world.ts';

/** Told when a name becomes wanted or unwanted. */
export type Want = (typeUrl: string, name: string, isWanted: boolean) => void;

export class EnvoyState {
  /** Clusters in use, by name. */
  readonly clusters: Map<string, Content> = new Map();
  readonly warmingClusters: Map<string, Content> = new Map();
  readonly endpoints: Map<string, Content> = new Map();
  readonly listeners: Map<string, Content> = new Map();
  readonly warmingListeners: Map<string, Content> = new Map();
  readonly routes: Map<string, Content> = new Map();
  readonly wantedEndpoints: Set<string> = new Set();
  readonly wantedRoutes: Set<string> = new Set();
  /** Start-up is over: the first clusters are warm. From here on CDS is answered only when all are warm. */
  isInitialised = false;
  readonly #want: Want;

  constructor(want: Want) {
    this.#want = want;
  }

  /** True when it has just this already; nothing is looked at then, so nothing can be refused. */
  has(typeUrl: string, content: Content): boolean {
    const { name } = content;
    if (typeUrl === TYPE_CLUSTER)
      return isSame(this.warmingClusters.get(name) ?? this.clusters.get(name), content);
    if (typeUrl === TYPE_LISTENER)
      return isSame(this.warmingListeners.get(name) ?? this.listeners.get(name), content);
    return false;
  }

  apply(typeUrl: string, added: readonly Content[], removed: readonly string[]): void {
    if (typeUrl === TYPE_CLUSTER) this.#applyClusters(added, removed);
    else if (typeUrl === TYPE_ENDPOINT) this.#applyEndpoints(added, removed);
    else if (typeUrl === TYPE_LISTENER) this.#applyListeners(added, removed);
    else if (typeUrl === TYPE_ROUTE) this.#applyRoutes(added);
  }

  /** Start-up goes on when the first clusters are warm, or were refused. True when that is now. */
  initialise(): boolean {
    if (this.isInitialised || this.warmingClusters.size > 0) return false;
    this.isInitialised = true;
    return true;
  }

  /** A refused answer ends waiting too: the cluster goes on without endpoints, the listener without routes. */
  refuse(typeUrl: string, names: Iterable<string>): void {
    for (const name of names) {
      if (typeUrl === TYPE_ENDPOINT) this.#warm(name);
      if (typeUrl === TYPE_ROUTE && this.wantedRoutes.has(name) && !this.routes.has(name)) {
        this.routes.set(name, { name, revision: -1 });
      }
    }
    this.#settleListeners();
  }

  /** An answer ends warming, also one that says "there is none". */
  #warm(name: string): void {
    const content = this.warmingClusters.get(name);
    if (content === undefined) return;
    this.warmingClusters.delete(name);
    this.clusters.set(name, content);
  }

  #applyClusters(added: readonly Content[], removed: readonly string[]): void {
    for (const name of removed) {
      this.clusters.delete(name);
      this.warmingClusters.delete(name);
      this.#wantEndpoints(name, false);
    }
    for (const content of added) {
      const { name } = content;
      if (isSame(this.warmingClusters.get(name) ?? this.clusters.get(name), content)) continue;
      if (content.isEds) {
        this.warmingClusters.set(name, content);
        this.#wantEndpoints(name, true);
      } else {
        this.warmingClusters.delete(name);
        this.clusters.set(name, content);
        this.#wantEndpoints(name, false);
      }
    }
  }

  #wantEndpoints(name: string, isWanted: boolean): void {
    if (!isWanted) this.endpoints.delete(name);
    if (this.wantedEndpoints.has(name) === isWanted) return;
    if (isWanted) this.wantedEndpoints.add(name);
    else this.wantedEndpoints.delete(name);
    this.#want(TYPE_ENDPOINT, name, isWanted);
  }

  #applyEndpoints(added: readonly Content[], removed: readonly string[]): void {
    for (const content of added) {
      if (!this.wantedEndpoints.has(content.name)) continue;
      this.endpoints.set(content.name, content);
      this.#warm(content.name);
    }
    for (const name of removed) this.#warm(name);
  }

  #applyListeners(added: readonly Content[], removed: readonly string[]): void {
    for (const name of removed) {
      this.listeners.delete(name);
      this.warmingListeners.delete(name);
    }
    for (const content of added) {
      const current = this.warmingListeners.get(content.name) ?? this.listeners.get(content.name);
      if (!isSame(current, content)) this.warmingListeners.set(content.name, content);
    }
    this.#settleListeners();
  }

  /** Removals of routes are ignored, as Envoy does. */
  #applyRoutes(added: readonly Content[]): void {
    for (const content of added)
      if (this.wantedRoutes.has(content.name)) this.routes.set(content.name, content);
    this.#settleListeners();
  }

  #settleListeners(): void {
    for (const [name, content] of this.warmingListeners) {
      if (!(content.routes ?? []).every((route) => this.routes.has(route))) continue;
      this.warmingListeners.delete(name);
      this.listeners.set(name, content);
    }
    const wanted = new Set<string>();
    for (const { routes = [] } of [...this.listeners.values(), ...this.warmingListeners.values()]) {
      for (const route of routes) wanted.add(route);
    }
    for (const route of wanted) {
      if (this.wantedRoutes.has(route)) continue;
      this.wantedRoutes.add(route);
      this.#want(TYPE_ROUTE, route, true);
    }
    for (const route of this.wantedRoutes) {
      if (wanted.has(route)) continue;
      this.wantedRoutes.delete(route);
      this.routes.delete(route);
      this.#want(TYPE_ROUTE, route, false);
    }
  }
}

function isSame(a: Content | undefined, b: Content): boolean {
  return a !== undefined && JSON.stringify(a) === JSON.stringify(b);
}

/**
 * The order in which a stream's types are brought up to date, so that a proxy never routes to what it doesn't have.
 * Additions: clusters, then at once their endpoints, then listeners, then routes, each when those before are answered or a
 * second has passed. Removals the other way round: a name goes when nothing that the client may still hold uses it.
 *
 * Endpoints do not wait for the answer to clusters: Envoy answers CDS only when every cluster in it is warm, and for that it
 * needs the endpoints (cluster_manager_impl.cc, updateClusterCounts; measured: waiting costs a second per cluster). Order
 * on the wire is enough, as a client applies a stream's messages in turn. For the same reason an unanswered CDS (one
 * cluster may wait for DNS or a secret for ever) holds back other clusters for a second only.
 */
import type { Resource } from '#xds/resource.ts';
import { CDS, ECDS, EDS, LDS, RDS, type ResourceType } from './resource-type.ts';
import type { LingeringListeners } from './lingering-listeners.ts';
import type { ResourceMap } from './snapshot-diff.ts';
import { type Exception, HELD_UNKNOWN, lastKnown } from './held-resources.ts';
import type { RemovalRules, TypeState } from './subscription.ts';

/** How long a type waits for the types before it. */
export const ORDER_WAIT_MS = 1_000;
/**
 * How long a route or load assignment that left the snapshot stays at a client that is still subscribed to it. Envoy ignores
 * such removals (with an error in its log, rds_route_config_subscription.cc) and unsubscribes by itself when the old
 * listener has drained; until then the old routes' clusters stay as well.
 */
export const NAMED_REMOVAL_WAIT_MS = 60_000;

const WAITS_FOR: ReadonlyMap<ResourceType, readonly ResourceType[]> = new Map([
  [LDS, [CDS, EDS]],
  [RDS, [CDS, EDS, LDS]],
]);

/** The parts of a stream that order depends on. */
export interface OrderedStream {
  readonly startedAtMs: number;
  readonly queuedBytes: number;
  readonly lingering: LingeringListeners;
  state(type: ResourceType): TypeState | undefined;
  target(type: ResourceType): ResourceMap;
}

/** One look at a stream at one time. Collects in `wakeAtMs` when a look is due even if nothing else happens. */
export class PushOrder {
  readonly #stream: OrderedStream;
  readonly #nowMs: number;
  /** Types with additions that may not leave yet. */
  readonly #waiting: Set<ResourceType> = new Set();
  wakeAtMs = Number.POSITIVE_INFINITY;

  constructor(stream: OrderedStream, nowMs: number) {
    this.#stream = stream;
    this.#nowMs = nowMs;
  }

  /** Whether a response of this type may leave now. Types are asked about in their order, and only if they have something. */
  mayPush(state: TypeState, hasAdds: boolean): boolean {
    const may = this.#mayPush(state);
    if (!may && hasAdds) this.#waiting.add(state.type);
    return may;
  }

  #mayPush(state: TypeState): boolean {
    const last = state.inFlight.at(-1);
    if (last !== undefined) {
      if (state.type !== CDS || this.#stream.queuedBytes > 0) return false;
      if (!this.#isPast(last.sentAtMs + ORDER_WAIT_MS)) return false;
    }
    const before = WAITS_FOR.get(state.type) ?? [];
    const isBlocked = before.some((type) => this.#isAdding(type));
    if (!isBlocked) return true;
    if (state.blockedSinceMs === 0) state.blockedSinceMs = this.#nowMs;
    // Time makes up for an answer that does not come, not for clusters that have not even been sent.
    return (
      this.#isPast(state.blockedSinceMs + ORDER_WAIT_MS) && !(before.includes(CDS) && this.#waiting.has(CDS))
    );
  }

  /** What may be removed of this type, and what stands in for a name that the client can't do without yet. */
  removalRules(type: ResourceType): RemovalRules {
    switch (type) {
      case CDS:
        return this.#rules((_, exception) => this.#mayRemoveCluster(exception), [CDS, LDS, RDS]);
      case RDS:
      case ECDS:
        return this.#rules((_, exception) => this.#mayRemoveNamed(exception), [LDS]);
      case EDS:
        return this.#endpointRules();
      default:
        return this.#rules(() => true, []);
    }
  }

  #rules(may: RemovalRules['mayRemove'], users: readonly ResourceType[]): RemovalRules {
    let stale: readonly Resource[] | undefined;
    return {
      mayRemove: (name, exception) => {
        stale ??= users.flatMap((type) => this.#stale(type));
        return !stale.some((resource) => uses(resource, name)) && may(name, exception);
      },
      standIn: () => undefined,
    };
  }

  /** A load assignment stays while its cluster does; if that warms again, it gets the last one known. */
  #endpointRules(): RemovalRules {
    const clusters = this.#stream.state(CDS);
    const isNeeded = (name: string): boolean => clusters?.mayHold(name) ?? false;
    return {
      mayRemove: (name, exception) =>
        exception?.due === true || (!isNeeded(name) && this.#mayRemoveNamed(exception)),
      standIn: (name, held) => (isNeeded(name) ? lastKnown(held) : undefined),
    };
  }

  /** What the client brought from an earlier stream may be used by what it brought with it: that must be replaced first. */
  #mayRemoveCluster(exception: Exception | undefined): boolean {
    if (exception?.held.includes(HELD_UNKNOWN) !== true) return true;
    const users = [LDS, RDS].map((type) => [type, this.#stream.state(type)] as const);
    const hasToldAll = users.every(([, state]) => state !== undefined);
    if (!hasToldAll && !this.#isPast(this.#stream.startedAtMs + ORDER_WAIT_MS)) return false;
    return users.every(([type, state]) => state === undefined || state.isSettled(this.#stream.target(type)));
  }

  #mayRemoveNamed(exception: Exception | undefined): boolean {
    if (exception === undefined) return this.#isPast(this.#nowMs + NAMED_REMOVAL_WAIT_MS);
    return exception.due || this.#isPast(exception.sinceMs + NAMED_REMOVAL_WAIT_MS);
  }

  #stale(type: ResourceType): readonly Resource[] {
    const state = this.#stream.state(type);
    if (state === undefined) return [];
    const stale = [...state.stale(this.#stream.target(type))];
    // An aggregate cluster names others; one from an earlier stream may, but then all would wait for one another.
    if (type === CDS) return stale.filter((resource) => resource !== HELD_UNKNOWN.resource);
    if (type !== LDS) return stale;
    const stream = {
      listeners: state,
      listenerTarget: this.#stream.target(LDS),
      routes: this.#stream.state(RDS),
      routeTarget: this.#stream.target(RDS),
    };
    return [...stale, ...this.#stream.lingering.remaining(stream, this.#nowMs)];
  }

  #isAdding(type: ResourceType): boolean {
    if (this.#waiting.has(type)) return true;
    return this.#stream.state(type)?.inFlight.some((sent) => sent.adds.length > 0) ?? false;
  }

  #isPast(timeMs: number): boolean {
    if (this.#nowMs >= timeMs) return true;
    this.wakeAtMs = Math.min(this.wakeAtMs, timeMs);
    return false;
  }
}

function uses(resource: Resource, name: string): boolean {
  return resource === HELD_UNKNOWN.resource || (resource.references?.includes(name) ?? false);
}

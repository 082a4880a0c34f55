/**
 * Histories for the client models: what happens in which order, the invariants that hold at every step, and where all must end.
 * The same for both variants of the protocol.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ORDER_WAIT_MS } from '#ads/push-order.ts';
import { TYPE_CLUSTER, TYPE_ENDPOINT, TYPE_LISTENER, TYPE_ROUTE } from '#xds/resource.ts';
import type { EnvoyState } from './envoy-state.ts';
import {
  type Content,
  FakeWorld,
  LOCAL_PEER,
  NODE_ID,
  snapshotOf,
  type WorldDescription,
} from './fake-world.ts';
import type { MemoryStream } from './memory-stream.ts';
import { arbitraryWorld, renewed } from './world-arbitrary.ts';

/** How a client takes a response. `whole` refuses all of it; `one` refuses one resource and takes the others. */
export type Verdict =
  | { readonly kind: 'take' }
  | { readonly kind: 'whole' }
  | { readonly kind: 'one'; readonly index: number };

/** A model of a client, driven from outside. */
export interface ModelClient {
  readonly stream: MemoryStream;
  readonly state: EnvoyState;
  /** Clusters that the client itself turned away and therefore lacks. */
  readonly refusedClusters: ReadonlySet<string>;
  /** Resources that the server can't know of any more (see delta-client-model.ts). */
  readonly ghosts: ReadonlySet<string>;
  /** What the next responses meet, one each. */
  verdicts: Verdict[];
  /** When set, requests wait until `flush`. */
  holdsRequests: boolean;
  /** Opens a stream (a first one, or after a break) and says what it wants and has. */
  connect(serve: (stream: MemoryStream) => void): void;
  /** Takes up to `count` messages off the wire. */
  process(count: number): void;
  flush(): void;
  isIdle(): boolean;
  /** Responses of a type that have not been answered on this stream. */
  unanswered(typeUrl: string): number;
}

/** One thing that happens. */
export type Step =
  | { readonly kind: 'epoch'; readonly world: WorldDescription }
  | { readonly kind: 'process'; readonly count: number }
  | { readonly kind: 'flush' }
  | { readonly kind: 'hold'; readonly isOn: boolean }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'verdict'; readonly verdict: Verdict }
  | { readonly kind: 'settle' }
  | { readonly kind: 'reconnect' };

const QUEUE = { minDelayMs: 0, maxDelayMs: 0, sliceMs: 1_000 };

/** Histories to be drawn from; refusals and broken streams as told. */
export function arbitraryStep(has: {
  readonly refusals: boolean;
  readonly reconnects: boolean;
}): fc.Arbitrary<Step> {
  const verdict: fc.Arbitrary<Verdict> = fc.oneof(
    fc.constant<Verdict>({ kind: 'whole' }),
    fc.record({ kind: fc.constant('one' as const), index: fc.nat(3) }),
  );
  return fc.oneof(
    { arbitrary: fc.record({ kind: fc.constant('epoch' as const), world: arbitraryWorld }), weight: 4 },
    {
      arbitrary: fc.record({ kind: fc.constant('process' as const), count: fc.integer({ min: 1, max: 4 }) }),
      weight: 8,
    },
    { arbitrary: fc.constant<Step>({ kind: 'flush' }), weight: 3 },
    { arbitrary: fc.constant<Step>({ kind: 'settle' }), weight: 2 },
    { arbitrary: fc.record({ kind: fc.constant('hold' as const), isOn: fc.boolean() }), weight: 2 },
    {
      arbitrary: fc.record({
        kind: fc.constant('advance' as const),
        ms: fc.constantFrom(10, 600, 1_100, 70_000),
      }),
      weight: 1,
    },
    ...(has.reconnects ? [{ arbitrary: fc.constant<Step>({ kind: 'reconnect' }), weight: 1 }] : []),
    ...(has.refusals
      ? [{ arbitrary: fc.record({ kind: fc.constant('verdict' as const), verdict }), weight: 2 }]
      : []),
  );
}

/** Which client, and how it is served. */
export interface Variant {
  readonly isDelta: boolean;
  createClient(): ModelClient;
}

class Run {
  readonly world: FakeWorld = new FakeWorld({ queue: QUEUE });
  readonly client: ModelClient;
  readonly #variant: Variant;
  /** No second has passed unnoticed so far: the strict order holds. */
  isPunctual = true;
  isOrdered = true;
  #hasReconnected = false;
  #world: WorldDescription;
  /** A cluster that was refused and is offered anew warms under routes that name it already. */
  hasRefused = false;

  constructor(variant: Variant, first: WorldDescription) {
    this.#variant = variant;
    this.client = variant.createClient();
    this.#world = first;
    this.world.source.publish(snapshotOf(first), NODE_ID);
    this.connect();
  }

  connect(): void {
    const { server } = this.world;
    this.client.connect((stream) =>
      this.#variant.isDelta ? server.serveDelta(stream, LOCAL_PEER) : server.serveSotw(stream, LOCAL_PEER),
    );
  }

  /** State of the world has no way to say what a client brought along, so it is replaced at once and not in order. */
  reconnect(): void {
    this.isOrdered &&= this.#variant.isDelta;
    this.#hasReconnected = true;
    this.connect();
  }

  epoch(world: WorldDescription): void {
    this.#world = world;
    this.world.source.publish(snapshotOf(world), NODE_ID);
    this.world.clock.advance(0);
  }

  take(step: Step): void {
    const { client, world } = this;
    if (step.kind === 'epoch') this.epoch(step.world);
    else if (step.kind === 'process') for (let i = 0; i < step.count; i++) this.processOne();
    else if (step.kind === 'flush') client.flush();
    else if (step.kind === 'hold') client.holdsRequests = step.isOn;
    else if (step.kind === 'verdict') {
      this.hasRefused = true;
      client.verdicts.push(step.verdict);
    } else if (step.kind === 'reconnect') this.reconnect();
    else if (step.kind === 'settle') this.arrive();
    else {
      this.isPunctual &&= step.ms < 100;
      world.clock.advance(step.ms);
    }
    this.check();
  }

  processOne(): void {
    this.client.process(1);
    this.check();
  }

  check(): void {
    const { client } = this;
    assert.equal(client.stream.status?.message, undefined);
    for (const type of [TYPE_ENDPOINT, TYPE_LISTENER, TYPE_ROUTE])
      assert.ok(client.unanswered(type) <= 1, `${type} twice`);
    if (this.isPunctual) assert.ok(client.unanswered(TYPE_CLUSTER) <= 1, 'CDS twice within a second');
    if (!this.isOrdered) return;
    for (const listener of client.state.listeners.values()) {
      if (client.ghosts.has(listener.name)) continue;
      this.#checkClusters(`listener ${listener.name}`, listener);
      for (const name of listener.routes ?? []) {
        const route = client.state.routes.get(name);
        assert.ok(route !== undefined, `listener ${listener.name} runs without route ${name}`);
        this.#checkClusters(`route ${name}`, route);
      }
    }
  }

  #checkClusters(user: string, content: Content): void {
    const { client } = this;
    for (const name of content.clusters ?? []) {
      if (client.state.clusters.has(name) || client.refusedClusters.has(name)) continue;
      assert.ok(client.state.warmingClusters.has(name), `${user} names cluster ${name}, which is not there`);
      if (this.isPunctual && !this.hasRefused)
        assert.fail(`${user} names cluster ${name}, which is not warm`);
    }
  }

  /** Lets everything happen that is on its way. */
  settle(): void {
    this.client.holdsRequests = false;
    this.client.verdicts = [];
    for (let round = 0; round < 50; round++) {
      this.client.flush();
      while (this.client.stream.sent.length > 0) this.processOne();
      if (this.client.isIdle()) break;
    }
    assert.ok(this.client.isIdle(), 'messages go back and forth without end');
  }

  /**
   * Lets everything happen, without any waiting for time, and looks whether the client is there. After a broken stream what
   * the client brought along may wait some seconds, and so may a cluster that was taken back while state of the world, which
   * can't say "there is none", had it warming. After a refusal all that is certain is that it goes on.
   */
  arrive(): void {
    const isHolding = this.client.holdsRequests;
    this.settle();
    this.client.holdsRequests = isHolding;
    if (this.hasRefused) return;
    if (this.#hasReconnected || !this.isPunctual || !this.#variant.isDelta) {
      this.isPunctual = false;
      for (let i = 0; i < 3; i++) {
        this.world.clock.advance(ORDER_WAIT_MS);
        this.settle();
      }
    }
    assertHolds(this.client, this.#world);
  }

  /** As `settle`, and all the time passes that anything could wait for. */
  settleForGood(): void {
    for (let i = 0; i < 4; i++) {
      this.settle();
      this.isPunctual = false;
      this.world.clock.advance(ORDER_WAIT_MS);
    }
    this.settle();
    this.world.clock.advance(70_000);
    this.settle();
  }
}

function byName(contents: Iterable<Content>): Record<string, Content> {
  return Object.fromEntries(
    [...contents].sort((a, b) => (a.name < b.name ? -1 : 1)).map((content) => [content.name, content]),
  );
}

function assertHolds(client: ModelClient, world: WorldDescription): void {
  const used = new Set(world.listeners.flatMap(({ routes = [] }) => routes));
  const isKnown = ({ name }: Content): boolean =>
    !client.ghosts.has(name) ||
    [...world.clusters, ...world.listeners].some((content) => content.name === name);
  assert.deepStrictEqual(
    {
      clusters: byName([...client.state.clusters.values()].filter(isKnown)),
      warming: [...client.state.warmingClusters.values()].filter(isKnown),
      endpoints: byName([...client.state.endpoints.values()].filter(isKnown)),
      listeners: byName([...client.state.listeners.values()].filter(isKnown)),
      warmingListeners: [...client.state.warmingListeners.values()].filter(isKnown),
      routes: byName(
        [...client.state.routes.values()].filter(({ name }) => client.ghosts.size === 0 || used.has(name)),
      ),
    },
    {
      clusters: byName(world.clusters),
      warming: [],
      endpoints: byName(world.endpoints),
      listeners: byName(world.listeners),
      warmingListeners: [],
      routes: byName(world.routes.filter(({ name }) => used.has(name))),
    },
  );
}

/** Plays a history and checks what must hold on the way and in the end. */
export function runHistory(
  variant: Variant,
  first: WorldDescription,
  steps: readonly Step[],
  last: WorldDescription,
): void {
  const run = new Run(variant, first);
  for (const step of steps) run.take(step);
  // What was refused stays refused until it changes, so the last world has new versions of everything.
  run.settleForGood();
  const end = renewed(last, 1_000);
  run.epoch(end);
  run.settleForGood();
  run.check();
  assertHolds(run.client, end);
  const before = run.client.stream.sentCount;
  run.epoch(end);
  run.settleForGood();
  assert.equal(run.client.stream.sentCount, before, 'an epoch that changes nothing sends nothing');
  assert.ok(run.world.server.connections.synced(NODE_ID));
}

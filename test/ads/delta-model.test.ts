/**
 * Property: whatever happens in whatever order (epochs, delays, refusals, broken streams), Envoy's client is never told to use
 * what it doesn't have, nothing warms for ever, and in the end it holds exactly its snapshot.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ORDER_WAIT_MS } from '#ads/push-order.ts';
import { TYPE_CLUSTER, TYPE_ENDPOINT, TYPE_LISTENER, TYPE_ROUTE } from '#xds/resource.ts';
import { DeltaClientModel, type Verdict } from './delta-client-model.ts';
import {
  type Content,
  FakeWorld,
  LOCAL_PEER,
  NODE_ID,
  snapshotOf,
  type WorldDescription,
} from './fake-world.ts';
import { arbitraryWorld, renewed } from './world-arbitrary.ts';

type Step =
  | { readonly kind: 'epoch'; readonly world: WorldDescription }
  | { readonly kind: 'process'; readonly count: number }
  | { readonly kind: 'flush' }
  | { readonly kind: 'hold'; readonly isOn: boolean }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'verdict'; readonly verdict: Verdict }
  | { readonly kind: 'reconnect' };

const QUEUE = { minDelayMs: 0, maxDelayMs: 0, sliceMs: 1_000 };

function step(hasRefusals: boolean): fc.Arbitrary<Step> {
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
    { arbitrary: fc.record({ kind: fc.constant('hold' as const), isOn: fc.boolean() }), weight: 2 },
    {
      arbitrary: fc.record({
        kind: fc.constant('advance' as const),
        ms: fc.constantFrom(10, 600, 1_100, 70_000),
      }),
      weight: 1,
    },
    { arbitrary: fc.constant<Step>({ kind: 'reconnect' }), weight: 1 },
    ...(hasRefusals
      ? [{ arbitrary: fc.record({ kind: fc.constant('verdict' as const), verdict }), weight: 2 }]
      : []),
  );
}

class Run {
  readonly world: FakeWorld = new FakeWorld({ queue: QUEUE });
  readonly client: DeltaClientModel = new DeltaClientModel();
  /** No second has passed unnoticed so far: the strict order holds. */
  isPunctual = true;
  /** A cluster that was refused and is offered anew warms under routes that name it already. */
  hasRefused = false;

  constructor(first: WorldDescription) {
    this.world.source.publish(snapshotOf(first), NODE_ID);
    this.connect();
  }

  connect(): void {
    this.client.connect((stream) => this.world.server.serveDelta(stream, LOCAL_PEER));
  }

  epoch(world: WorldDescription): void {
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
    } else if (step.kind === 'reconnect') this.connect();
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
      this.client.process(1_000);
      if (this.client.isIdle()) break;
    }
    assert.ok(this.client.isIdle(), 'messages go back and forth without end');
  }

  /** As `settle`, and all the time passes that anything could wait for. */
  settleForGood(): void {
    for (let i = 0; i < 4; i++) {
      this.settle();
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

function assertHolds(client: DeltaClientModel, world: WorldDescription): void {
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
      routes: byName(client.state.routes.values()),
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

function runHistory(first: WorldDescription, steps: readonly Step[], last: WorldDescription): void {
  const run = new Run(first);
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

const RUNS = Number(process.env['ADS_MODEL_RUNS'] ?? 250);

test('a client that takes everything is led from world to world without a gap', () => {
  fc.assert(
    fc.property(arbitraryWorld, fc.array(step(false), { maxLength: 30 }), arbitraryWorld, runHistory),
    { numRuns: RUNS },
  );
});

test('a client that refuses at random keeps what it had and still arrives', () => {
  fc.assert(
    fc.property(arbitraryWorld, fc.array(step(true), { maxLength: 30 }), arbitraryWorld, runHistory),
    { numRuns: RUNS },
  );
});

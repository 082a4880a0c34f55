/** What the engine promises beyond the conformance suite: costs, order of precedence, slices, what stays behind. */
import { deepStrictEqual, strictEqual, throws } from 'node:assert';
import { test } from 'node:test';
import { type Bag, bagMembers } from './bag.ts';
import type { Cell, CellStore } from './cell-store.ts';
import type { Collection } from './collection.ts';
import { createEngine } from './engine.ts';

interface Service {
  readonly namespace: string;
  readonly port: number;
}

/** The engine's own records, to see what stays behind. */
function cellsOf(collection: Collection<unknown>): ReadonlyMap<string, Cell<unknown>> {
  return (collection as unknown as CellStore<unknown>).cells;
}

/** Services, a policy per namespace, and what is derived from both; a thousand services in ten namespaces. */
function openMesh() {
  const engine = createEngine();
  const services = engine.source<Service>('services');
  const policies = engine.source<{ readonly mode: string }>('policies');
  const byNamespace = engine.index('services.byNamespace', services, ({ namespace }) => [namespace]);
  const clusters = engine.derive('clusters', services, (fetch, { namespace, port }) => ({
    port,
    isStrict: fetch.get(policies, namespace)?.mode === 'strict',
  }));
  const namespaces = engine.group('namespaces', byNamespace);
  const sizes = engine.derive('sizes', namespaces, (_fetch, members) => members.size);
  for (let i = 0; i < 1000; i++) services.set(`service-${i}`, { namespace: `ns-${i % 10}`, port: i });
  engine.settle();
  function countRecomputed(change: () => void): number {
    const before = engine.counters.recomputed;
    change();
    engine.settle();
    return engine.counters.recomputed - before;
  }
  return { engine, services, policies, clusters, sizes, countRecomputed };
}

test('the first settle computes each item once', () => {
  const { engine } = openMesh();
  deepStrictEqual({ ...engine.counters }, { recomputed: 1010, cutOff: 0, epochs: 1 });
});

test('a no-op set recomputes nothing', () => {
  const { services, countRecomputed } = openMesh();
  strictEqual(
    countRecomputed(() => services.set('service-7', { namespace: 'ns-7', port: 7 })),
    0,
  );
});

test('settling an idle graph is no epoch', () => {
  const { engine } = openMesh();
  engine.settle();
  strictEqual(engine.counters.epochs, 1);
});

test('a change costs what it touches', () => {
  const { services, policies, countRecomputed } = openMesh();
  deepStrictEqual(
    {
      // The service's cluster, and the size of its namespace.
      portOfService: countRecomputed(() => services.set('service-7', { namespace: 'ns-7', port: 8 })),
      // The cluster, and the sizes of both namespaces.
      moveToOtherNamespace: countRecomputed(() => services.set('service-7', { namespace: 'ns-1', port: 8 })),
      policyOfNamespace: countRecomputed(() => policies.set('ns-3', { mode: 'strict' })),
      policyNobodyReads: countRecomputed(() => policies.set('ns-99', { mode: 'strict' })),
      newService: countRecomputed(() => services.set('new', { namespace: 'ns-1', port: 1 })),
      goneService: countRecomputed(() => services.delete('new')),
      policyAfterMove: countRecomputed(() => policies.set('ns-7', { mode: 'strict' })),
    },
    {
      portOfService: 2,
      moveToOtherNamespace: 3,
      policyOfNamespace: 100,
      policyNobodyReads: 0,
      newService: 2,
      goneService: 1,
      policyAfterMove: 99,
    },
  );
});

test('an equal result stops a change and keeps the old reference', () => {
  const { engine, clusters, policies } = openMesh();
  const names = engine.derive('names', clusters, (_fetch, { port }) => `port ${port}`);
  engine.settle();
  const before = { cluster: clusters.get('service-3'), names: names.all(), cutOff: engine.counters.cutOff };
  const { recomputed } = engine.counters;
  policies.set('ns-3', { mode: 'permissive' });
  engine.settle();
  strictEqual(clusters.get('service-3'), before.cluster);
  strictEqual(names.all(), before.names);
  deepStrictEqual(
    [engine.counters.cutOff - before.cutOff, engine.counters.recomputed - recomputed],
    [100, 100],
  );
});

test('equals decides what is a change', () => {
  const engine = createEngine();
  const input = engine.source<number>('input', { equals: (a, b) => Math.abs(a - b) < 10 });
  const rounded = engine.derive('rounded', input, (_fetch, n) => n, { equals: (a, b) => a >> 5 === b >> 5 });
  input.set('x', 1);
  engine.settle();
  input.set('x', 9);
  engine.settle();
  strictEqual(engine.counters.recomputed, 1);
  input.set('x', 31);
  engine.settle();
  deepStrictEqual([input.get('x'), rounded.get('x'), engine.counters.cutOff], [31, 1, 1]);
});

test('an item without result is there again when its derivation gives one', () => {
  const engine = createEngine();
  const input = engine.source<number>('input');
  const odd = engine.derive('odd', input, (_fetch, n) => (n % 2 === 1 ? n : undefined));
  input.set('a', 2);
  engine.settle();
  strictEqual(odd.get('a'), undefined);
  input.set('a', 3);
  engine.settle();
  strictEqual(odd.get('a'), 3);
  input.set('a', 4);
  engine.settle();
  deepStrictEqual([odd.get('a'), odd.size], [undefined, 0]);
});

test('deriveMany: of equal output keys the first input in byte order wins, and the next takes over', () => {
  const engine = createEngine();
  const input = engine.source<readonly string[]>('input');
  const owners = engine.deriveMany('owners', input, (_fetch, outputs, key) =>
    outputs.map((output) => [output, key]),
  );
  const seen: unknown[] = [];
  engine.watch(owners, (changes) => seen.push(changes.map(({ key, now }) => `${key}=${now}`).join(' ')));
  function apply(change: () => void): void {
    change();
    engine.settle();
  }
  apply(() => input.set('m', ['x', 'y']));
  apply(() => input.set('z', ['x', 'z']));
  apply(() => input.set('a', ['x']));
  apply(() => input.delete('m'));
  apply(() => input.set('a', []));
  apply(() => input.delete('z'));
  deepStrictEqual(seen, ['x=m y=m', 'z=z', 'x=a', 'y=undefined', 'x=z', 'x=undefined z=undefined']);
});

test('deriveMany: a takeover with an equal value is no change', () => {
  const engine = createEngine();
  const input = engine.source<number>('input');
  const outputs = engine.deriveMany('outputs', input, (_fetch, n) => [['same', { n }]]);
  input.set('a', 1);
  input.set('b', 1);
  engine.settle();
  const before = outputs.get('same');
  let calls = 0;
  engine.watch(outputs, () => calls++);
  input.delete('a');
  engine.settle();
  deepStrictEqual([calls, outputs.get('same') === before], [0, true]);
});

test('deriveMany: an item that gives one key twice gives the last', () => {
  const engine = createEngine();
  const input = engine.source<number>('input');
  const outputs = engine.deriveMany('outputs', input, function* (_fetch, n) {
    yield ['k', n];
    yield ['k', n + 1];
  });
  input.set('a', 1);
  engine.settle();
  deepStrictEqual([...outputs.all()], [['k', 2]]);
});

test('union: the earlier part wins, the later shows when it goes', () => {
  const engine = createEngine();
  const first = engine.source<string>('first');
  const second = engine.source<string>('second');
  const both = engine.union('both', [first, second]);
  second.set('k', 'second');
  engine.settle();
  const values = [both.get('k')];
  first.set('k', 'first');
  engine.settle();
  values.push(both.get('k'));
  second.set('k', 'hidden');
  engine.settle();
  values.push(both.get('k'));
  first.delete('k');
  engine.settle();
  values.push(both.get('k'));
  deepStrictEqual(values, ['second', 'first', 'first', 'hidden']);
});

test('union: a takeover with an equal value is no change', () => {
  const engine = createEngine();
  const parts = [engine.source<object>('first'), engine.source<object>('second')] as const;
  const both = engine.union('both', parts);
  for (const part of parts) part.set('k', { n: 1 });
  engine.settle();
  const before = both.get('k');
  parts[0].delete('k');
  engine.settle();
  strictEqual(both.get('k'), before);
});

test('an index holds a value in each of its buckets', () => {
  const engine = createEngine();
  const input = engine.source<readonly string[]>('input');
  const index = engine.index('index', input, (tags) => tags);
  input.set('a', ['x', 'y', 'x']);
  input.set('b', ['y']);
  engine.settle();
  input.set('a', ['y', 'z']);
  engine.settle();
  const content = [...index.buckets()].map((bucket) => [bucket, [...index.bucket(bucket).keys()]]);
  deepStrictEqual(content, [
    ['y', ['a', 'b']],
    ['z', ['a']],
  ]);
  strictEqual(index.bucket('x').size, 0);
});

test('what is created after an epoch is filled by the next settle', () => {
  const engine = createEngine();
  const input = engine.source<number>('input');
  input.set('a', 1);
  engine.settle();
  const later = engine.derive('later', input, (_fetch, n) => n + 1);
  const index = engine.index('index', later, (n) => [`${n}`]);
  deepStrictEqual([later.size, [...index.buckets()]], [0, []]);
  engine.settle();
  deepStrictEqual([later.get('a'), [...index.buckets()]], [2, ['2']]);
});

test('what is created while an epoch is interrupted belongs to it', () => {
  const engine = createEngine();
  const input = engine.source<number>('input');
  const doubled = engine.derive('doubled', input, (_fetch, n) => 2 * n);
  input.set('a', 1);
  strictEqual(
    engine.step(() => true),
    false,
  );
  const later = engine.derive('later', doubled, (_fetch, n) => n + 1);
  engine.settle();
  deepStrictEqual([later.get('a'), engine.counters.epochs], [3, 1]);
});

test('step stops between items and says whether it is idle', () => {
  const { engine, policies, clusters } = openMesh();
  for (let i = 0; i < 10; i++) policies.set(`ns-${i}`, { mode: 'strict' });
  let slices = 0;
  for (let isIdle = false; !isIdle; slices++) {
    let steps = 0;
    const isUntouched = [...clusters.all().values()].every(({ isStrict }) => !isStrict);
    strictEqual(isUntouched, true);
    isIdle = engine.step(() => ++steps >= 100);
  }
  strictEqual(
    [...clusters.all().values()].every(({ isStrict }) => isStrict),
    true,
  );
  strictEqual(slices > 10, true);
});

test('dependencies that a run no longer fetches are dropped', () => {
  const engine = createEngine();
  const values = engine.source<string>('values');
  const items = engine.source<string>('items');
  const results = engine.derive('results', items, (fetch, first) => {
    const second = fetch.get(values, first);
    return second === undefined ? 'end' : fetch.get(values, second);
  });
  items.set('i', 'a');
  values.set('a', 'b');
  values.set('b', 'old');
  values.set('c', 'new');
  engine.settle();
  values.set('a', 'c');
  engine.settle();
  const { recomputed } = engine.counters;
  values.set('b', 'nobody reads this');
  engine.settle();
  deepStrictEqual([results.get('i'), engine.counters.recomputed - recomputed], ['new', 0]);
  values.set('c', 'newer');
  engine.settle();
  strictEqual(results.get('i'), 'newer');
});

test('running again records nothing twice, and what goes leaves nothing behind', () => {
  const engine = createEngine();
  const values = engine.source<number>('values');
  const items = engine.source<number>('items');
  const single = engine.derive('single', items, (fetch, n) => (fetch.get(values, 'v') === n ? n : undefined));
  const many = engine.deriveMany<number, number | undefined>('many', items, (fetch, n) => [
    ['sum', (fetch.get(values, 'v') ?? 0) + n],
    ['nothing', undefined],
  ]);
  function countEdges(): readonly number[] {
    const cell = cellsOf(values).get('v');
    const claims = cellsOf(many).get('sum') as { readonly claimants?: Bag<object> } | undefined;
    return [[...bagMembers(cell?.dependents)].length, [...bagMembers(claims?.claimants)].length];
  }
  for (let n = 1; n < 5; n++) {
    values.set('v', n);
    items.set('a', -n);
    items.set('b', n);
    engine.settle();
    deepStrictEqual(countEdges(), [4, 2]);
  }
  for (const key of ['a', 'b']) items.delete(key);
  values.delete('v');
  engine.settle();
  deepStrictEqual(
    [values, items, single, many].map((collection) => cellsOf(collection).size),
    [0, 0, 0, 0],
  );
});

test('hubs with many dependents lose and gain them', () => {
  const engine = createEngine();
  const hub = engine.source<number>('hub');
  const items = engine.source<boolean>('items');
  const results = engine.derive('results', items, (fetch, readsHub) => (readsHub ? fetch.get(hub, 'h') : 0));
  for (let i = 0; i < 100; i++) items.set(`${i}`, true);
  hub.set('h', 1);
  engine.settle();
  for (let i = 0; i < 99; i++) items.set(`${i}`, false);
  engine.settle();
  const { recomputed } = engine.counters;
  hub.set('h', 2);
  engine.settle();
  deepStrictEqual([results.get('99'), results.get('0'), engine.counters.recomputed - recomputed], [2, 0, 1]);
});

test('two collections of one name are refused', () => {
  const engine = createEngine();
  engine.source('a');
  throws(() => engine.index('a', engine.source('b'), () => []), /"a" exists already/);
});

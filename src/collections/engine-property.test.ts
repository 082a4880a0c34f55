/**
 * The main property (law 5) on graphs of typical shapes: after any sequence of events, however it was cut into slices,
 * every collection and index holds what a fresh engine computes from the final sources; on the way readers see finished
 * epochs only, watchers hear every change, and what stayed equal stays the same object.
 */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { deepEqual } from '#base/deep-equal.ts';
import fc from 'fast-check';
import { bagMembers } from './bag.ts';
import type { CellStore } from './cell-store.ts';
import type { Collection, Engine, Index, SourceCollection } from './collection.ts';
import { createEngine } from './engine.ts';
import type { PersistentMap } from './persistent-map.ts';

interface Item {
  readonly n: number;
  readonly tag: string;
}

interface Sources {
  readonly a: SourceCollection<Item>;
  readonly b: SourceCollection<Item>;
}

/** What a shape adds to the sources. */
interface Outputs {
  readonly collections: readonly Collection<unknown>[];
  readonly indices: readonly Index<unknown>[];
}

type Shape = (engine: Engine, sources: Sources) => Outputs;

const KEYS = ['a', 'b', 'c', 'd', 'e'] as const;
const TAGS = ['x', 'y', 'z'] as const;

/** One-to-one with a fetch of a key, of a bucket and of all. */
function buildFetches(engine: Engine, { a, b }: Sources): Outputs {
  const byTag = engine.index('byTag', b, ({ tag }) => [tag]);
  const ofKey = engine.derive('ofKey', a, (fetch, item, key) => ({
    own: fetch.get(b, key)?.n,
    next: fetch.get(b, KEYS[item.n % KEYS.length] ?? ''),
  }));
  const ofBucket = engine.derive('ofBucket', a, (fetch, { tag }) => [...fetch.bucket(byTag, tag).keys()]);
  const ofAll = engine.derive('ofAll', a, (fetch, { n }) =>
    [...fetch.all(b).values()].filter((item) => item.n > n),
  );
  return { collections: [ofKey, ofBucket, ofAll], indices: [byTag] };
}

/** Three derivations deep; each level fetches from the one before under another key. */
function buildChain(engine: Engine, { a, b }: Sources): Outputs {
  const first = engine.derive('first', a, (fetch, { n, tag }, key) =>
    fetch.get(b, key)?.tag === tag ? undefined : { n: n >> 1 },
  );
  const second = engine.derive(
    'second',
    a,
    (fetch, { n }) => fetch.get(first, KEYS[n % KEYS.length] ?? '')?.n ?? -1,
  );
  const third = engine.derive('third', second, (fetch, n, key) => [
    n,
    fetch.get(first, key),
    fetch.all(second).size,
  ]);
  return { collections: [first, second, third], indices: [] };
}

/** One-to-many with many inputs for one output, and what is derived from that. */
function buildMany(engine: Engine, { a, b }: Sources): Outputs {
  const many = engine.deriveMany('many', a, function* (fetch, { n, tag }, key) {
    yield [tag, { from: key, n: n >> 1 }];
    if (fetch.get(b, tag) !== undefined || n % 2 === 0) yield [KEYS[n % KEYS.length] ?? '', { from: '', n }];
  });
  const readers = engine.derive('readers', b, (fetch, { tag }, key) => [
    fetch.get(many, tag),
    fetch.get(many, key),
  ]);
  const again = engine.deriveMany('again', many, (_fetch, { n }) => [[`${n}`, n]]);
  return { collections: [many, readers, again], indices: [] };
}

/** Index over derived values, its groups, and a union of two collections with common keys. */
function buildIndices(engine: Engine, { a, b }: Sources): Outputs {
  const derived = engine.derive('derived', a, (fetch, { n, tag }) => ({
    n: n % 3,
    tag,
    other: fetch.get(b, tag)?.n,
  }));
  const both = engine.union<{ readonly n: number; readonly tag: string }>('both', [derived, b]);
  const index = engine.index('index', both, ({ n, tag }) => [tag, `${n % 2}`]);
  const groups = engine.group('groups', index);
  const counts = engine.derive('counts', groups, (fetch, members, key) => [
    members.size,
    fetch.bucket(index, `${key}x`).size,
  ]);
  const sums = engine.derive('sums', a, (fetch, { tag }) =>
    [...fetch.bucket(index, tag).values()].reduce((sum, { n }) => sum + n, 0),
  );
  return { collections: [derived, both, groups, counts, sums], indices: [index] };
}

function buildEverything(engine: Engine, sources: Sources): Outputs {
  const outputs = [buildFetches, buildChain, buildMany, buildIndices].map((build) => build(engine, sources));
  return {
    collections: outputs.flatMap(({ collections }) => collections),
    indices: outputs.flatMap(({ indices }) => indices),
  };
}

/** A graph, and what the test knows of it. */
class Subject {
  readonly engine: Engine = createEngine();
  readonly sources: Sources = { a: this.engine.source<Item>('a'), b: this.engine.source<Item>('b') };
  readonly collections: readonly Collection<unknown>[];
  readonly indices: readonly Index<unknown>[];

  constructor(shape: Shape) {
    const outputs = shape(this.engine, this.sources);
    this.collections = [this.sources.a, this.sources.b, ...outputs.collections];
    this.indices = outputs.indices;
  }

  /** All that readers can see, as plain data. */
  content(): unknown {
    return {
      collections: this.collections.map(({ name, size, all }, i) => [
        name,
        size,
        plain(all.call(this.collections[i])),
        KEYS.map((key) => plain(this.collections[i]?.get(key))),
      ]),
      indices: this.indices.map((index) =>
        Array.from(index.buckets(), (bucket) => [bucket, plain(index.bucket(bucket))]),
      ),
    };
  }
}

function plain(value: unknown): unknown {
  const isMap = typeof value === 'object' && value !== null && 'patch' in value;
  return isMap ? Array.from(value as PersistentMap<unknown>, ([key, part]) => [key, plain(part)]) : value;
}

type Command =
  | { readonly kind: 'set'; readonly source: 'a' | 'b'; readonly key: string; readonly item: Item }
  | { readonly kind: 'delete'; readonly source: 'a' | 'b'; readonly key: string }
  | { readonly kind: 'settle' }
  | { readonly kind: 'step'; readonly items: number; readonly read: boolean };

const source = fc.constantFrom('a' as const, 'b' as const);
const key = fc.constantFrom(...KEYS, ...TAGS);
// With prototype: Node's deepStrictEqual tells objects without one apart, ours does not.
const item = fc.record({ n: fc.nat(7), tag: fc.constantFrom(...TAGS) }, { noNullPrototype: true });
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('set' as const), source, key, item }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), source, key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('settle' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('step' as const), items: fc.nat(12), read: fc.boolean() }),
  },
);

function run(subject: Subject, { kind, ...rest }: Command): void {
  const command = { kind, ...rest } as Command;
  if (command.kind === 'set') subject.sources[command.source].set(command.key, command.item);
  else if (command.kind === 'delete') subject.sources[command.source].delete(command.key);
  else if (command.kind === 'settle') subject.engine.settle();
  else stepAndCheck(subject, command.items, command.read);
}

/** Readers see the last finished epoch, whatever the slice has computed. */
function stepAndCheck(subject: Subject, items: number, read: boolean): void {
  const before = read ? subject.content() : undefined;
  const { epochs } = subject.engine.counters;
  let steps = 0;
  subject.engine.step(() => ++steps > items);
  if (read && subject.engine.counters.epochs === epochs) deepStrictEqual(subject.content(), before);
}

/** Keeps, from changes alone, what each collection should hold. */
function followChanges(subject: Subject): ReadonlyMap<string, Map<string, unknown>> {
  const followed = new Map<string, Map<string, unknown>>();
  for (const collection of subject.collections) {
    const copy = new Map<string, unknown>();
    followed.set(collection.name, copy);
    subject.engine.watch(collection, (changes) => {
      for (const { key, old, now } of changes) {
        strictEqual(copy.get(key), old);
        strictEqual(deepEqual(old, now), false, `${collection.name}/${key} was told to change and did not`);
        if (now === undefined) copy.delete(key);
        else copy.set(key, now);
      }
    });
  }
  return followed;
}

function freshFrom(shape: Shape, { sources }: Subject): Subject {
  const fresh = new Subject(shape);
  for (const [name, source] of Object.entries(sources)) {
    for (const [key, item] of source.all()) fresh.sources[name as 'a' | 'b'].set(key, item);
  }
  fresh.engine.settle();
  return fresh;
}

/** Cells that are still there: values, dependents, claims. Nothing may stay behind when all sources are empty. */
function countLeftovers(subject: Subject): number {
  for (const source of Object.values(subject.sources)) {
    for (const key of source.all().keys()) source.delete(key);
  }
  subject.engine.settle();
  const stores = [...subject.collections, ...subject.indices] as unknown as readonly CellStore<unknown>[];
  return stores.reduce(
    (sum, { cells, whole }) => sum + cells.size + [...bagMembers(whole.dependents)].length,
    0,
  );
}

function testShape(name: string, shape: Shape, numRuns: number): void {
  test(`incremental equals from scratch: ${name}`, () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60, size: 'max' }), (commands) => {
        const subject = new Subject(shape);
        const followed = followChanges(subject);
        for (const command of commands) run(subject, command);
        subject.engine.settle();
        const fresh = freshFrom(shape, subject);
        deepStrictEqual(subject.content(), fresh.content());
        for (const collection of subject.collections) {
          const sorted = [...(followed.get(collection.name) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
          deepStrictEqual(sorted, [...collection.all()]);
        }
        strictEqual(countLeftovers(subject), 0);
      }),
      { numRuns },
    );
  });
}

testShape('fetches of a key, a bucket and all', buildFetches, 100);
testShape('a chain three deep', buildChain, 100);
testShape('one-to-many with duplicates', buildMany, 100);
testShape('indices, groups and a union', buildIndices, 100);
testShape('all of it in one graph', buildEverything, 50);

/**
 * The promises of Collection as one suite, run over every kind of collection. A Rig makes a
 * collection of one kind and says how to bring a value under a key of it; a new kind of collection is one more rig.
 */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { Collection, Engine } from './collection.ts';
import { createEngine } from './engine.ts';
import type { PersistentMap } from './persistent-map.ts';

/** A collection under test. `T` is what it holds; tests speak of numbers. */
interface Rig<T> {
  readonly kind: string;
  /** Builds the collection and what feeds it. */
  open(engine: Engine): Opened<T>;
}

interface Opened<T> {
  readonly collection: Collection<T>;
  /** Queues what makes `read(collection.get(key))` this number after the next settle. */
  put(key: string, number: number): void;
  /** Queues what makes the key go. */
  remove(key: string): void;
  read(value: T): number;
}

/** A rig that is built, and errors that its engine reported. */
class Bench<T> {
  readonly errors: string[] = [];
  readonly engine: Engine = createEngine({
    onError: (collection, key, error) =>
      this.errors.push(`${collection}/${key}: ${(error as Error).message}`),
  });
  readonly opened: Opened<T>;

  constructor(rig: Rig<T>) {
    this.opened = rig.open(this.engine);
    this.engine.settle();
  }

  get collection(): Collection<T> {
    return this.opened.collection;
  }

  /** Applies numbers by key, `undefined` removes, and settles. */
  apply(changes: Readonly<Record<string, number | undefined>>): void {
    this.queue(changes);
    this.engine.settle();
  }

  queue(changes: Readonly<Record<string, number | undefined>>): void {
    for (const [key, number] of Object.entries(changes)) {
      if (number === undefined) this.opened.remove(key);
      else this.opened.put(key, number);
    }
  }

  /** A map's content as `key=number key=number`. */
  print(map: PersistentMap<T> = this.collection.all()): string {
    return Array.from(map, ([key, value]) => `${key}=${this.opened.read(value)}`).join(' ');
  }

  /** What watchers hear: one text per call, `key:old>now key:old>now`. */
  watch(): string[] {
    const seen: string[] = [];
    const print = (value: T | undefined) => (value === undefined ? '' : `${this.opened.read(value)}`);
    this.engine.watch(this.collection, (changes) => {
      seen.push(changes.map(({ key, old, now }) => `${key}:${print(old)}>${print(now)}`).join(' '));
    });
    return seen;
  }
}

/** Registers the suite for one kind. */
function testCollection<T>(rig: Rig<T>): void {
  testReading(rig);
  testNoChange(rig);
  testEpochs(rig);
  testWatching(rig);
  testDependents(rig);
  testIndexing(rig);
}

function testReading<T>(rig: Rig<T>): void {
  test(`${rig.kind}: holds what was put, in byte order of keys`, () => {
    const bench = new Bench(rig);
    bench.apply({ b: 2, a: 1, '\u{1f600}': 4, '\uffee': 3 });
    strictEqual(bench.print(), 'a=1 b=2 \uffee=3 \u{1f600}=4');
    deepStrictEqual([bench.collection.size, bench.collection.get('c')], [4, undefined]);
    strictEqual(bench.opened.read(bench.collection.get('b') as T), 2);
  });

  test(`${rig.kind}: replaces and removes`, () => {
    const bench = new Bench(rig);
    bench.apply({ a: 1, b: 2, c: 3 });
    bench.apply({ a: 10, b: undefined });
    deepStrictEqual(
      [bench.print(), bench.collection.size, bench.collection.get('b')],
      ['a=10 c=3', 2, undefined],
    );
  });

  test(`${rig.kind}: takes keys that objects have methods for`, () => {
    const bench = new Bench(rig);
    bench.opened.put('__proto__', 1);
    bench.opened.put('constructor', 2);
    bench.engine.settle();
    deepStrictEqual(
      [bench.print(), bench.collection.get('toString')],
      ['__proto__=1 constructor=2', undefined],
    );
  });

  test(`${rig.kind}: a snapshot stays as it was and is the same object while nothing changes`, () => {
    const bench = new Bench(rig);
    bench.apply({ a: 1 });
    const before = bench.collection.all();
    strictEqual(bench.collection.all(), before);
    bench.apply({ a: 2, b: 3 });
    deepStrictEqual([bench.print(before), bench.print()], ['a=1', 'a=2 b=3']);
  });
}

function testNoChange<T>(rig: Rig<T>): void {
  test(`${rig.kind}: an equal value is no change and the old reference stays`, () => {
    const bench = new Bench(rig);
    bench.apply({ a: 1, b: 2 });
    const seen = bench.watch();
    const before = [bench.collection.get('a'), bench.collection.all()];
    bench.apply({ a: 1 });
    deepStrictEqual(seen, []);
    strictEqual(bench.collection.get('a'), before[0]);
    strictEqual(bench.collection.all(), before[1]);
  });

  test(`${rig.kind}: what comes and goes within one epoch is no change`, () => {
    const bench = new Bench(rig);
    bench.apply({ a: 1 });
    const seen = bench.watch();
    bench.queue({ a: 5, b: 7 });
    bench.apply({ a: 1, b: undefined });
    deepStrictEqual([seen, bench.print()], [[], 'a=1']);
  });

  test(`${rig.kind}: removing a missing key is no change`, () => {
    const bench = new Bench(rig);
    const seen = bench.watch();
    bench.apply({ a: undefined });
    deepStrictEqual([seen, bench.collection.size], [[], 0]);
  });
}

function testEpochs<T>(rig: Rig<T>): void {
  test(`${rig.kind}: readers see the last finished epoch until the next one is finished`, () => {
    const bench = new Bench(rig);
    bench.apply({ a: 1, b: 2 });
    bench.queue({ a: 10, b: undefined, c: 30 });
    const seen = bench.watch();
    for (let slices = 0; !bench.engine.step(() => true); slices++) {
      const { collection } = bench;
      strictEqual(bench.print(), 'a=1 b=2', `after slice ${slices}`);
      deepStrictEqual([collection.size, collection.get('c'), seen], [2, undefined, []]);
      strictEqual(bench.opened.read(collection.get('b') as T), 2);
    }
    deepStrictEqual([bench.print(), bench.collection.size], ['a=10 c=30', 2]);
  });

  test(`${rig.kind}: what is queued during an epoch belongs to the next`, () => {
    const bench = new Bench(rig);
    const seen = bench.watch();
    bench.queue({ a: 1 });
    strictEqual(
      bench.engine.step(() => true),
      false,
    );
    bench.queue({ a: 2 });
    bench.engine.settle();
    deepStrictEqual(seen, ['a:>1', 'a:1>2']);
  });
}

function testWatching<T>(rig: Rig<T>): void {
  test(`${rig.kind}: watchers get the net changes of an epoch in byte order`, () => {
    const bench = new Bench(rig);
    bench.apply({ a: 1, b: 2, c: 3 });
    const seen = bench.watch();
    bench.queue({ z: 26, c: 4 });
    bench.apply({ b: undefined, c: 5 });
    deepStrictEqual(seen, ['b:2> c:3>5 z:>26']);
  });

  test(`${rig.kind}: a watcher that is disposed of by another is not called any more`, () => {
    const bench = new Bench(rig);
    const calls: string[] = [];
    bench.engine.watch(bench.collection, () => {
      calls.push('first');
      second[Symbol.dispose]();
    });
    const second = bench.engine.watch(bench.collection, () => calls.push('second'));
    bench.engine.watch(bench.collection, () => calls.push('third'));
    bench.apply({ a: 1 });
    deepStrictEqual(calls, ['first', 'third']);
  });

  test(`${rig.kind}: a watcher that throws harms no other and is reported`, () => {
    const bench = new Bench(rig);
    bench.engine.watch(bench.collection, () => {
      throw new Error('watcher');
    });
    const seen = bench.watch();
    bench.apply({ a: 1 });
    deepStrictEqual([seen.length, bench.errors], [1, [`${bench.collection.name}/: watcher`]]);
  });

  test(`${rig.kind}: a watcher reads the new epoch and may queue the next`, () => {
    const bench = new Bench(rig);
    const seen = bench.watch();
    bench.engine.watch(bench.collection, () => {
      if (bench.collection.size === 1) bench.opened.put('b', 2);
    });
    bench.apply({ a: 1 });
    deepStrictEqual([seen, bench.print()], [['a:>1', 'b:>2'], 'a=1 b=2']);
  });
}

function testDependents<T>(rig: Rig<T>): void {
  test(`${rig.kind}: a key that was fetched runs its dependents again, present or not, and no others`, () => {
    const bench = new Bench(rig);
    const runs: string[] = [];
    const wishes = bench.engine.source<string>('rig.wishes');
    const found = bench.engine.derive('rig.found', wishes, (fetch, wish) => {
      runs.push(wish);
      const value = fetch.get(bench.collection, wish);
      return value === undefined ? 'none' : bench.opened.read(value);
    });
    const runsAfter = (changes: Parameters<typeof bench.apply>[0]) => {
      bench.apply(changes);
      return [...runs.splice(0), found.get('x'), found.get('y')];
    };
    wishes.set('x', 'a');
    wishes.set('y', 'missing');
    deepStrictEqual(runsAfter({ a: 1, other: 1 }), ['a', 'missing', 1, 'none']);
    deepStrictEqual(runsAfter({ other: 2 }), [1, 'none']);
    deepStrictEqual(runsAfter({ missing: 5 }), ['missing', 1, 5]);
    deepStrictEqual(runsAfter({ a: undefined }), ['a', 'none', 5]);
  });

  test(`${rig.kind}: a reader of the whole is run again by any change`, () => {
    const bench = new Bench(rig);
    const once = bench.engine.source<string>('rig.once');
    const list = bench.engine.derive('rig.list', once, (fetch) => bench.print(fetch.all(bench.collection)));
    once.set('x', '');
    bench.apply({ a: 1, b: 2 });
    strictEqual(list.get('x'), 'a=1 b=2');
    bench.apply({ b: undefined, c: 10 });
    strictEqual(list.get('x'), 'a=1 c=10');
  });
}

function testIndexing<T>(rig: Rig<T>): void {
  test(`${rig.kind}: can be indexed, and a bucket runs only its readers again`, () => {
    const bench = new Bench(rig);
    const bucketOf = (value: T) => (bench.opened.read(value) % 2 === 0 ? 'even' : 'odd');
    const parity = bench.engine.index('rig.parity', bench.collection, (value) => [bucketOf(value)]);
    const runs: string[] = [];
    const names = bench.engine.source<string>('rig.names');
    const members = bench.engine.derive('rig.members', names, (fetch, _value, name) => {
      runs.push(name);
      return bench.print(fetch.bucket(parity, name));
    });
    const runsAfter = (changes: Parameters<typeof bench.apply>[0]) => {
      bench.apply(changes);
      return [...runs.splice(0), members.get('even'), members.get('odd')];
    };
    names.set('even', '');
    names.set('odd', '');
    deepStrictEqual(runsAfter({ a: 1, b: 2, c: 3 }), ['even', 'odd', 'b=2', 'a=1 c=3']);
    deepStrictEqual(runsAfter({ c: 5 }), ['odd', 'b=2', 'a=1 c=5']);
    deepStrictEqual(runsAfter({ c: 4 }).toSorted(), ['a=1', 'b=2 c=4', 'even', 'odd']);
    deepStrictEqual(runsAfter({ a: undefined }), ['odd', 'b=2 c=4', '']);
    deepStrictEqual([[...parity.buckets()], parity.bucket('odd').size], [['even'], 0]);
  });
}

interface Value {
  readonly n: number;
}

/** Input of rigs whose outputs have keys of their own. */
interface Named extends Value {
  readonly outputKey: string;
}

const sourceRig: Rig<Value> = {
  kind: 'source',
  open(engine) {
    const collection = engine.source<Value>('values');
    return {
      collection,
      put: (key, n) => collection.set(key, { n }),
      remove: (key) => collection.delete(key),
      read: ({ n }) => n,
    };
  },
};

const deriveRig: Rig<Value> = {
  kind: 'derive',
  open(engine) {
    const input = engine.source<Value>('input');
    return {
      collection: engine.derive('doubled', input, (_fetch, { n }) => ({ n: 2 * n })),
      put: (key, n) => input.set(key, { n }),
      remove: (key) => input.delete(key),
      read: ({ n }) => n / 2,
    };
  },
};

const fetchRig: Rig<Value> = {
  kind: 'derive from fetched values',
  open(engine) {
    const names = engine.source<Value>('names');
    const values = engine.source<Value>('values');
    return {
      collection: engine.derive('joined', names, (fetch, _name, key) => fetch.get(values, `v/${key}`)),
      put(key, n) {
        names.set(key, { n: 0 });
        values.set(`v/${key}`, { n });
      },
      remove: (key) => values.delete(`v/${key}`),
      read: ({ n }) => n,
    };
  },
};

const manyRig: Rig<Value> = {
  kind: 'deriveMany',
  open(engine) {
    const input = engine.source<Named>('input');
    return {
      collection: engine.deriveMany('spread', input, (_fetch, { n, outputKey }) => [[outputKey, { n }]]),
      put: (outputKey, n) => input.set(`in/${outputKey}`, { n, outputKey }),
      remove: (outputKey) => input.delete(`in/${outputKey}`),
      read: ({ n }) => n,
    };
  },
};

const unionRig: Rig<Value> = {
  kind: 'union',
  open(engine) {
    const parts = [engine.source<Value>('even'), engine.source<Value>('odd')] as const;
    const partOf = (key: string) => parts[key.charCodeAt(0) % 2 === 0 ? 0 : 1];
    return {
      collection: engine.union('both', parts),
      put: (key, n) => partOf(key).set(key, { n }),
      remove: (key) => partOf(key).delete(key),
      read: ({ n }) => n,
    };
  },
};

const groupRig: Rig<PersistentMap<Named>> = {
  kind: 'group',
  open(engine) {
    const input = engine.source<Named>('input');
    const index = engine.index('byOutput', input, ({ outputKey }) => [outputKey]);
    return {
      collection: engine.group('grouped', index),
      put: (outputKey, n) => input.set(`in/${outputKey}`, { n, outputKey }),
      remove: (outputKey) => input.delete(`in/${outputKey}`),
      read: (members) => [...members.values()].reduce((sum, { n }) => sum + n, 0),
    };
  },
};

testCollection(sourceRig);
testCollection(deriveRig);
testCollection(fetchRig);
testCollection(manyRig);
testCollection(unionRig);
testCollection(groupRig);

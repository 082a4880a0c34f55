/** Dumps and roots over a graph with every kind of step. */
import { deepStrictEqual, throws } from 'node:assert';
import { test } from 'node:test';
import type { Collection, Fetch } from './collection.ts';
import { createEngine } from './engine.ts';

function openGraph() {
  const engine = createEngine();
  const pods = engine.source<{ readonly app: string }>('pods');
  const extra = engine.source<{ readonly app: string }>('extra');
  const config = engine.source<number>('config');
  const all = engine.union('all', [pods, extra]);
  const byApp = engine.index('byApp', all, ({ app }) => [app]);
  const apps = engine.group('apps', byApp);
  const services = engine.derive('services', apps, (fetch, members, key) => ({
    size: members.size,
    timeout: fetch.get(config, key) ?? fetch.get(config, 'default'),
  }));
  const names = engine.deriveMany('names', services, (_fetch, { size }, key) => [[`${key}.mesh`, size]]);
  const lookups = engine.source<string>('lookups');
  engine.derive('answers', lookups, (fetch, app) => [fetch.bucket(byApp, app).size, fetch.all(names).size]);
  pods.set('p1', { app: 'web' });
  pods.set('p2', { app: 'web' });
  extra.set('e1', { app: 'db' });
  config.set('default', 5);
  lookups.set('l', 'web');
  engine.settle();
  return engine;
}

test('a dump shows what made a value and what is made from it', () => {
  const engine = openGraph();
  deepStrictEqual(engine.dump('services', 'web'), {
    value: { size: 2, timeout: 5 },
    inputs: [
      { collection: 'apps', key: 'web' },
      { collection: 'config', key: 'default' },
      { collection: 'config', key: 'web' },
    ],
    outputs: [{ collection: 'names', key: 'web.mesh' }],
  });
  deepStrictEqual(engine.dump('names', 'web.mesh'), {
    value: 2,
    inputs: [{ collection: 'services', key: 'web' }],
    outputs: [{ collection: 'answers', key: 'l' }],
  });
  deepStrictEqual(engine.dump('answers', 'l'), {
    value: [2, 2],
    inputs: [
      { collection: 'byApp', bucket: 'web' },
      { collection: 'lookups', key: 'l' },
      { collection: 'names', all: true },
    ],
    outputs: [],
  });
});

test('a dump of a source key, a union key and a bucket', () => {
  const engine = openGraph();
  const { outputs: ofSource } = engine.dump('extra', 'e1') as { outputs: unknown };
  const { inputs: ofUnion } = engine.dump('all', 'e1') as { inputs: unknown };
  const { outputs: ofBucket } = engine.dump('byApp', 'web') as { outputs: unknown };
  deepStrictEqual(
    { ofSource, ofUnion, ofBucket },
    {
      ofSource: [{ collection: 'all', key: 'e1' }],
      ofUnion: [{ collection: 'extra', key: 'e1' }],
      ofBucket: [
        { collection: 'answers', key: 'l' },
        { collection: 'apps', key: 'web' },
      ],
    },
  );
});

test('a missing key has no inputs, but shows who looked for it', () => {
  const engine = openGraph();
  deepStrictEqual(engine.dump('config', 'web'), {
    value: undefined,
    inputs: [],
    outputs: [{ collection: 'services', key: 'web' }],
  });
  deepStrictEqual(engine.dump('services', 'nobody'), { value: undefined, inputs: [], outputs: [] });
});

test('roots are the source keys behind a value, also those looked for in vain', () => {
  const engine = openGraph();
  deepStrictEqual(engine.rootsOf('names', 'db.mesh'), ['config/db', 'config/default', 'extra/e1']);
  deepStrictEqual(engine.rootsOf('answers', 'l'), [
    'config/db',
    'config/default',
    'config/web',
    'extra/e1',
    'lookups/l',
    'pods/p1',
    'pods/p2',
  ]);
});

test('a dump of a hub is cut', () => {
  const engine = createEngine();
  const hub = engine.source<number>('hub');
  const items = engine.source<number>('items');
  engine.derive('readers', items, (fetch) => fetch.get(hub, 'h'));
  for (let i = 0; i < 1001; i++) items.set(`${i}`, i);
  engine.settle();
  const dump = engine.dump('hub', 'h') as { outputs: readonly unknown[]; outputsOmitted: number };
  deepStrictEqual([dump.outputs.length, dump.outputsOmitted], [1000, 1]);
});

test('an unknown collection is an error', () => {
  throws(() => openGraph().dump('nothing', 'a'), /no collection or index is called "nothing"/);
});

test('roots of many diamonds on top of each other are found in no time', () => {
  const engine = createEngine();
  const source = engine.source<number>('source');
  let pair = [source, source] as readonly [Collection<number>, Collection<number>];
  for (let level = 0; level < 40; level++) {
    const [left, right] = pair;
    const sum = (fetch: Fetch, n: number, key: string) => n + (fetch.get(right, key) ?? 0);
    pair = [engine.derive(`left-${level}`, left, sum), engine.derive(`right-${level}`, left, sum)];
  }
  source.set('k', 1);
  engine.settle();
  deepStrictEqual([engine.rootsOf('left-39', 'k'), pair[0].get('k')], [['source/k'], 2 ** 40]);
});

import { deepStrictEqual, notStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { decodeObject } from '#api/decode-object.ts';
import type { EnvoyFilterSpec } from '#api/envoy-filter.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { createEngine } from '#collections/engine.ts';
import { Interner } from '#collections/interner.ts';
import { createEnvoyFilterModel } from '#model/envoy-filter.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { Proxy } from '#model/proxy.ts';
import { proxy as proxyOf } from '#model/service-model-rig.ts';
import { createEnvoyFilterScope } from './envoy-filter.ts';
import type { ListenerFacts } from './listener-facts.ts';

interface FilterFacts {
  readonly name: string;
  readonly namespace?: string;
  readonly createdAtMs?: number;
  readonly spec?: object;
  readonly proxy?: object;
  readonly patches?: readonly object[];
}

const PATCH = { applyTo: 'CLUSTER', patch: { operation: 'MERGE', value: { altStatName: 'x' } } };

function filterOf(facts: FilterFacts): MeshObject<EnvoyFilterSpec> {
  const { name, namespace = 'default', createdAtMs = 0, spec = {}, proxy, patches = [PATCH] } = facts;
  const configPatches = patches.map((one) => (proxy === undefined ? one : { ...one, match: { proxy } }));
  const document = {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name, namespace },
    spec: { configPatches, ...spec },
  };
  const { object } = decodeObject(document, { defaultNamespace: 'default' });
  if (object === undefined) throw new Error(`refused: ${name}`);
  return { ...(object as MeshObject<EnvoyFilterSpec>), createdAtMs };
}

/** The patch sets of proxies by name, under these EnvoyFilters. */
function setsOf(filters: readonly FilterFacts[], proxies: readonly Proxy[], rootNamespace = 'istio-system') {
  const engine = createEngine();
  const objects = engine.source<MeshObject<EnvoyFilterSpec>>('EnvoyFilter');
  const facts = engine.source<ListenerFacts>('facts');
  const source = engine.source<Proxy>('proxies');
  const sets = createEnvoyFilterScope(engine, {
    proxies: source,
    facts,
    model: createEnvoyFilterModel(engine, objects),
    interner: new Interner(),
  });
  facts.set(MESH_KEY, { rootNamespace } as ListenerFacts);
  for (const one of filters) objects.set(`${one.namespace ?? 'default'}/${one.name}`, filterOf(one));
  for (const one of proxies) source.set(one.id, one);
  engine.settle();
  return proxies.map(({ id }) => sets.get(id));
}

/** `namespace/name[index]` of each patch that meets the one proxy, in order. */
function metBy(filters: readonly FilterFacts[], proxy: Partial<Proxy> = {}): string {
  const [set] = setsOf(filters, [{ ...proxyOf('p'), ...proxy }]);
  const met = set?.patches ?? [];
  return met
    .map(({ cause }) => `${cause.namespace}/${cause.name}${cause.path.slice('spec.configPatches'.length)}`)
    .join(' ');
}

const ORDERS: readonly (readonly [string, readonly FilterFacts[], string])[] = [
  ['by name', [{ name: 'b' }, { name: 'a' }], 'default/a[0] default/b[0]'],
  [
    'the older first',
    [
      { name: 'a', createdAtMs: 2 },
      { name: 'b', createdAtMs: 1 },
    ],
    'default/b[0] default/a[0]',
  ],
  [
    'the root namespace first, whatever the age',
    [
      { name: 'a', createdAtMs: 1 },
      { name: 'b', namespace: 'istio-system', createdAtMs: 2 },
    ],
    'istio-system/b[0] default/a[0]',
  ],
  [
    'priority before all that',
    [
      { name: 'a', spec: { priority: -1 } },
      { name: 'b', namespace: 'istio-system' },
      { name: 'c', spec: { priority: 5 } },
    ],
    'default/a[0] istio-system/b[0] default/c[0]',
  ],
  ['patches of one in their order', [{ name: 'a', patches: [PATCH, PATCH] }], 'default/a[0] default/a[1]'],
  ['not those of other namespaces', [{ name: 'a', namespace: 'other' }], ''],
];

for (const [name, filters, wanted] of ORDERS) {
  test(`order: ${name}`, () => strictEqual(metBy(filters), wanted));
}

test('in the root namespace an EnvoyFilter applies once', () => {
  strictEqual(
    metBy([{ name: 'a', namespace: 'istio-system' }], { namespace: 'istio-system' }),
    'istio-system/a[0]',
  );
});

const GATEWAY = 'gateway.networking.k8s.io/gateway-name';
const target = (rest: object = {}): object => ({
  targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'gw', ...rest }],
});

/** Name, spec, match.proxy, what the proxy is, whether it is met. */
const SELECTIONS: readonly (readonly [string, object, object | undefined, Partial<Proxy>, boolean])[] = [
  ['no selector', {}, undefined, {}, true],
  ['a selector without labels', { workloadSelector: {} }, undefined, {}, true],
  [
    'labels that the proxy has',
    { workloadSelector: { labels: { app: 'a' } } },
    undefined,
    { labels: { app: 'a', v: '1' } },
    true,
  ],
  [
    'labels that it has not',
    { workloadSelector: { labels: { app: 'a', v: '2' } } },
    undefined,
    { labels: { app: 'a' } },
    false,
  ],
  [
    'a label that every object has',
    { workloadSelector: { labels: { constructor: 'a' } } },
    undefined,
    {},
    false,
  ],
  ['a target, of its gateway', target(), undefined, { labels: { [GATEWAY]: 'gw' } }, true],
  ['a target, of another gateway', target(), undefined, { labels: { [GATEWAY]: 'other' } }, false],
  ['a target, and no gateway', target(), undefined, { labels: {} }, false],
  ['a version that fits', {}, { proxyVersion: '^1\\.30' }, { istioVersion: '1.30.2' }, true],
  ['a version found inside', {}, { proxyVersion: '30' }, { istioVersion: '1.30.2' }, true],
  ['a version that does not fit', {}, { proxyVersion: '^1\\.29.*' }, { istioVersion: '1.30.2' }, false],
  ['a version, and a proxy that does not say', {}, { proxyVersion: '.*' }, { istioVersion: '' }, false],
  [
    'a version expression that is too long (T28)',
    {},
    { proxyVersion: `1|${'x'.repeat(1024)}` },
    { istioVersion: '1' },
    false,
  ],
  ['metadata that fits', {}, { metadata: { a: 'b' } }, { metadata: { a: 'b' } }, true],
  ['metadata of another value', {}, { metadata: { a: 'b' } }, { metadata: { a: 'c' } }, false],
  ['metadata that it has not', {}, { metadata: { toString: 'b' } }, {}, false],
];

for (const [name, spec, proxy, facts, isMet] of SELECTIONS) {
  test(`selection: ${name}`, () => {
    const filter = { name: 'a', spec, ...(proxy === undefined ? {} : { proxy }) };
    strictEqual(metBy([filter], facts), isMet ? 'default/a[0]' : '');
  });
}

test('patches that do nothing, and those with values that are no messages, are left out', () => {
  const patches = [
    { applyTo: 'BOOTSTRAP', patch: { operation: 'MERGE', value: {} } },
    { applyTo: 'ROUTE_CONFIGURATION', patch: { operation: 'ADD', value: {} } },
    { applyTo: 'CLUSTER', patch: { operation: 'REPLACE', value: {} } },
    PATCH,
  ];
  strictEqual(metBy([{ name: 'a', patches }]), 'default/a[3]');
});

test('proxies that the same patches meet share one set, others do not', () => {
  const labelled = { name: 'b', spec: { workloadSelector: { labels: { app: 'x' } } } };
  const proxies = ['1', '2', '3'].map((name) => ({
    ...proxyOf(name),
    labels: name === '3' ? { app: 'x' } : {},
  }));
  const [first, second, third] = setsOf([{ name: 'a' }, labelled], proxies);
  strictEqual(first, second);
  notStrictEqual(first, third);
  deepStrictEqual(
    third?.patches.map(({ cause }) => cause.name),
    ['a', 'b'],
  );
});

import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { defaultMeshProxyConfig } from '#api/mesh-config.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { ProxyConfigSpec } from '#api/proxy-config.ts';
import { effectiveProxyConfig } from './proxy-config.ts';

/** `namespace/name`, optionally with a time of creation, and its spec. */
type Given = readonly [place: string, spec: ProxyConfigSpec, createdAtMs?: number];

function object([place, spec, createdAtMs = 0]: Given): MeshObject<ProxyConfigSpec> {
  const [namespace = '', name = ''] = place.split('/');
  const apiVersion = 'networking.istio.io/v1beta1';
  return {
    apiVersion,
    kind: 'ProxyConfig',
    namespace,
    name,
    labels: {},
    annotations: {},
    createdAtMs,
    hash: '',
    spec,
  };
}

const web = { matchLabels: { app: 'web' } };
const cases: readonly (readonly [
  string,
  readonly Given[],
  { annotation?: number; namespace?: string },
  number,
])[] = [
  ['nothing applies: mesh default', [], {}, 1],
  ['root namespace', [['istio-system/a', { concurrency: 2 }]], {}, 2],
  [
    'own namespace over root',
    [
      ['istio-system/a', { concurrency: 2 }],
      ['shop/a', { concurrency: 3 }],
    ],
    {},
    3,
  ],
  ['annotation over namespace', [['shop/a', { concurrency: 3 }]], { annotation: 4 }, 4],
  ['selector over annotation', [['shop/a', { concurrency: 5, selector: web }]], { annotation: 4 }, 5],
  [
    'a selector that does not fit',
    [['shop/a', { concurrency: 5, selector: { matchLabels: { app: 'x' } } }]],
    {},
    1,
  ],
  ['an empty selector is neither for all nor for one', [['shop/a', { concurrency: 5, selector: {} }]], {}, 1],
  [
    'a selector in the root namespace reaches no other',
    [['istio-system/a', { concurrency: 5, selector: web }]],
    {},
    1,
  ],
  ['another namespace', [['other/a', { concurrency: 5 }]], {}, 1],
  [
    'the oldest of two',
    [
      ['shop/a', { concurrency: 6 }, 20],
      ['shop/b', { concurrency: 7 }, 10],
    ],
    {},
    7,
  ],
  [
    'of equal age, the first by name',
    [
      ['shop/b', { concurrency: 6 }],
      ['shop/a', { concurrency: 7 }],
    ],
    {},
    7,
  ],
  [
    'a workload of the root namespace',
    [['istio-system/a', { concurrency: 2 }]],
    { namespace: 'istio-system' },
    2,
  ],
];

for (const [name, objects, { annotation, namespace = 'shop' }, expected] of cases) {
  test(`concurrency of a proxy: ${name}`, () => {
    const { concurrency } = effectiveProxyConfig(
      {
        meshDefault: { ...defaultMeshProxyConfig(), concurrency: 1 },
        rootNamespace: 'istio-system',
        objects: objects.map(object),
      },
      {
        namespace,
        labels: { app: 'web', version: 'v1' },
        annotation: annotation === undefined ? {} : { concurrency: annotation },
      },
    );
    deepStrictEqual(concurrency, expected);
  });
}

test('what applies depends on the objects, never on the order in which they came', () => {
  const spec = fc.record(
    {
      concurrency: fc.nat(4),
      environmentVariables: fc.constantFrom({ A: '1' }, { A: '2', B: '1' }),
      selector: fc.constantFrom(web, { matchLabels: { version: 'v1' } }, {}),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  const place = fc.constantFrom('istio-system/a', 'istio-system/b', 'shop/a', 'shop/b', 'shop/c');
  const given = fc.tuple(place, spec, fc.nat(2)) as fc.Arbitrary<Given>;
  const anyOrders = fc
    .uniqueArray(given, { selector: ([at]) => at, maxLength: 5 })
    .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })));
  const configOf = (all: readonly Given[]): unknown =>
    effectiveProxyConfig(
      { meshDefault: defaultMeshProxyConfig(), rootNamespace: 'istio-system', objects: all.map(object) },
      { namespace: 'shop', labels: { app: 'web', version: 'v1' }, annotation: { concurrency: 9 } },
    );
  fc.assert(fc.property(anyOrders, ([one, other]) => deepStrictEqual(configOf(one), configOf(other))));
});

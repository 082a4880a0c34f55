import { deepStrictEqual } from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MeshObject } from '#api/mesh-object.ts';
import type { PeerAuthenticationSpec } from '#api/peer-authentication.ts';
import { createEngine } from '#collections/engine.ts';
import { createPeerAuthenticationModel, mutualTlsFor, portMode } from './peer-authentication.ts';
import { object, READER } from './service-model-rig.ts';

type Policy = MeshObject<PeerAuthenticationSpec>;

const APP_A = { selector: { matchLabels: { app: 'a' } } };

function policy(place: string, spec: PeerAuthenticationSpec, createdAtMs = 0): Policy {
  const [namespace = '', name = ''] = place.split('/');
  return object('PeerAuthentication', name, spec, { namespace, createdAtMs });
}

/** The answer for the workload with label `app: a` of a namespace. */
function answer(namespace: string, ...policies: readonly Policy[]) {
  const engine = createEngine();
  const objects = engine.source<Policy>('objects');
  const model = createPeerAuthenticationModel(engine, objects);
  for (const each of policies) objects.set(`${each.namespace}/${each.name}`, each);
  engine.settle();
  return mutualTlsFor(READER, model, 'root', { namespace, labels: { app: 'a', version: 'v1' } });
}

describe('mode of a workload', () => {
  const strict = { mtls: { mode: 'STRICT' } } as const;
  const disable = { mtls: { mode: 'DISABLE' } } as const;
  const permissive = { mtls: { mode: 'PERMISSIVE' } } as const;
  const cases: readonly (readonly [string, readonly Policy[], string])[] = [
    ['without policies is PERMISSIVE', [], 'PERMISSIVE'],
    ['comes from the mesh', [policy('root/default', strict)], 'STRICT'],
    [
      'of the namespace wins over the mesh',
      [policy('root/default', strict), policy('shop/ns', disable)],
      'DISABLE',
    ],
    [
      'of the workload wins over the namespace',
      [policy('shop/ns', strict), policy('shop/a', { ...APP_A, ...permissive })],
      'PERMISSIVE',
    ],
    [
      'UNSET takes the wider level',
      [
        policy('root/default', strict),
        policy('shop/ns', { mtls: { mode: 'UNSET' } }),
        policy('shop/a', APP_A),
      ],
      'STRICT',
    ],
    ['is not set by another namespace', [policy('other/ns', strict)], 'PERMISSIVE'],
    [
      'is not set for other labels',
      [policy('shop/a', { selector: { matchLabels: { app: 'a', version: 'v2' } }, ...strict })],
      'PERMISSIVE',
    ],
    [
      'of two policies of one level is that of the older',
      [policy('shop/a', strict, 2), policy('shop/b', disable, 1)],
      'DISABLE',
    ],
    [
      'of two policies of one age is that of the first by name',
      [policy('shop/b', disable), policy('shop/a', strict)],
      'STRICT',
    ],
    [
      'is not set by a selector of the root namespace',
      [policy('root/a', { ...APP_A, ...strict })],
      'PERMISSIVE',
    ],
  ];
  for (const [name, policies, expected] of cases) {
    it(name, () => deepStrictEqual(answer('shop', ...policies).settings.mode, expected));
  }

  it('in the root namespace is the mesh’s', () => {
    const policies = [policy('root/default', strict), policy('root/a', { ...APP_A, ...disable })];
    deepStrictEqual(answer('root', ...policies).settings, { mode: 'STRICT', ports: {} });
  });
});

it('ports have modes of their own, by the policy that selects the workload', () => {
  const portLevelMtls = { 80: { mode: 'DISABLE' }, 90: { mode: 'UNSET' } } as const;
  const { settings, causes } = answer(
    'shop',
    policy('root/default', { portLevelMtls: { 70: { mode: 'DISABLE' } } }),
    policy('shop/a', { ...APP_A, mtls: { mode: 'STRICT' }, portLevelMtls }),
  );
  deepStrictEqual(
    [70, 80, 90].map((port) => portMode(settings, port)),
    ['STRICT', 'DISABLE', 'STRICT'],
  );
  deepStrictEqual(
    causes.map(({ namespace, name, path }) => `${namespace}/${name} ${path}`),
    ['root/default spec.mtls', 'shop/a spec.mtls'],
  );
});

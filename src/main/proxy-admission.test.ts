/** Who may be which proxy: what was proven against what the node says and what the pod of that name is. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { Peer } from '#ads/peer.ts';
import { createEngine } from '#collections/engine.ts';
import type { Workload } from '#model/endpoint.ts';
import type { Proxy } from '#model/proxy.ts';
import { pod, proxy } from '#model/service-model-rig.ts';
import { workloadFromPod } from '#model/workload.ts';
import { createProxyAdmission } from './proxy-admission.ts';

const CONTEXT = { clusterId: 'c1', trustDomain: 'td', heedsHealth: true, networkOf: () => '' };

function admit(peer: Partial<Peer>, node: Partial<Proxy>, isReady = true): Proxy | string {
  const engine = createEngine();
  const workloads = engine.source<Workload>('workloads');
  const known = workloadFromPod(
    pod('cart-1', '10.0.0.1', {}, { serviceAccountName: 'cart' }),
    {},
    CONTEXT,
  ) as Workload;
  workloads.set('default/cart-1', known);
  engine.settle();
  const admission = createProxyAdmission({ workloads, isReady: () => isReady });
  const connection = { transport: 'tls', remoteAddress: '10.0.0.1:5', tls: undefined } as const;
  const caller: Peer = { identity: undefined, isTrusted: true, connection, ...peer };
  const answer = admission.admit(
    caller,
    proxy('cart-1', { namespace: 'default', serviceAccount: '', ...node }),
  );
  return answer.ok ? answer.value : `${answer.error.code}: ${answer.error.message}`;
}

const CART = 'spiffe://td/ns/default/sa/cart';

test('a proxy is let in under the account that it has proven', () => {
  const admitted = admit({ identity: CART, podName: 'cart-1' }, { serviceAccount: 'cart' });
  if (typeof admitted === 'string') throw new Error(admitted);
  deepStrictEqual([admitted.identity, admitted.serviceAccount], [CART, 'cart']);
});

test('a caller in plain text is the proxy that it says, without an identity', () => {
  const admitted = admit({}, {});
  strictEqual(typeof admitted === 'string' ? admitted : admitted.identity, undefined);
});

test('a pod that is not seen yet is believed as far as the proof goes', () => {
  const admitted = admit({ identity: CART, podName: 'cart-2' }, { name: 'cart-2' });
  strictEqual(typeof admitted === 'string' ? admitted : admitted.serviceAccount, 'cart');
});

const REFUSED: readonly (readonly [string, Partial<Peer>, Partial<Proxy>, string])[] = [
  [
    'of another namespace',
    { identity: 'spiffe://td/ns/other/sa/cart' },
    {},
    '7: spiffe://td/ns/other/sa/cart may not be a proxy of namespace default',
  ],
  [
    'whose node names another account',
    { identity: CART },
    { serviceAccount: 'till' },
    `7: ${CART} may not be a proxy of service account till`,
  ],
  [
    'whose token is bound to another pod',
    { identity: CART, podName: 'cart-2' },
    {},
    `7: ${CART} may not be pod cart-1: its token is bound to cart-2`,
  ],
  [
    'that names a pod of another account',
    { identity: 'spiffe://td/ns/default/sa/till' },
    {},
    '7: spiffe://td/ns/default/sa/till may not be pod default/cart-1 of another service account',
  ],
  [
    'whose identity is of no workload',
    { identity: 'spiffe://td/other' },
    {},
    '7: spiffe://td/other may not be a proxy of namespace default',
  ],
];

for (const [who, peer, node, refusal] of REFUSED) {
  test(`a caller ${who} is refused`, () => strictEqual(admit(peer, node), refusal));
}

test('while the mesh is being read everybody is sent away', () => {
  strictEqual(admit({ identity: CART }, {}, false), '14: the mesh is still being read');
});

/** T25: node proxies act for workloads on their own node, and for nobody else. */
import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { Caller } from './caller.ts';
import { NodeImpersonation, type NodePod } from './node-impersonation.ts';

const ZTUNNEL = { trustDomain: 'td', namespace: 'istio-system', serviceAccount: 'ztunnel' };
const POD: NodePod = { uid: 'u1', serviceAccount: 'ztunnel', nodeName: 'node-1' };
const CALLER: Caller = {
  identity: ZTUNNEL,
  facts: {},
  via: 'token',
  pod: { name: 'ztunnel-1', uid: 'u1' },
};
const CART = 'spiffe://td/ns/shop/sa/cart';

function authorize(caller: Caller, asked: string, pod: NodePod | undefined = POD): string {
  const impersonation = new NodeImpersonation({
    trustedAccounts: new Set(['istio-system/ztunnel']),
    podOf: (namespace, name) => (`${namespace}/${name}` === 'istio-system/ztunnel-1' ? pod : undefined),
    runsOn: (node, { namespace, serviceAccount }) =>
      `${node} ${namespace}/${serviceAccount}` === 'node-1 shop/cart',
  });
  const answer = impersonation.authorize(caller, asked);
  return answer.ok ? Object.values(answer.value).join(' ') : answer.error;
}

test('T25: a trusted node account gets the identity of a pod on its node', () => {
  deepStrictEqual(authorize(CALLER, CART), 'td shop cart');
});

const { pod: _pod, ...WITHOUT_POD } = CALLER;

const REFUSED: readonly (readonly [string, string, Caller, string, (NodePod | undefined)?])[] = [
  [
    'an account that nobody trusts',
    'the caller is no trusted node account',
    { ...CALLER, identity: { ...ZTUNNEL, serviceAccount: 'other' } },
    CART,
  ],
  [
    'the trusted name in another namespace',
    'the caller is no trusted node account',
    { ...CALLER, identity: { ...ZTUNNEL, namespace: 'shop' } },
    CART,
  ],
  ['a token without a pod', 'the caller showed no token of a pod', WITHOUT_POD, CART],
  ['a certificate', 'the caller showed no token of a pod', { ...CALLER, via: 'certificate' }, CART],
  [
    'a workload elsewhere',
    "no pod of the account that was asked for runs on the caller's node",
    CALLER,
    'spiffe://td/ns/shop/sa/till',
  ],
  [
    'another trust domain',
    'the identity asked for is of another trust domain',
    CALLER,
    'spiffe://other/ns/shop/sa/cart',
  ],
  ['what is no identity', 'the identity asked for: scheme is not spiffe://', CALLER, ''],
  ['two identities', 'the identity asked for: bad path', CALLER, `${CART},${CART}`],
  [
    'a pod that is not there any more',
    "the caller's pod is not known",
    { ...CALLER, pod: { name: 'ztunnel-2', uid: 'u1' } },
    CART,
  ],
  ['a pod that was made again', "the caller's pod is not known", CALLER, CART, { ...POD, uid: 'u2' }],
  [
    'a token that does not say which pod of the name',
    "the caller's pod is not known",
    { ...CALLER, pod: { name: 'ztunnel-1', uid: '' } },
    CART,
    { ...POD, uid: '' },
  ],
  [
    'a pod of another account',
    "the caller's pod runs under another account",
    CALLER,
    CART,
    { ...POD, serviceAccount: 'x' },
  ],
  [
    'a pod on no node',
    "no pod of the account that was asked for runs on the caller's node",
    CALLER,
    CART,
    { ...POD, nodeName: '' },
  ],
];

for (const [what, reason, caller, asked, pod] of REFUSED) {
  test(`T25: ${what} is refused`, () => deepStrictEqual(authorize(caller, asked, pod), reason));
}

/** The certificate authority on a real API server. Skipped where the harness is not built. */
import { deepStrictEqual } from 'node:assert';
import { after, before, test } from 'node:test';
import { ClusterFixture, NO_CLUSTER as skip } from './cluster-fixture.ts';
import { DiscoveryRig, until } from './discovery-rig.ts';

const LIMIT_MS = 120_000;
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';

let cluster: ClusterFixture;
let istiod: DiscoveryRig;

before(async () => {
  if (skip !== false) return;
  cluster = await ClusterFixture.start(17_420);
  for (const namespace of ['istio-system', 'shop']) cluster.kubectl('create', 'namespace', namespace);
  for (const account of ['cart', 'till']) cluster.kubectl('-n', 'shop', 'create', 'serviceaccount', account);
  cluster.applyCrds();
  istiod = await DiscoveryRig.start('istiod-a', cluster.kubeconfig);
});

after(async () => {
  if (skip !== false) return;
  await istiod[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
});

/** A pod that nobody runs, with an address all the same. */
function putPod(name: string, serviceAccountName: string, podIP: string, nodeName = 'node-1'): void {
  const containers = [{ name: 'app', image: 'app' }];
  const metadata = { name, namespace: 'shop', labels: { app: serviceAccountName } };
  cluster.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata,
    spec: { serviceAccountName, nodeName, containers },
  });
  const status = JSON.stringify({ status: { phase: 'Running', podIP, podIPs: [{ ip: podIP }] } });
  cluster.kubectl('-n', 'shop', 'patch', 'pod', name, '--subresource=status', '--type=merge', '-p', status);
}

function nodeOf(pod: string, namespace = 'shop'): string {
  return `sidecar~10.9.0.1~${pod}.${namespace}~${namespace}.svc.cluster.local`;
}

function tokenOf(account: string, audience: string, ...more: readonly string[]): string {
  return cluster.kubectl('-n', 'shop', 'create', 'token', account, '--audience', audience, ...more).trim();
}

test('a token of a service account gets a certificate for that account and for no other', {
  skip,
  timeout: LIMIT_MS,
}, async () => {
  const token = tokenOf('cart', 'istio-ca');
  const { chain, status } = await istiod.createCertificate(token, CART);
  deepStrictEqual([status, chain[0]?.uris], ['0', [CART]]);
  const other = await istiod.createCertificate(token, 'spiffe://cluster.local/ns/shop/sa/till');
  deepStrictEqual([other.status, other.chain], ['7', []]);
});

test('a token for another audience, one of a user and a forged one are refused', {
  skip,
  timeout: LIMIT_MS,
}, async () => {
  const good = tokenOf('cart', 'istio-ca');
  const [head, , signature] = good.split('.');
  const payload = { sub: 'system:serviceaccount:shop:cart', aud: ['istio-ca'], exp: Date.now() / 1000 + 600 };
  const forged = [head, Buffer.from(JSON.stringify(payload)).toString('base64url'), signature].join('.');
  const statuses = [];
  for (const token of [tokenOf('cart', 'vault'), tokenOf('cart', 'https://kubernetes.default.svc'), forged]) {
    statuses.push((await istiod.createCertificate(token, CART)).status);
  }
  deepStrictEqual(statuses, ['16', '16', '16']);
});

test('a proxy is the pod that its token is bound to, and no other', { skip, timeout: LIMIT_MS }, async () => {
  putPod('cart-1', 'cart', '10.9.0.1');
  putPod('till-1', 'till', '10.9.0.2');
  const bound = tokenOf('cart', 'istio-ca', '--bound-object-kind', 'Pod', '--bound-object-name', 'cart-1');
  const free = tokenOf('cart', 'istio-ca');
  await until(
    'the pods are seen',
    () => istiod.clustersOf(free, nodeOf('till-1')),
    (answer) => answer === '7',
  );
  const answers = [];
  for (const [token, node] of [
    [bound, nodeOf('cart-1')],
    [bound, nodeOf('cart-2')],
    [free, nodeOf('till-1')],
    [free, nodeOf('cart-1', 'istio-system')],
    ['nonsense', nodeOf('cart-1')],
  ] as const) {
    const answer = await istiod.clustersOf(token, node);
    answers.push(typeof answer === 'string' ? answer : answer > 0);
  }
  deepStrictEqual(answers, [true, '7', '7', '7', '16']);
  const { chain } = await istiod.createCertificate(bound, CART);
  deepStrictEqual(chain[0]?.subject.split('\n').sort(), [
    'CN=cart-1',
    'L=Kubernetes',
    'O=shop',
    'OU=latest',
    'UID=cart',
  ]);
});

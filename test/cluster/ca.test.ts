/** The certificate authority on a real API server. Skipped where the harness is not built. */
import { deepStrictEqual } from 'node:assert';
import { after, before, test } from 'node:test';
import { ClusterFixture, NO_CLUSTER as skip } from './cluster-fixture.ts';
import { DiscoveryRig } from './discovery-rig.ts';

const LIMIT_MS = 120_000;
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';

let cluster: ClusterFixture;
let istiod: DiscoveryRig;

before(async () => {
  if (skip !== false) return;
  cluster = await ClusterFixture.start(17_420);
  for (const namespace of ['istio-system', 'shop']) cluster.kubectl('create', 'namespace', namespace);
  cluster.kubectl('-n', 'shop', 'create', 'serviceaccount', 'cart');
  cluster.applyCrds();
  istiod = await DiscoveryRig.start('istiod-a', cluster.kubeconfig);
});

after(async () => {
  if (skip !== false) return;
  await istiod[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
});

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

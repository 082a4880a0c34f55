/** The certificate authority on a real API server. Skipped where the harness is not built. */
import { deepStrictEqual, match, notStrictEqual, strictEqual } from 'node:assert';
import { after, before, test } from 'node:test';
import 'reflect-metadata';
import { makeRoot, type RootMaterial } from '#ca/root-certificate.ts';
import { parseCertificates } from '#identity/certificate.ts';
import { ClusterFixture, NO_CLUSTER as skip } from './cluster-fixture.ts';
import { DiscoveryRig, until } from './discovery-rig.ts';

const LIMIT_MS = 120_000;
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';

let cluster: ClusterFixture;
let istiod: DiscoveryRig;
/** Shares the cluster with it. */
let other: DiscoveryRig;

before(async () => {
  if (skip !== false) return;
  cluster = await ClusterFixture.start(17_420);
  for (const namespace of ['istio-system', 'shop']) cluster.kubectl('create', 'namespace', namespace);
  for (const account of ['cart', 'till', 'till-elsewhere', 'ztunnel'])
    cluster.kubectl('-n', 'shop', 'create', 'serviceaccount', account);
  for (const name of ['node-1', 'node-2']) {
    cluster.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
  }
  cluster.applyCrds();
  const environment = { CA_TRUSTED_NODE_ACCOUNTS: 'shop/ztunnel' };
  [istiod, other] = await Promise.all([
    DiscoveryRig.start('istiod-a', cluster.kubeconfig, environment),
    DiscoveryRig.start('istiod-b', cluster.kubeconfig),
  ]);
});

after(async () => {
  if (skip !== false) return;
  await Promise.all([istiod, other].map((one) => one[Symbol.asyncDispose]()));
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
  const refused = await istiod.createCertificate(token, 'spiffe://cluster.local/ns/shop/sa/till');
  deepStrictEqual([refused.status, refused.chain], ['7', []]);
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

test('T25: a trusted node proxy gets certificates for pods on its node, and for no others', {
  skip,
  timeout: LIMIT_MS,
}, async () => {
  putPod('ztunnel-1', 'ztunnel', '10.9.0.3');
  putPod('cart-1', 'cart', '10.9.0.1');
  putPod('till-2', 'till-elsewhere', '10.9.0.4', 'node-2');
  const bind = (account: string, pod: string): string =>
    tokenOf(account, 'istio-ca', '--bound-object-kind', 'Pod', '--bound-object-name', pod);
  const node = bind('ztunnel', 'ztunnel-1');
  const ask = async (token: string, account: string, rig = istiod): Promise<string> => {
    const identity = `spiffe://cluster.local/ns/shop/sa/${account}`;
    const { status, chain } = await rig.createCertificate(token, identity, true);
    return chain[0]?.uris.join() ?? status;
  };
  strictEqual(
    await until(
      'the pods are seen',
      () => ask(node, 'cart'),
      (answer) => answer === CART,
    ),
    CART,
  );
  deepStrictEqual(
    [
      await ask(node, 'till-elsewhere'),
      await ask(bind('cart', 'cart-1'), 'ztunnel'),
      await ask(tokenOf('ztunnel', 'istio-ca'), 'cart'),
      // A control plane that was told of no such accounts.
      await ask(node, 'cart', other),
    ],
    ['16', '16', '16', '16'],
  );
});

/** Fingerprints of the certificates of a text. */
function prints(pem: string): readonly string[] {
  const parsed = parseCertificates(pem, 100);
  return parsed.ok ? parsed.value.map(({ fingerprint }) => fingerprint) : [];
}

function secretRoot(): readonly string[] {
  const path = 'jsonpath={.data.ca-cert\\.pem}';
  const text = cluster.kubectl('-n', 'istio-system', 'get', 'secret', 'istio-ca-secret', '-o', path);
  return prints(Buffer.from(text, 'base64').toString('utf8'));
}

/** Roots that a namespace mounts. */
function mountedRoots(namespace: string): readonly string[] {
  const path = 'jsonpath={.data.root-cert\\.pem}';
  try {
    return prints(cluster.kubectl('-n', namespace, 'get', 'configmap', 'istio-ca-root-cert', '-o', path));
  } catch {
    return [];
  }
}

/** Roots that a control plane hands out with certificates. */
async function givenRoots(rig: DiscoveryRig): Promise<readonly string[]> {
  const { rootsPem } = await rig.createCertificate(tokenOf('cart', 'istio-ca'), CART);
  return prints(rootsPem);
}

function leader(): string {
  const path = 'jsonpath={.spec.holderIdentity}';
  return cluster.kubectl('-n', 'istio-system', 'get', 'lease', 'istio-leader', '-o', path);
}

const isOne = (roots: readonly string[]): boolean => roots.length === 1;

test('two control planes share one root, which is in the Secret and in every namespace', {
  skip,
  timeout: LIMIT_MS,
}, async () => {
  const root = secretRoot();
  strictEqual(root.length, 1);
  deepStrictEqual([await givenRoots(istiod), await givenRoots(other)], [root, root]);
  cluster.kubectl('create', 'namespace', 'late');
  for (const namespace of ['istio-system', 'shop', 'default', 'kube-system', 'late']) {
    deepStrictEqual(await until(namespace, () => mountedRoots(namespace), isOne), root);
  }
  deepStrictEqual(mountedRoots('kube-public'), []);
  match(leader(), /^istiod-[ab]$/);
});

test('a ConfigMap with the roots comes back when it is deleted or edited, with what others put there', {
  skip,
  timeout: LIMIT_MS,
}, async () => {
  const root = secretRoot();
  cluster.kubectl('-n', 'shop', 'delete', 'configmap', 'istio-ca-root-cert');
  deepStrictEqual(await until('made again', () => mountedRoots('shop'), isOne), root);
  const patch = JSON.stringify({ data: { 'root-cert.pem': 'nonsense', mine: 'stays' } });
  cluster.kubectl('-n', 'shop', 'patch', 'configmap', 'istio-ca-root-cert', '--type=merge', '-p', patch);
  deepStrictEqual(await until('put right', () => mountedRoots('shop'), isOne), root);
  const path = 'jsonpath={.data.mine} {.metadata.labels.istio\\.io/config}';
  strictEqual(
    cluster.kubectl('-n', 'shop', 'get', 'configmap', 'istio-ca-root-cert', '-o', path),
    'stays true',
  );
});

test('deleting the Secret makes another root, believed beside the old one at both control planes', {
  skip,
  timeout: LIMIT_MS,
}, async () => {
  const [old = ''] = secretRoot();
  cluster.kubectl('-n', 'istio-system', 'delete', 'secret', 'istio-ca-secret');
  const [fresh = ''] = await until(
    'made again',
    () => {
      try {
        return secretRoot();
      } catch {
        return [];
      }
    },
    isOne,
  );
  notStrictEqual(fresh, old);
  const both = [old, fresh];
  for (const rig of [istiod, other]) {
    // The old one signs on, and stands first.
    deepStrictEqual(
      await until(
        'both',
        () => givenRoots(rig),
        (roots) => roots.length === 2,
      ),
      both,
    );
  }
  deepStrictEqual(
    await until(
      'both',
      () => mountedRoots('late'),
      (roots) => roots.length === 2,
    ),
    both,
  );
  // One that starts in the overlap finds its place.
  await using third = await DiscoveryRig.start('istiod-c', cluster.kubeconfig);
  deepStrictEqual(await givenRoots(third), both);
});

test('an authority in the Secret cacerts signs where none is mounted, and is followed', {
  skip,
  timeout: LIMIT_MS,
}, async () => {
  cluster.kubectl('create', 'namespace', 'mesh2');
  const first = await makeRoot('one.example', Date.now());
  putAuthority(first, first.certificatePem);
  await using rig = await DiscoveryRig.start('istiod-2', cluster.kubeconfig, {
    POD_NAMESPACE: 'mesh2',
    PILOT_CA_CERT_CONFIGMAP: 'mesh2-roots',
  });
  const issuers = async (): Promise<string> => {
    const { chain, rootsPem } = await rig.createCertificate(tokenOf('cart', 'istio-ca'), CART);
    const parsed = parseCertificates(rootsPem, 100);
    const roots = parsed.ok ? parsed.value.map(({ subject }) => subject) : [];
    return `${chain[0]?.x509.issuer}: ${roots.join()}`;
  };
  strictEqual(await issuers(), 'O=one.example: O=one.example');
  const second = await makeRoot('two.example', Date.now());
  putAuthority(second, `${second.certificatePem}${first.certificatePem}`);
  // The old one signs until the new root had time to get around.
  const both = 'O=one.example: O=one.example,O=two.example';
  strictEqual(await until('followed', issuers, (text) => text === both), both);
  const made = cluster.kubectl('-n', 'mesh2', 'get', 'secrets', '-o', 'name');
  strictEqual(made.trim(), 'secret/cacerts');
});

function putAuthority(root: RootMaterial, rootsPem: string): void {
  const stringData = {
    'ca-cert.pem': root.certificatePem,
    'ca-key.pem': root.privateKey.reveal(),
    'cert-chain.pem': root.certificatePem,
    'root-cert.pem': rootsPem,
  };
  const metadata = { name: 'cacerts', namespace: 'mesh2' };
  cluster.apply({ apiVersion: 'v1', kind: 'Secret', metadata, stringData });
}

test('when the leader is stopped another one writes at once', { skip, timeout: LIMIT_MS }, async () => {
  const [first, second] = leader() === istiod.name ? [istiod, other] : [other, istiod];
  await first.stop('SIGTERM');
  await until('taken over', leader, (name) => name === second.name);
  cluster.kubectl('create', 'namespace', 'later');
  deepStrictEqual(
    (
      await until(
        'written',
        () => mountedRoots('later'),
        (roots) => roots.length > 0,
      )
    ).length,
    2,
  );
});

/**
 * Workload certificates by a signer of the cluster, on a real API server: the test is the signer. Skipped where the harness is not
 * built.
 */
import { deepStrictEqual, match } from 'node:assert';
import { after, before, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { systemRng } from '#base/rng.ts';
import { createOutsideSigner, type OutsideSigner, type SigningWish } from '#ca/outside-signer.ts';
import { parseCertificates } from '#identity/certificate.ts';
import type { KubeObject } from '#kube/api-resource.ts';
import { KubeClient } from '#kube/kube-client.ts';
import { ResourceWatch } from '#kube/resource-watch.ts';
import { ClusterFixture, NO_CLUSTER as skip } from './cluster-fixture.ts';
import { type CaAnswer, DiscoveryRig, until } from './discovery-rig.ts';

const LIMIT_MS = 120_000;
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';
const PATH = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const RESOURCE = {
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'certificatesigningrequests',
  fieldSelector: '',
};

interface Asked {
  readonly signerName: string;
  readonly usages: readonly string[];
  readonly expirationSeconds: number;
}

let cluster: ClusterFixture;
let istiod: DiscoveryRig;
let outside: OutsideSigner;
let client: KubeClient;
let watch: ResourceWatch;
const asked: Asked[] = [];
/** What the signer does with the next requests. */
let wish: SigningWish | 'refuse' = { uri: CART };

before(async () => {
  if (skip !== false) return;
  outside = await createOutsideSigner('outside', Date.now());
  cluster = await ClusterFixture.start(17_480);
  for (const namespace of ['istio-system', 'shop']) cluster.kubectl('create', 'namespace', namespace);
  cluster.kubectl('-n', 'shop', 'create', 'serviceaccount', 'cart');
  cluster.applyCrds();
  const caCertificates = [
    { pem: outside.rootPem, certSigners: ['example.com/mesh', 'issuers.example.com/shop'] },
  ];
  cluster.apply({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio', namespace: 'istio-system' },
    data: { mesh: JSON.stringify({ caCertificates }) },
  });
  client = new KubeClient(cluster.target, { clock: systemClock(), env: {}, userAgent: 'signer' });
  watch = new ResourceWatch({
    client,
    resource: RESOURCE,
    listener: { changed: ({ set }) => set.forEach((one) => void answer(one)), stateChanged: () => {} },
    clock: systemClock(),
    rng: systemRng(),
  });
  watch.start();
  istiod = await DiscoveryRig.start('istiod', cluster.kubeconfig, {
    EXTERNAL_CA: 'ISTIOD_RA_KUBERNETES_API',
    K8S_SIGNER: 'example.com/mesh',
    CERT_SIGNER_DOMAIN: 'issuers.example.com',
  });
});

after(async () => {
  if (skip !== false) return;
  await istiod?.[Symbol.asyncDispose]();
  watch?.[Symbol.dispose]();
  client?.[Symbol.dispose]();
  await cluster?.[Symbol.asyncDispose]();
});

interface Csr {
  readonly metadata: { readonly name: string };
  readonly spec: Asked & { readonly request: string };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string }[];
    readonly certificate?: string;
  };
}

/** The signer: answers what has been approved, once. */
async function answer(object: KubeObject): Promise<void> {
  const csr = object as unknown as Csr;
  const conditions = csr.status?.conditions ?? [];
  const isOpen = csr.status?.certificate === undefined && conditions.length === 1;
  if (!isOpen || conditions[0]?.type !== 'Approved') return;
  const { signerName, usages, expirationSeconds, request } = csr.spec;
  asked.push({ signerName, usages, expirationSeconds });
  const failed = { type: 'Failed', status: 'True', reason: 'Unwilling', message: 'not today' };
  const csrPem = Buffer.from(request, 'base64').toString();
  const status =
    wish === 'refuse'
      ? { conditions: [...conditions, failed] }
      : { conditions, certificate: Buffer.from(await outside.sign(csrPem, wish)).toString('base64') };
  await client.putJson({ path: `${PATH}/${csr.metadata.name}/status`, value: { ...csr, status } });
}

function ask(certSigner = ''): Promise<CaAnswer> {
  const token = cluster.kubectl('-n', 'shop', 'create', 'token', 'cart', '--audience', 'istio-ca').trim();
  return istiod.createCertificate(token, CART, false, certSigner);
}

test('the signer signs what was checked, and its roots come along', { skip, timeout: LIMIT_MS }, async () => {
  for (const certSigner of ['', 'shop']) {
    const { status, chain, rootsPem } = await ask(certSigner);
    deepStrictEqual([status, chain[0]?.uris, chain.length, rootsPem], ['0', [CART], 2, outside.rootPem]);
  }
  const usages = ['digital signature', 'key encipherment', 'server auth', 'client auth'];
  deepStrictEqual(asked, [
    { signerName: 'example.com/mesh', usages, expirationSeconds: 86_400 },
    { signerName: 'issuers.example.com/shop', usages, expirationSeconds: 86_400 },
  ]);
  // The control plane's own root stays: it is how agents know the secure port.
  const subjects = await until(
    'roots for pods',
    () => {
      const path = 'jsonpath={.data.root-cert\\.pem}';
      const text = cluster.kubectl('-n', 'shop', 'get', 'configmap', 'istio-ca-root-cert', '-o', path);
      const parsed = parseCertificates(text, 10);
      return parsed.ok ? parsed.value.map(({ subject }) => subject) : [];
    },
    (found) => found.length === 2,
  );
  deepStrictEqual(subjects, ['O=cluster.local', 'CN=outside']);
});

test('T25: what the signer did not sign as asked is not handed on', { skip, timeout: LIMIT_MS }, async () => {
  wish = { uri: 'spiffe://cluster.local/ns/shop/sa/till' };
  deepStrictEqual((await ask()).status, '13');
  wish = { uri: CART, lifeMs: 30 * 86_400_000 };
  deepStrictEqual((await ask()).status, '13');
  wish = 'refuse';
  deepStrictEqual((await ask()).status, '14');
  wish = { uri: CART };
  deepStrictEqual((await ask()).status, '0');
});

test('no request stays behind', { skip, timeout: LIMIT_MS }, async () => {
  const left = await until(
    'taken away',
    () => cluster.kubectl('get', 'csr', '-o', 'name'),
    (names) => !names.includes('csr-workload-'),
  );
  match(left, /^(?!.*csr-workload-)/s);
});

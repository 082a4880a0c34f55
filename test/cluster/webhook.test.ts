/** A real API server asks the validating webhook about what users apply. Skipped where the harness is not built. */
import { deepStrictEqual, match, throws } from 'node:assert';
import { after, before, test } from 'node:test';
import { ClusterFixture, NO_CLUSTER as skip } from './cluster-fixture.ts';
import { DiscoveryRig, until } from './discovery-rig.ts';

const LIMIT_MS = 120_000;

let cluster: ClusterFixture;
let istiod: DiscoveryRig;

before(async () => {
  if (skip !== false) return;
  cluster = await ClusterFixture.start(17_460);
  cluster.kubectl('create', 'namespace', 'istio-system');
  cluster.applyCrds();
  istiod = await DiscoveryRig.start('istiod-a', cluster.kubeconfig);
  const rules = [
    {
      operations: ['CREATE', 'UPDATE'],
      apiGroups: ['networking.istio.io'],
      apiVersions: ['*'],
      resources: ['*'],
    },
  ];
  const url = `https://127.0.0.1:${istiod.webhookPort}/validate`;
  const webhook = {
    name: 'validation.istio.io',
    clientConfig: { url, caBundle: Buffer.from(roots()).toString('base64') },
    rules,
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    failurePolicy: 'Fail',
  };
  const metadata = { name: 'istio-validator-istio-system' };
  const apiVersion = 'admissionregistration.k8s.io/v1';
  cluster.apply({ apiVersion, kind: 'ValidatingWebhookConfiguration', metadata, webhooks: [webhook] });
});

after(async () => {
  if (skip !== false) return;
  await istiod[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
});

function roots(): string {
  const path = 'jsonpath={.data.root-cert\\.pem}';
  return cluster.kubectl('-n', 'istio-system', 'get', 'configmap', 'istio-ca-root-cert', '-o', path);
}

function routeTo(name: string, host: string, more: object = {}): unknown {
  const http = [{ route: [{ destination: { host } }], ...more }];
  const metadata = { name, namespace: 'default' };
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata,
    spec: { hosts: [host], http },
  };
}

test('what breaks a rule is refused with our words, what keeps them all gets in', {
  skip,
  timeout: LIMIT_MS,
}, async () => {
  // The API server takes a moment to ask a webhook that is new.
  await until(
    'the webhook is asked',
    async () => {
      try {
        cluster.apply(routeTo('bad', 'a.example.com', { redirect: { uri: '/b' } }));
        cluster.kubectl('delete', 'virtualservice', 'bad');
        return '';
      } catch (error) {
        return String((error as { stderr?: string }).stderr);
      }
    },
    (problem) => /denied the request: configuration is invalid: LTN\d+ spec\.http\[0\]/.test(problem),
  );
  cluster.apply(routeTo('good', 'a.example.com'));
  throws(() => cluster.apply(routeTo('good', 'a.example.com', { redirect: { uri: '/b' } })), /LTN\d+/);
  const hosts = cluster.kubectl('get', 'virtualservices', '-o', 'jsonpath={.items[*].metadata.name}');
  deepStrictEqual(hosts, 'good');
  const metrics = await (await fetch(`http://127.0.0.1:${istiod.httpPort}/metrics`)).text();
  match(
    metrics,
    /galley_validation_passed{group="networking.istio.io",version="v1",resource="virtualservices"} 1\n/,
  );
});

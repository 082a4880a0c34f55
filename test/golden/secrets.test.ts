/** Who gets which secrets: by namespace, service account, grant and proof of identity; and what a changed Secret costs. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { EVERYBODY } from '#model/secret-access.ts';
import { type MeshFixture, meshFixture, type ProxyFacts } from '../support/mesh-fixture.ts';

const GATEWAY_LABELS = { istio: 'ingressgateway' };

function identity(
  namespace: string,
  serviceAccount: string,
): Pick<ProxyFacts, 'namespace' | 'serviceAccount' | 'identity'> {
  return {
    namespace,
    serviceAccount,
    identity: `spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`,
  };
}

const GATEWAY: ProxyFacts = {
  name: 'gw',
  type: 'router',
  ip: '10.0.0.1',
  labels: GATEWAY_LABELS,
  ...identity('istio-system', 'gateway'),
};

function secret(name: string, namespace: string, keys: readonly string[], content = name): string {
  const data = keys
    .map((key) => `  ${key}: ${Buffer.from(`${content} ${key}`).toString('base64')}\n`)
    .join('');
  return `---\napiVersion: v1\nkind: Secret\nmetadata: {name: ${name}, namespace: ${namespace}}\ndata:\n${data}`;
}

const PAIR = ['cert', 'key', 'cacert'];

function gateway(name: string, namespace: string, tls: string, port = 443): string {
  return `---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: ${port}, name: https, protocol: HTTPS}, hosts: [${name}.test], tls: ${tls}}]
`;
}

function names(mesh: MeshFixture, proxy: string): readonly string[] {
  return [...mesh.entries(proxy).secrets.keys()];
}

function meshWith(yaml: string, ...proxies: readonly ProxyFacts[]): MeshFixture {
  const mesh = meshFixture();
  mesh.apply(yaml);
  for (const proxy of proxies) mesh.connect(proxy);
  return mesh;
}

test('a gateway gets what its servers name, and nothing else of its namespace', () => {
  const mesh = meshWith(
    secret('web', 'istio-system', PAIR) +
      secret('other', 'istio-system', PAIR) +
      gateway('g', 'istio-system', '{mode: MUTUAL, credentialName: web}'),
    GATEWAY,
  );
  deepStrictEqual(names(mesh, 'gw'), ['kubernetes://web', 'kubernetes://web-cacert']);
  mesh.remove({ kind: 'Secret', namespace: 'istio-system', name: 'web' });
  deepStrictEqual(names(mesh, 'gw'), []);
});

test('what an EnvoyFilter names is got too, by the proxies that it is for', () => {
  const patch = `---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: own, namespace: istio-system}
spec:
  workloadSelector: {labels: {istio: ingressgateway}}
  configPatches:
  - applyTo: CLUSTER
    match: {context: GATEWAY}
    patch:
      operation: ADD
      value:
        name: own
        transportSocket:
          name: envoy.transport_sockets.tls
          typedConfig:
            "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
            commonTlsContext:
              tlsCertificateSdsSecretConfigs: [{name: "kubernetes://own", sdsConfig: {ads: {}, resourceApiVersion: V3}}]
              validationContextSdsSecretConfig: {name: "kubernetes://absent-cacert", sdsConfig: {ads: {}}}
`;
  const other: ProxyFacts = { ...GATEWAY, name: 'other', ip: '10.0.0.2', labels: {} };
  const mesh = meshWith(secret('own', 'istio-system', PAIR) + patch, GATEWAY, other);
  deepStrictEqual([names(mesh, 'gw'), names(mesh, 'other')], [['kubernetes://own'], []]);
  const found = mesh.mesh.graph.findings.all().get('EnvoyFilter/istio-system/own') ?? [];
  deepStrictEqual(
    found.map(({ code, path, args }) => [code, path, args?.['refval']]),
    [['IST0101', 'spec.configPatches[0]', 'istio-system/absent-cacert']],
  );
});

test('who has proven nothing gets nothing (T22, T24)', () => {
  const { identity: _identity, ...unproven } = GATEWAY;
  const yaml =
    secret('web', 'istio-system', PAIR) + gateway('g', 'istio-system', '{mode: SIMPLE, credentialName: web}');
  const mesh = meshWith(yaml, unproven);
  deepStrictEqual([names(mesh, 'gw'), mesh.entries('gw').secretsOwner], [[], '']);
});

test('names of other namespaces lead nowhere (T22, T23)', () => {
  const yaml =
    secret('web', 'shop', PAIR) +
    gateway('g', 'shop', '{mode: SIMPLE, credentialName: web}') +
    gateway('h', 'istio-system', '{mode: SIMPLE, credentialName: "kubernetes://shop/web"}', 444);
  deepStrictEqual(names(meshWith(yaml, GATEWAY), 'gw'), []);
});

const GRANT = `---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: certs, namespace: certs}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: istio-system}]
  to: [{group: "", kind: Secret, name: web}]
`;

test('a ReferenceGrant lets Gateways of a namespace use a Secret of another one, by a name that says so, while it is there (T23)', () => {
  const yaml =
    secret('web', 'certs', PAIR) +
    secret('own', 'istio-system', PAIR) +
    gateway('a', 'istio-system', '{mode: SIMPLE, credentialName: "kubernetes-gateway://certs/web"}', 443) +
    gateway(
      'b',
      'istio-system',
      '{mode: SIMPLE, credentialName: "kubernetes-gateway://istio-system/own"}',
      444,
    );
  const mesh = meshWith(yaml, GATEWAY);
  deepStrictEqual(names(mesh, 'gw'), ['kubernetes-gateway://istio-system/own']);
  mesh.apply(GRANT);
  deepStrictEqual(names(mesh, 'gw'), [
    'kubernetes-gateway://certs/web',
    'kubernetes-gateway://istio-system/own',
  ]);
  // A Gateway of a third namespace selects the same proxies.
  mesh.remove({ kind: 'Gateway', namespace: 'istio-system', name: 'b' });
  mesh.apply(
    gateway('c', 'shop', '{mode: SIMPLE, credentialName: "kubernetes-gateway://istio-system/own"}', 444),
  );
  deepStrictEqual(names(mesh, 'gw'), ['kubernetes-gateway://certs/web']);
  mesh.remove({ kind: 'ReferenceGrant', namespace: 'certs', name: 'certs' });
  deepStrictEqual(names(mesh, 'gw'), []);
});

test('keys are for service accounts that may read them, CA certificates for the namespace (T22, T23)', () => {
  const yaml =
    secret('web', 'istio-system', PAIR) + gateway('g', 'istio-system', '{mode: MUTUAL, credentialName: web}');
  const other = { ...GATEWAY, name: 'gw2', ip: '10.0.0.2', ...identity('istio-system', 'other') };
  const mesh = meshWith(yaml, GATEWAY, other);
  mesh.mesh.secretAccess.delete(EVERYBODY);
  deepStrictEqual(
    [names(mesh, 'gw'), names(mesh, 'gw2')],
    [['kubernetes://web-cacert'], ['kubernetes://web-cacert']],
  );
  mesh.mesh.secretAccess.set('istio-system/gateway', { isAllowed: true });
  mesh.mesh.secretAccess.set('istio-system/other', { isAllowed: false });
  deepStrictEqual(
    [names(mesh, 'gw'), names(mesh, 'gw2')],
    [['kubernetes://web', 'kubernetes://web-cacert'], ['kubernetes://web-cacert']],
  );
});

const ORIGINATION = `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ext, namespace: shop}
spec: {hosts: [ext.test], ports: [{number: 443, name: https, protocol: HTTPS}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ext, namespace: shop}
spec:
  host: ext.test
  workloadSelector: {matchLabels: {app: a}}
  trafficPolicy: {tls: {mode: MUTUAL, credentialName: client}}
`;

test('a sidecar gets the credentials of rules that select it', () => {
  const yaml = ORIGINATION + secret('client', 'shop', PAIR);
  const own = identity('shop', 'default');
  const mesh = meshWith(
    yaml,
    { name: 'a', ip: '10.0.0.3', labels: { app: 'a' }, ...own },
    { name: 'b', ip: '10.0.0.4', labels: { app: 'b' }, ...own },
  );
  deepStrictEqual(
    [names(mesh, 'a'), names(mesh, 'b')],
    [['kubernetes://client', 'kubernetes://client-cacert'], []],
  );
});

test('a ConfigMap with CA certificates is for all who name it', () => {
  const map = `---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: roots, namespace: shop}\ndata: {ca.crt: x}\n`;
  const rule = ORIGINATION.replace(
    'MUTUAL, credentialName: client',
    'SIMPLE, credentialName: "configmap://shop/roots"',
  );
  const mesh = meshWith(map + rule, {
    name: 'a',
    ip: '10.0.0.3',
    labels: { app: 'a' },
    ...identity('shop', 'default'),
  });
  deepStrictEqual(names(mesh, 'a'), ['configmap://shop/roots-cacert']);
});

test('a Secret that nobody uses costs nothing, one that is used costs its users', () => {
  const yaml =
    secret('web', 'istio-system', PAIR) +
    secret('other', 'istio-system', PAIR) +
    gateway('g', 'istio-system', '{mode: SIMPLE, credentialName: web}');
  const sidecars = Array.from({ length: 20 }, (_, i): ProxyFacts => {
    return { name: `s${i}`, ip: `10.1.0.${i}`, ...identity('shop', `sa${i}`) };
  });
  const mesh = meshWith(yaml, GATEWAY, ...sidecars);
  mesh.settle();
  const costOf = (change: string): readonly number[] => {
    const before = { ...mesh.mesh.engine.counters };
    const snapshot = mesh.entries('gw');
    mesh.apply(change);
    mesh.settle();
    const isChanged = mesh.entries('gw') !== snapshot;
    return [mesh.mesh.engine.counters.recomputed - before.recomputed, Number(isChanged)];
  };
  // Admission of the object; with a user, its secrets, what is wrong with them, and its snapshot.
  deepStrictEqual(costOf(secret('other', 'istio-system', PAIR, 'turned')), [1, 0]);
  deepStrictEqual(costOf(secret('web', 'istio-system', PAIR, 'turned')), [4, 1]);
  strictEqual(mesh.entries('gw').secrets.size, 1);
});

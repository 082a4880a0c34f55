/** Findings that only the whole mesh shows: who is told of what, and that they go with their reason. */
import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { type MeshFixture, meshFixture, type ProxyFacts } from '../support/mesh-fixture.ts';

const GATEWAY: ProxyFacts = {
  name: 'gw',
  type: 'router',
  ip: '10.0.0.1',
  namespace: 'istio-system',
  labels: { istio: 'ingressgateway' },
  serviceAccount: 'gateway',
  identity: 'spiffe://cluster.local/ns/istio-system/sa/gateway',
};

function server(port: number, tls: string): string {
  return `{port: {number: ${port}, name: https-${port}, protocol: HTTPS}, hosts: [a.test], tls: ${tls}}`;
}

function gateway(name: string, ...servers: readonly string[]): string {
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, servers: [${servers.join(', ')}]}
`;
}

/** \`object: code path args\`. */
function found(mesh: MeshFixture): readonly string[] {
  mesh.settle();
  return [...mesh.mesh.graph.findings.all()].flatMap(([key, findings]) =>
    findings.map(({ code, path, args }) =>
      [`${key}:`, code, path, ...Object.values(args)].filter((part) => part !== '').join(' '),
    ),
  );
}

test('servers that clash are told to their Gateway, once for all gateways, until the other one goes', () => {
  const mesh = meshFixture();
  mesh.apply(gateway('first', server(443, '{mode: PASSTHROUGH}')));
  mesh.apply(gateway('second', server(443, '{mode: PASSTHROUGH}')));
  deepStrictEqual(found(mesh), []);
  mesh.connect(GATEWAY);
  mesh.connect({ ...GATEWAY, name: 'gw-2', ip: '10.0.0.2' });
  mesh.connect({
    ...GATEWAY,
    name: 'gw-3',
    ip: '10.0.0.3',
    labels: { istio: 'ingressgateway', of: 'another view' },
  });
  deepStrictEqual(found(mesh), ['Gateway/istio-system/second: LTN5012 spec.servers[0] 443 a.test']);
  mesh.remove({ kind: 'Gateway', namespace: 'istio-system', name: 'first' });
  deepStrictEqual(found(mesh), []);
});

test('credentials that lead nowhere are told to the server or rule that names them', () => {
  const mesh = meshFixture();
  mesh.connect(GATEWAY);
  mesh.apply(
    gateway(
      'g',
      server(443, '{mode: SIMPLE, credentialName: none}'),
      server(444, '{mode: MUTUAL, credentialName: web}'),
      server(445, '{mode: SIMPLE, credentialName: "kubernetes://shop/web"}'),
    ),
  );
  mesh.apply(`
apiVersion: v1
kind: Secret
metadata: {name: web, namespace: istio-system}
stringData: {cert: a, key: b}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ext, namespace: istio-system}
spec: {hosts: [ext.test], ports: [{number: 443, name: https, protocol: HTTPS}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ext, namespace: istio-system}
spec: {host: ext.test, trafficPolicy: {tls: {mode: SIMPLE, credentialName: roots}}}
`);
  deepStrictEqual(found(mesh), [
    'DestinationRule/istio-system/ext: IST0101 credentialName istio-system/roots-cacert',
    'Gateway/istio-system/g: IST0101 spec.servers[0].tls credentialName istio-system/none',
    'Gateway/istio-system/g: LTN5020 spec.servers[1].tls istio-system/web-cacert CA certificate ca.crt or cacert',
    'Gateway/istio-system/g: LTN5021 spec.servers[2].tls shop/web istio-system gateway',
  ]);
});

test('what VirtualServices get wrong among others is there too', () => {
  const mesh = meshFixture();
  mesh.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root, namespace: default}
spec: {hosts: [a.test], http: [{delegate: {name: gone}}]}
`);
  deepStrictEqual(
    found(mesh).map((line) => line.split(' ').slice(0, 2).join(' ')),
    ['VirtualService/default/root: IST0101'],
  );
});

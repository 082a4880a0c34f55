/** What outsiders try at a gateway, on a real Envoy: headers that only proxies may write, names that lead inside. T1 ... are security cases. */
import { deepStrictEqual, match } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createIssuer, type TestIssuer } from '#identity/certificate-rig.ts';
import {
  type Answer,
  type Backend,
  call,
  startBackend,
  startTlsBackend,
  told,
  until,
} from './gateway-clients.ts';
import { type GatewayRig, issueWorkload, openGatewayRig } from './gateway-rig.ts';
import { callHttp } from './test-apps.ts';

let rig: GatewayRig;
let stranger: TestIssuer;
const backends: Backend[] = [];

before(async () => {
  rig = await openGatewayRig();
  stranger = await createIssuer('stranger');
});

after(async () => {
  for (const backend of backends) backend[Symbol.dispose]();
  await rig[Symbol.asyncDispose]();
});

async function service(name: string, extra = ''): Promise<string> {
  const backend = await startBackend(rig.address, name);
  backends.push(backend);
  return `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec:
  hosts: [${name}.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: ${rig.address}, ports: {http: ${backend.port}}}]
${extra}`;
}

/** A Gateway of that name with one server, and all of its host's requests to the service of that name. */
function gateway(name: string, server: string): string {
  return `---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, servers: [${server}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: istio-system}
spec: {hosts: [${name}.test], gateways: [${name}], http: [{route: [{destination: {host: ${name}.test}}]}]}
`;
}

/** Headers by which proxies speak to each other. Whoever writes them from outside must not be heard. */
const INNER_HEADERS: Readonly<Record<string, string>> = {
  'x-envoy-original-path': '/admin',
  'x-envoy-internal': 'true',
  'x-envoy-retry-on': '5xx',
  'x-envoy-max-retries': '100',
  'x-envoy-upstream-rq-timeout-ms': '1',
  'x-envoy-expected-rq-timeout-ms': '1',
  'x-envoy-external-address': '10.0.0.1',
  'x-envoy-decorator-operation': 'forged',
  'x-lateen-peer-workload': 'forged',
  'x-lateen-peer-app': 'forged',
  'x-lateen-peer-cluster': 'forged',
  'x-forwarded-client-cert':
    'By=spiffe://cluster.local/ns/a/sa/b;URI=spiffe://cluster.local/ns/shop/sa/admin',
};

test('headers that only proxies may write do not come through from outside, whoever they claim to come from (T19, T20)', async () => {
  const port = await rig.port();
  const server = `{port: {number: ${port}, name: http, protocol: HTTP}, hosts: [outer.test]}`;
  await rig.apply((await service('outer')) + gateway('outer', server));
  const ask = async (
    headers: Readonly<Record<string, string>>,
  ): Promise<Readonly<Record<string, string>>> => {
    const request = { address: rig.address, port, headers: { host: 'outer.test', ...headers } };
    const answer = await callHttp(request).catch((): Answer => ({ status: 0, body: '', headers: {} }));
    return answer.status === 200 ? told(answer).headers : {};
  };
  await until(
    'a way',
    () => ask({}),
    (headers) => headers['host'] !== undefined,
  );
  // As if from inside: a private address as the one before.
  for (const own of [{}, { 'x-forwarded-for': '10.0.0.1' }, { 'x-forwarded-for': '127.0.0.1' }]) {
    const heard = await ask({ ...INNER_HEADERS, ...own });
    const through = Object.entries(INNER_HEADERS).filter(([name, value]) => heard[name] === value);
    deepStrictEqual(through, []);
  }
});

test('ISTIO_MUTUAL: who may come in is decided by the certificate (T11)', async () => {
  const port = await rig.port();
  const server = `{port: {number: ${port}, name: https, protocol: HTTPS}, hosts: [mutual.test], tls: {mode: ISTIO_MUTUAL}}`;
  const policy = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: friends, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  action: DENY
  rules: [{from: [{source: {notPrincipals: [cluster.local/ns/shop/sa/friend]}}], to: [{operation: {ports: ["${port}"]}}]}]
`;
  await rig.apply((await service('mutual')) + gateway('mutual', server) + policy);
  const [friend, other] = await Promise.all(
    ['friend', 'friendly'].map((name) => issueWorkload(rig.authority, 'shop', name)),
  );
  const forged = await stranger.issue({ uri: 'spiffe://cluster.local/ns/shop/sa/friend' });
  const ask = async (certificate: { chain: string; key: string } | undefined): Promise<number> =>
    (await call({ address: rig.address, port }, { sni: 'mutual.test', ...(certificate && { certificate }) }))
      .status;
  await until(
    'a way',
    () => ask(friend),
    (status) => status === 200,
  );
  deepStrictEqual([await ask(other), await ask(forged), await ask(undefined)], [403, 0, 0]);
});

test('AUTO_PASSTHROUGH leads to what the gateway sees, and to no other name (T21)', async () => {
  const [port, own] = await Promise.all([rig.port(), issueWorkload(rig.authority, 'shop', 'server')]);
  const entries: string[] = [];
  for (const [name, exportTo] of [
    ['shown', '*'],
    ['hidden', '.'],
  ] as const) {
    const backend = await startTlsBackend(rig.address, name, { ...own, alpn: ['istio'] });
    backends.push(backend);
    entries.push(`---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: shop}
spec:
  hosts: [${name}.mesh.local]
  exportTo: ['${exportTo}']
  location: MESH_INTERNAL
  ports: [{number: 80, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: ${rig.address}, labels: {security.istio.io/tlsMode: istio, version: v1}, ports: {tcp: ${backend.port}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}, namespace: shop}
spec: {host: ${name}.mesh.local, exportTo: ['.'], subsets: [{name: v1, labels: {version: v1}}]}
`);
  }
  const auto = `{port: {number: ${port}, name: tls, protocol: TLS}, hosts: ['*.local'], tls: {mode: AUTO_PASSTHROUGH}}`;
  await rig.apply(entries.join('') + gateway('crossing', auto));
  const ask = async (sni: string): Promise<string> => {
    const answer = await call({ address: rig.address, port }, { sni, alpn: ['istio'] }, 'x');
    return answer.status === 200 ? told(answer).name : String(answer.status);
  };
  await until(
    'a way',
    () => ask('outbound_.80_._.shown.mesh.local'),
    (name) => name === 'shown',
  );
  const closed: Readonly<Record<string, string>> = {
    'a service that is not exported': 'outbound_.80_._.hidden.mesh.local',
    'a subset that is not exported': 'outbound_.80_.v1_.shown.mesh.local',
    'another port': 'outbound_.81_._.shown.mesh.local',
    'any name': 'outbound_.80_._.x',
    'the host itself': 'shown.mesh.local',
    'the control plane': 'outbound_.15012_._.istiod.istio-system.svc.cluster.local',
    'a cluster of the gateway': 'xds-grpc',
    'no name': '',
  };
  const got: Record<string, string> = {};
  for (const [what, sni] of Object.entries(closed)) got[what] = await ask(sni);
  deepStrictEqual(got, Object.fromEntries(Object.keys(closed).map((what) => [what, '0'])));
  match(await rig.admin('/config_dump'), /outbound_\.80_\._\.shown\.mesh\.local/);
});

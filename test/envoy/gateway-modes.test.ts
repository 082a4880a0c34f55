/** Servers of gateways of every TLS mode, with a real Envoy: who ends TLS, where connections go, what is refused. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { after, before, test } from 'node:test';
import { createIssuer, type TestIssuer } from '#identity/certificate-rig.ts';
import { secretYaml } from '../support/secret-yaml.ts';
import {
  type Answer,
  type Backend,
  call,
  handshake,
  startBackend,
  startTlsBackend,
  told,
  until,
} from './gateway-clients.ts';
import { type GatewayRig, issueWorkload, openGatewayRig } from './gateway-rig.ts';
import { callHttp } from './test-apps.ts';

let rig: GatewayRig;
let issuer: TestIssuer;
const backends: Backend[] = [];

before(async () => {
  rig = await openGatewayRig();
  issuer = await createIssuer('server authority');
  const { chain, key } = await issuer.issue({ dns: ['x.test', 'left.test', 'right.test'] });
  await rig.apply(secretYaml('web', { cert: chain, key }));
});

after(async () => {
  for (const backend of backends) backend[Symbol.dispose]();
  await rig[Symbol.asyncDispose]();
});

/** A ServiceEntry `NAME.test` with one endpoint that says its name. */
async function service(name: string, protocol = 'HTTP', own?: Backend): Promise<string> {
  const backend = own ?? (await startBackend(rig.address, name));
  backends.push(backend);
  return `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec:
  hosts: [${name}.test]
  ports: [{number: 80, name: main, protocol: ${protocol}}]
  resolution: STATIC
  endpoints: [{address: ${rig.address}, ports: {main: ${backend.port}}}]
`;
}

function gateway(name: string, ...servers: readonly string[]): string {
  return `---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, servers: [${servers.join(', ')}]}
`;
}

function virtualService(name: string, gateways: string, hosts: string, routes: string): string {
  return `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: istio-system}
spec: {hosts: [${hosts}], gateways: [${gateways}], ${routes}}
`;
}

const to = (name: string): string => `route: [{destination: {host: ${name}.test, port: {number: 80}}}]`;
const at = (port: number) => ({ address: rig.address, port });
const named = async (answer: Promise<Answer>): Promise<string> => {
  const one = await answer;
  return one.status === 200 ? told(one).name : String(one.status);
};

test('PASSTHROUGH hands TLS on by server name, to backends with certificates of their own', async () => {
  const [one, two, port] = await Promise.all([
    issuer.issue({ dns: ['one.test'] }),
    issuer.issue({ dns: ['two.test'] }),
    rig.port(),
  ]);
  const own = [
    await startTlsBackend(rig.address, 'one', one),
    await startTlsBackend(rig.address, 'two', two),
  ];
  await rig.apply(
    (await service('one', 'TLS', own[0])) +
      (await service('two', 'TLS', own[1])) +
      gateway(
        'pass',
        `{port: {number: ${port}, name: tls, protocol: TLS}, hosts: ['*.test'], tls: {mode: PASSTHROUGH}}`,
      ) +
      virtualService(
        'pass',
        'pass',
        'one.test, two.test',
        `tls: [{match: [{sniHosts: [one.test]}], ${to('one')}}, {match: [{sniHosts: [two.test]}], ${to('two')}}]`,
      ),
  );
  const client = (sni: string) => ({ sni, ca: issuer.root });
  await until(
    'a way',
    () => named(call(at(port), client('one.test'))),
    (name) => name === 'one',
  );
  const shown = await Promise.all(
    ['one.test', 'two.test'].map(async (sni) => (await handshake(at(port), client(sni))).shown),
  );
  deepStrictEqual(
    [...shown, await named(call(at(port), client('two.test')))],
    ['one.test', 'two.test', 'two'],
  );
  strictEqual((await call(at(port), client('three.test'))).status, 0);
});

test('SIMPLE ends TLS in front of bytes, with the versions and cipher suites that the server names', async () => {
  const [old, fresh] = await Promise.all([rig.port(), rig.port()]);
  const servers = [
    `{port: {number: ${old}, name: old, protocol: TLS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: web, maxProtocolVersion: TLSV1_2, cipherSuites: [ECDHE-ECDSA-AES256-GCM-SHA384]}}`,
    `{port: {number: ${fresh}, name: fresh, protocol: TLS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: web, minProtocolVersion: TLSV1_3}}`,
  ];
  const tcp = virtualService('bytes', 'bytes', `'*'`, `tcp: [{${to('bytes')}}]`);
  await rig.apply((await service('bytes', 'TCP')) + gateway('bytes', ...servers) + tcp);
  const client = { sni: 'x.test', ca: issuer.root };
  await until(
    'a way',
    () => named(call(at(old), client)),
    (name) => name === 'bytes',
  );
  const { protocol, cipher } = await handshake(at(old), client);
  deepStrictEqual([protocol, cipher], ['TLSv1.2', 'ECDHE-ECDSA-AES256-GCM-SHA384']);
  const only12 = { ...client, versions: { min: 'TLSv1.2', max: 'TLSv1.2' } } as const;
  strictEqual((await handshake(at(fresh), client)).protocol, 'TLSv1.3');
  strictEqual(
    await handshake(at(fresh), only12).then(
      () => 'open',
      () => 'refused',
    ),
    'refused',
  );
});

test('ISTIO_MUTUAL takes workloads of the mesh and nobody else', async () => {
  const port = await rig.port();
  const server = `{port: {number: ${port}, name: https, protocol: HTTPS}, hosts: [inner.test], tls: {mode: ISTIO_MUTUAL}}`;
  const http = virtualService('inner', 'inner', 'inner.test', `http: [{${to('inner')}}]`);
  await rig.apply((await service('inner')) + gateway('inner', server) + http);
  const workload = await issueWorkload(rig.authority, 'shop', 'caller');
  const stranger = await issuer.issue({ uri: 'spiffe://cluster.local/ns/shop/sa/caller' });
  const ask = (certificate?: { chain: string; key: string }): Promise<Answer> =>
    call(at(port), { sni: 'inner.test', ...(certificate && { certificate }) });
  await until(
    'a way',
    () => named(ask(workload)),
    (name) => name === 'inner',
  );
  const { headers } = told(await ask(workload));
  strictEqual(
    /URI=spiffe:\/\/cluster.local\/ns\/shop\/sa\/caller/.test(headers['x-forwarded-client-cert'] ?? ''),
    true,
  );
  deepStrictEqual([await named(ask()), await named(ask(stranger))], ['0', '0']);
});

test('AUTO_PASSTHROUGH forwards mesh TLS by the name of a cluster, and nothing that is not mesh TLS', async () => {
  const [port, server] = await Promise.all([rig.port(), issueWorkload(rig.authority, 'shop', 'server')]);
  const inside = await startTlsBackend(rig.address, 'inside', { ...server, alpn: ['istio'] });
  const plain = await startBackend(rig.address, 'plain');
  backends.push(plain);
  const entry = (await service('inside', 'TCP', inside))
    .replace('spec:', 'spec:\n  location: MESH_INTERNAL')
    .replace('hosts: [inside.test]', 'hosts: [inside.mesh.local]')
    .replace('ports: {main:', 'labels: {security.istio.io/tlsMode: istio}, ports: {main:');
  const open = entry
    .replaceAll('inside', 'open')
    .replace('labels: {security.istio.io/tlsMode: istio}, ', '')
    .replace(String(inside.port), String(plain.port));
  const auto = `{port: {number: ${port}, name: tls, protocol: TLS}, hosts: ['*.local'], tls: {mode: AUTO_PASSTHROUGH}}`;
  await rig.apply(entry + open + gateway('east-west', auto));
  const ask = (host: string, alpn: readonly string[] = ['istio']): Promise<string> =>
    named(call(at(port), { sni: `outbound_.80_._.${host}.mesh.local`, alpn }, 'x'));
  await until(
    'a way',
    () => ask('inside'),
    (name) => name === 'inside',
  );
  deepStrictEqual(
    [await ask('inside', ['http/1.1']), await ask('other'), await ask('open')],
    ['0', '0', '0'],
  );
});

test('httpsRedirect sends plain requests to https, on the host that they asked for', async () => {
  const port = await rig.port();
  const server = `{port: {number: ${port}, name: http, protocol: HTTP}, hosts: [web.test], tls: {httpsRedirect: true}}`;
  const http = virtualService('redirect', 'redirect', 'web.test', `http: [{${to('redirected')}}]`);
  await rig.apply((await service('redirected')) + gateway('redirect', server) + http);
  const ask = () => callHttp({ ...at(port), path: '/a?b=c', headers: { host: 'web.test' } });
  const { status, headers } = await until(
    'a redirect',
    () => ask().catch(() => ({ status: 0, headers: {} })),
    (one) => one.status === 301,
  );
  deepStrictEqual([status, (headers as Record<string, string>)['location']], [301, 'https://web.test/a?b=c']);
});

test('several Gateways share a port; what belongs to another server gets 421; HTTP/2 by ALPN', async () => {
  const port = await rig.port();
  const server = (name: string): string =>
    `{port: {number: ${port}, name: https-${name}, protocol: HTTPS}, hosts: [${name}.test], tls: {mode: SIMPLE, credentialName: web}}`;
  await rig.apply(
    (await service('left')) +
      (await service('right')) +
      gateway('left', server('left')) +
      gateway('right', server('right')) +
      virtualService('left', 'left', 'left.test', `http: [{${to('left')}}]`) +
      virtualService('right', 'right', 'right.test', `http: [{${to('right')}}]`),
  );
  const ask = (sni: string, host = sni): Promise<string> =>
    named(call(at(port), { sni, ca: issuer.root }, host));
  await until(
    'a way',
    () => ask('left.test'),
    (name) => name === 'left',
  );
  deepStrictEqual(
    [await ask('right.test'), await ask('left.test', 'right.test'), await ask('left.test', 'nowhere.test')],
    ['right', '421', '421'],
  );
  strictEqual((await call(at(port), { sni: 'nowhere.test' })).status, 0);
  const { alpn } = await handshake(at(port), { sni: 'left.test', alpn: ['h2', 'http/1.1'] });
  strictEqual(alpn, 'h2');
});

test('weights and headers of a VirtualService hold at the gateway', async () => {
  const port = await rig.port();
  const routes = `http: [{
    route: [
      {destination: {host: heavy.test, port: {number: 80}}, weight: 80},
      {destination: {host: light.test, port: {number: 80}}, weight: 20, headers: {request: {set: {x-side: light}}}}],
    headers: {request: {set: {x-all: 'yes'}}, response: {add: {x-answer: there}}}}]`;
  const server = `{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ['*']}`;
  await rig.apply(
    (await service('heavy')) +
      (await service('light')) +
      gateway('split', server) +
      virtualService('split', 'split', `'*'`, routes),
  );
  const ask = () => callHttp({ ...at(port), headers: { host: 'any.test' } });
  await until(
    'a way',
    () =>
      ask().then(
        (one) => one.status,
        () => 0,
      ),
    (status) => status === 200,
  );
  const counts: Record<string, number> = { heavy: 0, light: 0 };
  for (let i = 0; i < 400; i++) {
    const answer = await ask();
    const { name, headers } = JSON.parse(answer.body) as { name: string; headers: Record<string, string> };
    counts[name] = (counts[name] ?? 0) + 1;
    deepStrictEqual(
      [headers['x-all'], headers['x-side'], answer.headers['x-answer']],
      ['yes', name === 'light' ? 'light' : undefined, 'there'],
    );
  }
  // Four and a half standard deviations of a binomial distribution around 80.
  strictEqual(Math.abs((counts['light'] ?? 0) - 80) < 36, true, JSON.stringify(counts));
});

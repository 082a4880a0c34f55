/** Certificates of gateways from Secrets, with a real Envoy: what a handshake shows, rotation, client certificates, revocation. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createIssuer, type TestIssuer } from '#identity/certificate-rig.ts';
import { secretYaml } from '../support/secret-yaml.ts';
import {
  type Backend,
  call,
  type Client,
  handshake,
  openTls,
  startBackend,
  told,
  until,
} from './gateway-clients.ts';
import { type GatewayRig, openGatewayRig } from './gateway-rig.ts';

let rig: GatewayRig;
let backend: Backend;
let server: TestIssuer;
let clients: TestIssuer;
let port = 0;

before(async () => {
  rig = await openGatewayRig();
  [backend, server, clients, port] = await Promise.all([
    startBackend(rig.address, 'app'),
    createIssuer('server authority'),
    createIssuer('client authority'),
    rig.port(),
  ]);
  await rig.apply(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: app, namespace: default}
spec:
  hosts: [app.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: ${rig.address}, ports: {http: ${backend.port}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app, namespace: istio-system}
spec:
  hosts: ['*']
  gateways: [gw]
  http: [{route: [{destination: {host: app.test, port: {number: 80}}}]}]
`);
});

after(async () => {
  backend[Symbol.dispose]();
  await rig[Symbol.asyncDispose]();
});

const place = (): { address: string; port: number } => ({ address: rig.address, port });

/** Makes the gateway one HTTPS server for every host. */
function gateway(tls: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: ${port}, name: https, protocol: HTTPS}, hosts: [a.test], tls: ${tls}}]
`;
}

async function pair(name: string, values: Readonly<Record<string, string>> = {}): Promise<string> {
  const { chain, key } = await server.issue({ dns: [name] });
  return secretYaml('web', { 'tls.crt': chain, 'tls.key': key, ...values }, { type: 'kubernetes.io/tls' });
}

const anyClient = (): Client => ({ sni: 'a.test', ca: server.root });
const shown = async (): Promise<string> =>
  handshake(place(), { sni: 'a.test' }).then(
    (seen) => seen.shown,
    () => 'nothing',
  );

test('a certificate appears with its Secret, turns with it, and open connections stay', async () => {
  await rig.apply(gateway('{mode: SIMPLE, credentialName: web}'));
  strictEqual(await shown(), 'nothing');
  await rig.apply(await pair('a.test'));
  await until('the certificate', shown, (name) => name === 'a.test');
  strictEqual(told(await call(place(), anyClient())).name, 'app');

  const socket = await openTls(place(), { ...anyClient(), alpn: ['h2'] });
  const session = connectHttp2(`https://a.test:${port}`, { createConnection: () => socket });
  const ask = async (): Promise<unknown> => {
    const stream = session.request({ ':path': '/', ':authority': 'a.test' });
    const [headers] = await once(stream, 'response');
    stream.resume();
    return headers[':status'];
  };
  strictEqual(await ask(), 200);
  await rig.apply(await pair('turned.test'));
  await until('the next certificate', shown, (name) => name === 'turned.test');
  strictEqual(await ask(), 200);
  session.destroy();
});

test('a pair that cannot be used is held back, and the one before it stays', async () => {
  await rig.apply(gateway('{mode: SIMPLE, credentialName: web}'));
  await rig.apply(await pair('good.test'));
  await until('the certificate', shown, (name) => name === 'good.test');
  const [one, two] = await Promise.all([server.issue({ dns: ['one'] }), server.issue({ dns: ['two'] })]);
  const mixed = { 'tls.crt': one.chain, 'tls.key': two.key };
  await rig.apply(secretYaml('web', mixed, { type: 'kubernetes.io/tls' }));
  deepStrictEqual(rig.heldBack(), ['web: tls.key does not belong to the certificate in tls.crt']);
  strictEqual(await shown(), 'good.test');
  await rig.apply(await pair('next.test'));
  deepStrictEqual(rig.heldBack(), []);
  await until('the next certificate', shown, (name) => name === 'next.test');
});

test('several credentials are shown by what the client understands', async () => {
  const [rsa, ecdsa] = await Promise.all([
    server.issue({ dns: ['a.test', 'rsa'], rsaBits: 2048 }),
    server.issue({ dns: ['a.test', 'ecdsa'] }),
  ]);
  await rig.apply(secretYaml('rsa', { cert: rsa.chain, key: rsa.key }));
  await rig.apply(secretYaml('ecdsa', { cert: ecdsa.chain, key: ecdsa.key }));
  await rig.apply(gateway('{mode: SIMPLE, credentialNames: [rsa, ecdsa]}'));
  const versions = { min: 'TLSv1.2', max: 'TLSv1.2' } as const;
  const seen = async (ciphers: string): Promise<string> =>
    handshake(place(), { sni: 'a.test', versions, ciphers }).then(
      (one) => one.shown,
      () => 'nothing',
    );
  await until(
    'RSA',
    () => seen('ECDHE-RSA-AES128-GCM-SHA256'),
    (name) => name === 'a.test, rsa',
  );
  strictEqual(await seen('ECDHE-ECDSA-AES128-GCM-SHA256'), 'a.test, ecdsa');
});

test('MUTUAL wants a certificate of the CA in the Secret, and not a revoked one', async () => {
  const [good, revoked, stranger] = await Promise.all([
    clients.issue({ dns: ['good.client'] }),
    clients.issue({ dns: ['revoked.client'] }),
    server.issue({ dns: ['stranger.client'] }),
  ]);
  await rig.apply(
    await pair('a.test', { 'ca.crt': clients.root, 'ca.crl': await clients.revoke([revoked]) }),
  );
  await rig.apply(gateway('{mode: MUTUAL, credentialName: web}'));
  const statusFor = async (certificate: Client['certificate']): Promise<number> =>
    (await call(place(), { ...anyClient(), ...(certificate && { certificate }) })).status;
  await until(
    'mutual TLS',
    () => statusFor(good),
    (status) => status === 200,
  );
  deepStrictEqual(
    [await statusFor(undefined), await statusFor(revoked), await statusFor(stranger)],
    [0, 0, 0],
  );
  const { headers } = told(await call(place(), { ...anyClient(), certificate: good }));
  strictEqual(headers['x-forwarded-client-cert']?.includes('DNS=good.client'), true);
});

test('MUTUAL takes the CA from a Secret of its own, and lets in by name', async () => {
  const [good, other] = await Promise.all([
    clients.issue({ dns: ['good.client'] }),
    clients.issue({ dns: ['other.client'] }),
  ]);
  await rig.apply(await pair('a.test'));
  await rig.apply(secretYaml('web-cacert', { cacert: clients.root }));
  await rig.apply(gateway("{mode: MUTUAL, credentialName: web, subjectAltNames: ['good.client']}"));
  const statusFor = async (certificate: Client['certificate']): Promise<number> =>
    (await call(place(), { ...anyClient(), ...(certificate && { certificate }) })).status;
  await until(
    'the other CA',
    () => statusFor(good),
    (status) => status === 200,
  );
  await until(
    'the name',
    () => statusFor(other),
    (status) => status === 0,
  );
});

test('OPTIONAL_MUTUAL lets in without a certificate, and looks at one that is shown', async () => {
  const [good, stranger] = await Promise.all([
    clients.issue({ dns: ['good.client'] }),
    server.issue({ dns: ['stranger.client'] }),
  ]);
  await rig.apply(await pair('a.test', { 'ca.crt': clients.root }));
  await rig.apply(gateway('{mode: OPTIONAL_MUTUAL, credentialName: web}'));
  const statusFor = async (certificate: Client['certificate']): Promise<number> =>
    (await call(place(), { ...anyClient(), ...(certificate && { certificate }) })).status;
  await until(
    'optional TLS',
    () => statusFor(undefined),
    (status) => status === 200,
  );
  deepStrictEqual([await statusFor(good), await statusFor(stranger)], [200, 0]);
});

test('certificates and CAs in files of the gateway are served, and again when they change', async () => {
  const write = async (name: string): Promise<void> => {
    const { chain, key } = await server.issue({ dns: [name] });
    writeFileSync(join(rig.folder, 'tls.crt'), chain);
    writeFileSync(join(rig.folder, 'tls.key'), key);
  };
  await write('file.test');
  const file = (name: string): string => join(rig.folder, name);
  await rig.apply(
    gateway(`{mode: SIMPLE, serverCertificate: ${file('tls.crt')}, privateKey: ${file('tls.key')}}`),
  );
  await until('the file', shown, (name) => name === 'file.test');
  await write('turned.test');
  await until('the changed file', shown, (name) => name === 'turned.test');
});

test('a listener that an EnvoyFilter adds shows the certificate that the patch names', async () => {
  const [{ chain, key }, own] = await Promise.all([server.issue({ dns: ['patched.test'] }), rig.port()]);
  const type = 'type.googleapis.com/envoy.extensions';
  await rig.apply(`${secretYaml('patched', { cert: chain, key })}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: patched, namespace: istio-system}
spec:
  workloadSelector: {labels: {istio: ingressgateway}}
  configPatches:
  - applyTo: LISTENER
    match: {context: GATEWAY}
    patch:
      operation: ADD
      value:
        name: patched
        address: {socketAddress: {address: ${rig.address}, portValue: ${own}}}
        filterChains:
        - filters:
          - name: envoy.filters.network.echo
            typedConfig: {"@type": ${type}.filters.network.echo.v3.Echo}
          transportSocket:
            name: envoy.transport_sockets.tls
            typedConfig:
              "@type": ${type}.transport_sockets.tls.v3.DownstreamTlsContext
              commonTlsContext:
                tlsCertificateSdsSecretConfigs: [{name: "kubernetes://patched", sdsConfig: {ads: {}, resourceApiVersion: V3}}]
`);
  const seen = () =>
    handshake({ address: rig.address, port: own }, { sni: 'patched.test', ca: server.root }).then(
      (hand) => hand.shown,
      () => 'nothing',
    );
  await until('the certificate', seen, (name) => name === 'patched.test');
});

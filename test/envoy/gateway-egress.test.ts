/** TLS that a gateway begins towards servers outside of the mesh, with a real Envoy: whom it believes, what it shows. */
import { strictEqual } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createIssuer, type TestIssuer } from '#identity/certificate-rig.ts';
import { secretYaml } from '../support/secret-yaml.ts';
import { type Backend, startTlsBackend, until } from './gateway-clients.ts';
import { type GatewayRig, openGatewayRig } from './gateway-rig.ts';
import { callHttp } from './test-apps.ts';

let rig: GatewayRig;
let servers: TestIssuer;
let clients: TestIssuer;
let port = 0;
const backends: Backend[] = [];

before(async () => {
  rig = await openGatewayRig();
  [servers, clients, port] = await Promise.all([
    createIssuer('server authority'),
    createIssuer('client authority'),
    rig.port(),
  ]);
  const server = await servers.issue({ dns: ['simple.test', 'mutual.test', 'file.test'] });
  const [simple, mutual] = await Promise.all([
    startTlsBackend(rig.address, 'simple', server),
    startTlsBackend(rig.address, 'mutual', { ...server, ca: clients.root }),
  ]);
  backends.push(simple, mutual);
  await rig.apply(
    outside('simple', simple) +
      outside('file', simple) +
      outside('mutual', mutual) +
      `---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: egress, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ['*']}]
`,
  );
});

after(async () => {
  for (const backend of backends) backend[Symbol.dispose]();
  await rig[Symbol.asyncDispose]();
});

/** A server outside and the way to it through the gateway. */
function outside(name: string, backend: Backend): string {
  return `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: istio-system}
spec:
  hosts: [${name}.test]
  ports: [{number: 443, name: https, protocol: HTTPS}]
  resolution: STATIC
  endpoints: [{address: ${rig.address}, ports: {https: ${backend.port}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: istio-system}
spec:
  hosts: [${name}.test]
  gateways: [egress]
  http: [{route: [{destination: {host: ${name}.test, port: {number: 443}}}]}]
`;
}

function rule(name: string, tls: string): string {
  return `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}, namespace: istio-system}
spec: {host: ${name}.test, trafficPolicy: {tls: ${tls}}}
`;
}

/** `200 who the server saw`, or the status alone. */
async function seen(name: string): Promise<string> {
  const answer = await callHttp({ address: rig.address, port, headers: { host: `${name}.test` } }).catch(
    () => undefined,
  );
  if (answer?.status !== 200) return String(answer?.status);
  const { headers } = JSON.parse(answer.body) as { headers: Record<string, string> };
  return `200 ${headers['x-client']}`;
}

test('SIMPLE believes servers by the CA of a Secret, for the names that the rule says', async () => {
  await rig.apply(
    secretYaml('outside-cacert', { cacert: servers.root }) +
      rule(
        'simple',
        '{mode: SIMPLE, credentialName: outside, sni: simple.test, subjectAltNames: [simple.test]}',
      ),
  );
  await until(
    'a way',
    () => seen('simple'),
    (what) => what === '200 ',
  );
  await rig.apply(
    rule(
      'simple',
      '{mode: SIMPLE, credentialName: outside, sni: simple.test, subjectAltNames: [other.test]}',
    ),
  );
  await until(
    'a refusal',
    () => seen('simple'),
    (what) => what === '503',
  );
});

test('SIMPLE does not believe a server of another CA, and does again when the Secret is mended', async () => {
  await rig.apply(
    secretYaml('outside-cacert', { cacert: clients.root }) +
      rule('simple', '{mode: SIMPLE, credentialName: outside, sni: simple.test}'),
  );
  await until(
    'a refusal',
    () => seen('simple'),
    (what) => what === '503',
  );
  await rig.apply(secretYaml('outside-cacert', { cacert: servers.root }));
  await until(
    'a way',
    () => seen('simple'),
    (what) => what === '200 ',
  );
});

test('SIMPLE takes the CA from a file', async () => {
  const file = join(rig.folder, 'ca.pem');
  writeFileSync(file, servers.root);
  await rig.apply(rule('file', `{mode: SIMPLE, caCertificates: ${file}, sni: file.test}`));
  await until(
    'a way',
    () => seen('file'),
    (what) => what === '200 ',
  );
});

test("SIMPLE without a CA believes the machine's, so not our server", async () => {
  await rig.apply(rule('file', '{mode: SIMPLE, sni: file.test}'));
  await until(
    'a refusal',
    () => seen('file'),
    (what) => what === '503',
  );
  // Refused after a look at the certificate, not for want of CAs to look it up in.
  const stats = await rig.admin('/stats?filter=file.test.*fail_verify_error');
  strictEqual(/fail_verify_error: [1-9]/.test(stats), true, stats);
});

test('MUTUAL shows the certificate of the Secret, and the next one when it turns', async () => {
  const credential = async (name: string): Promise<string> => {
    const { chain, key } = await clients.issue({ dns: [name] });
    return secretYaml('client', { cert: chain, key, cacert: servers.root });
  };
  await rig.apply(rule('mutual', '{mode: MUTUAL, credentialName: client, sni: mutual.test}'));
  strictEqual(await seen('mutual'), '503');
  await rig.apply(await credential('one.client'));
  await until(
    'the certificate',
    () => seen('mutual'),
    (what) => what === '200 DNS:one.client',
  );
  await rig.apply(await credential('two.client'));
  await until(
    'the next certificate',
    () => seen('mutual'),
    (what) => what === '200 DNS:two.client',
  );
});

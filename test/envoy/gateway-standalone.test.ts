/** Certificates of a gateway as users of one machine have them: a Secret in the folder, through agent and Envoy, and what commands say. */
import { match, ok, strictEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createIssuer, type TestIssuer } from '#identity/certificate-rig.ts';
import { secretYaml } from '../support/secret-yaml.ts';
import { handshake } from './gateway-clients.ts';
import { freePort, openStandaloneRig, until } from './standalone-rig.ts';

const rig = openStandaloneRig();
let issuer: TestIssuer;
let port = 0;

before(async () => {
  [issuer, port] = await Promise.all([createIssuer('server authority'), freePort()]);
  rig.write(
    'mesh.yaml',
    `apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: { name: gateway, labels: { app: gateway } }
spec: { type: gateway }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gateway }
spec:
  selector: { app: gateway }
  servers:
    - { port: { number: ${port}, name: https, protocol: HTTPS }, hosts: ["*"], tls: { mode: SIMPLE, credentialName: web } }
`,
  );
  await rig.start(['up', rig.dir]).shows(/^Running\./m);
});
after(() => rig[Symbol.asyncDispose]());

const shown = (): Promise<string> =>
  handshake({ address: '127.0.0.1', port }, { sni: 'a.test' }).then(
    (seen) => seen.shown,
    () => 'nothing',
  );

async function pair(name: string): Promise<string> {
  const { chain, key } = await issuer.issue({ dns: [name] });
  const where = { namespace: 'default', type: 'kubernetes.io/tls' };
  return secretYaml('web', { 'tls.crt': chain, 'tls.key': key }, where);
}

test('without the Secret, status and the Gateway say what is missing', async () => {
  const { stdout } = await rig.run(['status']);
  match(
    stdout,
    /mesh\.yaml:\d+:\d+: warning IST0101: Referenced credentialName not found: "default\/web" \(Gateway default\/gateway/,
  );
  const { stdout: yaml } = await rig.run(['get', 'gateway', 'gateway', '-o', 'yaml']);
  match(yaml, /status:\n {2}conditions:\n {2}- message: "?Referenced credentialName not found/);
});

test('an applied Secret is what the gateway shows, and its values are not printed', async () => {
  const applied = await rig.run(['apply', '-f', '-', '--wait'], await pair('one.test'));
  strictEqual(applied.exitCode, 0, applied.stderr);
  await until(shown, (name) => name === 'one.test', 20_000);
  const { stdout } = await rig.run(['get', 'secret', 'web', '-o', 'yaml']);
  ok(stdout.includes('tls.key: "[redacted]"'), stdout);
});

test('a Secret that cannot be used is told at once, and the one before it stays', async () => {
  const [one, two] = [await issuer.issue({ dns: ['x'] }), await issuer.issue({ dns: ['y'] })];
  const where = { namespace: 'default', type: 'kubernetes.io/tls' };
  const mixed = secretYaml('web', { 'tls.crt': one.chain, 'tls.key': two.key }, where);
  const { exitCode, stdout, stderr } = await rig.run(['apply', '-f', '-', '--wait'], mixed);
  strictEqual(exitCode, 1);
  match(stdout + stderr, /tls\.key does not belong to the certificate in tls\.crt/);
  strictEqual(await shown(), 'one.test');
  await rig.run(['apply', '-f', '-', '--wait'], await pair('two.test'));
  await until(shown, (name) => name === 'two.test', 20_000);
});

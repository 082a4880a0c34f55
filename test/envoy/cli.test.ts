/** The command line against a running mesh: each command as a user types it, and the shapes of its JSON. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { schemaProblems } from './cli-schema-check.ts';
import { openStandaloneRig, type RunningCommand, until } from './standalone-rig.ts';

const MESH = `# everything of the test
apiVersion: v1
kind: Service
metadata: { name: web } # the front
spec: { selector: { app: web }, ports: [{ name: http, port: 8000 }] }
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: { name: web, labels: { app: web } }
spec:
  command: [node, web.mjs, "$(APP_ADDRESS)"]
  ports: [{ name: http, port: 8000 }]
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: { name: caller, namespace: shop, labels: { app: caller } }
spec: { command: [sleep, infinity], serviceAccount: caller }
`;
const WEB = `import { createServer } from 'node:http';
createServer((request, answer) => {
  console.log(request.method, request.url);
  answer.end(request.headers['x-forwarded-client-cert'] ?? 'plain');
}).listen(8000, process.argv[2]);
`;
const DENY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody }
spec: { action: DENY, selector: { matchLabels: { app: web } }, rules: [{ to: [{ operation: { paths: ["/secret"] } }] }] }
`;

const rig = openStandaloneRig();
let up: RunningCommand;

before(async () => {
  rig.write('mesh.yaml', MESH);
  rig.write('web.mjs', WEB);
  up = rig.start(['up', rig.dir]);
  await up.shows(/^Running\./m);
});
after(async () => {
  await up.end();
  await rig[Symbol.asyncDispose]();
});

/** curl as the caller; fetch of Node honours the proxy's environment, so no curl is needed. */
function call(path: string): Promise<string> {
  const script = `fetch('http://web.default:8000${path}').then(async (a) => console.log(a.status, await a.text()))`;
  return rig
    .run(['exec', 'caller', '--', process.execPath, '-e', script])
    .then(({ stdout }) => stdout.trim());
}

test('status -o json has the shape of its schema, and says when certificates end', async () => {
  const status = await rig.status();
  deepStrictEqual(schemaProblems('status', status), []);
  const lifeMs = status.workloads.map(
    ({ certificateNotAfter }) => Date.parse(certificateNotAfter) - Date.now(),
  );
  ok(
    lifeMs.every((ms) => ms > 23 * 3_600_000 && ms < 25 * 3_600_000),
    String(lifeMs),
  );
  const { rotation, list, alerts } = status.certificates;
  deepStrictEqual(
    [rotation, list.map(({ kind, state }) => `${kind} ${state}`), alerts],
    ['none', ['root signing'], []],
  );
  const page = await fetch(`http://${status.controlPlane.addresses.http}/metrics`).then((answer) =>
    answer.text(),
  );
  const left = Number(/^citadel_server_root_cert_expiry_seconds (\S+)$/m.exec(page)?.[1]);
  ok(Math.abs(left * 1000 - (Date.parse(list[0]?.notAfter ?? '') - Date.now())) < 60_000, page.slice(0, 500));
});

test('a command run as a workload has its identity', async () => {
  match(await call('/hello'), /^200 .*URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/caller/);
});

test('the exit code of a command run as a workload is given back', async () => {
  strictEqual((await rig.run(['exec', 'caller', '--', 'sh', '-c', 'exit 42'])).exitCode, 42);
  strictEqual((await rig.run(['exec', 'caller', '--', 'no-such-command'])).exitCode, 127);
});

test('logs shows what the application and its proxy wrote', async () => {
  const app = await rig.run(['logs', 'web', '--tail', '1']);
  strictEqual(app.stdout, 'GET /hello\n');
  await until(
    () => rig.run(['logs', 'web-0', '-c', 'istio-proxy', '--tail', '1']),
    ({ stdout }) => /"GET \/hello HTTP\/1\.1" 200/.test(stdout),
    5000,
  );
});

test('a policy is applied, works, is shown, and is deleted with its file', async () => {
  const applied = await rig.run(['apply', '--wait', '-o', 'json', '-f', '-'], DENY);
  strictEqual(applied.exitCode, 0, applied.stderr);
  deepStrictEqual(schemaProblems('change', JSON.parse(applied.stdout)), []);
  // Connections that are open already end with their next request; that one still goes by the old rules.
  await until(
    () => call('/secret'),
    (answer) => answer === '403 RBAC: access denied',
    5000,
  );
  const file = join(rig.dir, 'default/authorizationpolicy-nobody.yaml');
  strictEqual(readFileSync(file, 'utf8'), DENY);
  const shown = await rig.run(['get', 'authorizationpolicy']);
  match(shown.stdout, /^NAME +ACTION\nnobody +DENY\n$/);
  const deleted = await rig.run(['delete', 'authorizationpolicy', 'nobody', '--wait']);
  strictEqual(deleted.stdout, 'authorizationpolicy.security.istio.io/nobody deleted\n');
  ok(!existsSync(file));
  await until(
    () => call('/secret'),
    (answer) => answer.startsWith('200 '),
    5000,
  );
});

test('get -A -o json is a List of the schema', async () => {
  for (const kind of ['all', 'svc', 'localworkload', 'virtualservice']) {
    const { stdout } = await rig.run(['get', kind, '-A', '-o', 'json']);
    deepStrictEqual(schemaProblems('get', JSON.parse(stdout)), [], kind);
  }
  const list = JSON.parse((await rig.run(['get', 'lw', '-A', '-o', 'json'])).stdout);
  deepStrictEqual(
    list.items.map(
      ({ metadata }: { metadata: { namespace: string; name: string } }) =>
        `${metadata.namespace}/${metadata.name}`,
    ),
    ['default/web', 'shop/caller'],
  );
});

test('what get prints can be applied again, and changes nothing', async () => {
  const { stdout } = await rig.run(['get', 'all', '-A', '-o', 'yaml']);
  const { stdout: told, exitCode } = await rig.run(['apply', '-f', '-'], stdout);
  strictEqual(exitCode, 0);
  ok(
    told.split('\n').every((line) => line === '' || line.endsWith(' unchanged')),
    told,
  );
  strictEqual(readFileSync(join(rig.dir, 'mesh.yaml'), 'utf8'), MESH);
});

test('a change by hand in a file counts as an apply, a mistake is shown and changes nothing', async () => {
  rig.write('mesh.yaml', MESH.replace('port: 8000 }] }\n', 'prot: 8000 }] }\n'));
  await until(
    () => rig.status(),
    ({ diagnostics }) => diagnostics.some(({ code }) => code === 'LTN1002'),
    5000,
  );
  deepStrictEqual(schemaProblems('status', await rig.status()), []);
  match((await rig.run(['status'])).stdout, /mesh\.yaml:5:\d+: error LTN1002: unknown field prot/);
  match(await call('/still'), /^200/);
  rig.write('mesh.yaml', MESH);
  await until(
    () => rig.status(),
    ({ diagnostics }) => diagnostics.length === 0,
    5000,
  );
});

test('edit changes the object in its file, and only that', async () => {
  const editor = join(rig.top, 'editor.sh');
  writeFileSync(editor, '#!/bin/sh\nsed -i "s/8000/8001/" "$1"\n', { mode: 0o755 });
  const { exitCode, stdout } = await rig.run(['edit', 'svc/web'], '', { EDITOR: editor });
  deepStrictEqual([exitCode, stdout], [0, 'service/web configured\n']);
  const expected = MESH.replace('http, port: 8000 }] }', 'http, port: 8001 }] }');
  strictEqual(
    readFileSync(join(rig.dir, 'mesh.yaml'), 'utf8').replace(/^# everything.*\n/, ''),
    expected.replace(/^# everything.*\n/, ''),
  );
  rig.write('mesh.yaml', MESH);
});

test('a folder is found by --dir and LATEEN_DIR, another one is not', async () => {
  strictEqual((await rig.run(['version', '--dir', rig.dir])).exitCode, 0);
  const other = await rig.run(['status'], '', { LATEEN_DIR: rig.top });
  deepStrictEqual(
    [other.exitCode, other.stderr],
    [1, `error: no mesh is running from ${rig.top}; start one with: lateen up ${rig.top}\n`],
  );
});

test('jwt check tells what becomes of a token, and leaves no trace of it', async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k1' }] });
  const spec = { selector: { matchLabels: { app: 'web' } }, jwtRules: [{ issuer: 'https://me', jwks }] };
  const metadata = { name: 'tokens' };
  const object = { apiVersion: 'security.istio.io/v1', kind: 'RequestAuthentication', metadata, spec };
  strictEqual((await rig.run(['apply', '--wait', '-f', '-'], JSON.stringify(object))).exitCode, 0);
  const token = await new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
    .setIssuer('https://me')
    .sign(privateKey);
  const check = ['jwt', 'check', '-', '--for', 'web'];
  const good = await rig.run([...check, '--from', 'caller', '-o', 'json'], `Bearer ${token}\n`);
  const answer = JSON.parse(good.stdout);
  deepStrictEqual(schemaProblems('jwt-check', answer), []);
  deepStrictEqual(
    [answer.verdict, answer.verified, answer.key.kid, answer.policy.name],
    ['allowed', true, 'k1', 'tokens'],
  );
  const bad = await rig.run(check, `${token.slice(0, -8)}AAAAAAAA`);
  match(
    bad.stdout,
    /^verdict +denied, 401\nreason +the signature is not by any key of the issuer with the id k1\n/,
  );
  match((await rig.run([...check.slice(0, 4), 'nobody'], token)).stderr, /no workload nobody/);
  const [, , signature = ''] = token.split('.');
  const written = [up.output(), readFileSync(join(rig.dir, '.lateen/logs/control-plane.log'), 'utf8')];
  ok(written.every((text) => !text.includes(signature)));
  strictEqual((await rig.run(['delete', 'requestauthentication', 'tokens', '--wait'])).exitCode, 0);
});

test('a crash is told by events', async () => {
  const { workloads } = await rig.status();
  process.kill(workloads.find(({ name }) => name === 'web')?.pids.app ?? 0, 'SIGKILL');
  await until(
    () => rig.run(['events']),
    ({ stdout }) =>
      /default\/web-0 {2}app was ended by SIGKILL; starting it again at once\n[^]*default\/web-0 {2}ready/.test(
        stdout,
      ),
    10_000,
  );
});

test('edges -o json has the shape of its schema, and shows who called', async () => {
  const edges = rig.run(['edges', '-o', 'json']);
  for (let i = 0; i < 6; i++) await call('/edge');
  const answer = JSON.parse((await edges).stdout);
  deepStrictEqual(schemaProblems('edges', answer), []);
});

test('a root whose files are taken away is replaced, which status tells', async () => {
  const folder = join(rig.dir, '.lateen/control-plane/ca');
  for (const name of ['ca-cert.pem', 'ca-key.pem']) rmSync(join(folder, name));
  await until(
    () => rig.status(),
    // Agents that have the new root let it sign soon, so its introduction may be over before anybody looks.
    ({ certificates }) => ['introducing', 'retiring'].includes(certificates.rotation),
    15_000,
  );
  const status = await rig.status();
  deepStrictEqual(schemaProblems('status', status), []);
  const { stdout } = await rig.run(['status']);
  match(
    stdout,
    /^the root .* (is being handed out; it signs when every proxy can have it|signs no more; it stays believed .*)$/m,
  );
});

test('the schema check itself finds what does not fit', () => {
  ok(schemaProblems('status', {}).includes('$: workloads is missing'));
  ok(
    schemaProblems('change', { accepted: 1 }).some((problem) =>
      problem.startsWith('$.accepted: boolean wanted'),
    ),
  );
  deepStrictEqual(schemaProblems('error', { error: 'x', more: 1 }), ['$: more is not in the schema']);
  strictEqual(schemaProblems('get', { kind: 'List' }).length, 1);
});

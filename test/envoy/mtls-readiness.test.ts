/** `lateen mtls readiness` on a running mesh: a client outside of the mesh shows up, and is told again when STRICT shuts it out. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { MutualTlsReadiness } from '#doors/control-protocol.ts';
import { schemaProblems } from './cli-schema-check.ts';
import { openStandaloneRig, type RunningCommand, statusOf, until } from './standalone-rig.ts';

const MESH = `
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ name: http, port: 8000 }] }
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: { name: web, labels: { app: web } }
spec:
  command: [node, -e, "require('node:http').createServer((q, a) => a.end('web')).listen(8000, process.argv[1])", "$(APP_ADDRESS)"]
  ports: [{ name: http, port: 8000 }]
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: { name: caller, namespace: shop, labels: { app: caller } }
spec: { command: [sleep, infinity] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: old, namespace: shop }
spec: { address: 10.1.2.3 }
`;
const PLAIN_RULE = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: plain, namespace: shop }
spec: { host: web.default.svc.cluster.local, trafficPolicy: { tls: { mode: DISABLE } } }
`;
const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default }
spec: { mtls: { mode: STRICT } }
`;

const rig = openStandaloneRig();
let up: RunningCommand;

before(async () => {
  rig.write('mesh.yaml', MESH);
  up = rig.start(['up', rig.dir]);
  await up.shows(/^Running\./m);
});
after(async () => {
  await up.end();
  await rig[Symbol.asyncDispose]();
});

async function readiness(): Promise<readonly MutualTlsReadiness[]> {
  const { stdout, stderr, exitCode } = await rig.run(['mtls', 'readiness', '-o', 'json']);
  strictEqual(exitCode, 0, stderr);
  const answer = JSON.parse(stdout);
  deepStrictEqual(schemaProblems('mtls-readiness', answer), []);
  return answer;
}

async function readinessOfWeb(): Promise<MutualTlsReadiness> {
  const web = (await readiness()).find(({ workload }) => workload === 'web');
  ok(web);
  return web;
}

/** A call from outside of the mesh, straight to the workload's proxy. */
async function callPlainly(): Promise<number> {
  const { workloads } = await rig.status();
  return statusOf(`http://${workloads.find(({ name }) => name === 'web')?.address}:8000/`);
}

test('who calls in plain text is told, and goes on to be told when STRICT shuts it out', {
  timeout: 60_000,
}, async () => {
  const script = "fetch('http://web.default:8000/').then(async (a) => console.log(a.status))";
  const meshed = await rig.run(['exec', 'caller', '--', process.execPath, '-e', script]);
  strictEqual(meshed.stdout, '200\n');
  const quiet = await readiness();
  deepStrictEqual(
    quiet.map(({ workload, namespace, sidecar, mode, wouldBreak }) => [
      workload,
      namespace,
      sidecar,
      mode,
      wouldBreak,
    ]),
    [
      ['web', 'default', true, 'PERMISSIVE', false],
      ['caller', 'shop', true, 'PERMISSIVE', false],
      ['old', 'shop', false, 'DISABLE', false],
    ],
  );

  const startMs = Date.now();
  strictEqual(await callPlainly(), 200);
  strictEqual(await callPlainly(), 200);
  let called = await readinessOfWeb();
  await until(
    async () => (called = await readinessOfWeb()),
    (web) => web.plaintextCallers[0]?.requests === 2,
    5000,
  );
  deepStrictEqual(
    called.plaintextCallers.map(({ source, protocol }) => [source, protocol]),
    [['unknown', 'http']],
  );
  ok(Date.parse(called.plaintextCallers[0]?.lastSeen ?? '') >= startMs);
  deepStrictEqual([called.wouldBreak, called.ports], [true, [{ port: 8000, mode: 'PERMISSIVE' }]]);

  strictEqual((await rig.run(['apply', '--wait', '-f', '-'], STRICT)).exitCode, 0);
  await until(callPlainly, (status) => status === 0, 5000);
  const strict = await readinessOfWeb();
  deepStrictEqual(
    [strict.mode, strict.wouldBreak, strict.ports, strict.policies],
    [
      'STRICT',
      false,
      [{ port: 8000, mode: 'STRICT' }],
      [{ kind: 'PeerAuthentication', namespace: 'default', name: 'default' }],
    ],
  );
  strictEqual(strict.plaintextCallers[0]?.source, 'unknown');
  const { stdout } = await rig.run(['mtls', 'readiness', '-n', 'default']);
  match(stdout, /^default +web +STRICT +unknown +in force$/m);
  match(
    stdout,
    /^web\.default: a client outside of the mesh called in plain text until .+ \(\d+ requests\)$/m,
  );
});

test('a rule that turns TLS off is told where STRICT would break its clients, and to its author where it does', {
  timeout: 60_000,
}, async () => {
  const strict = await rig.run(['apply', '--wait', '-f', '-'], PLAIN_RULE);
  match(
    strict.stderr,
    /warning LTN5030: clients reach web\.default\.svc\.cluster\.local:8000 with tls mode DISABLE/,
  );
  strictEqual((await rig.run(['delete', 'peerauthentication', 'default', '--wait'])).exitCode, 0);
  const web = await readinessOfWeb();
  deepStrictEqual(web.plaintextRules, [
    {
      kind: 'DestinationRule',
      namespace: 'shop',
      name: 'plain',
      path: 'spec.trafficPolicy.tls',
      host: 'web.default.svc.cluster.local',
      port: 8000,
      mode: 'DISABLE',
    },
  ]);
  strictEqual(web.wouldBreak, true);
});

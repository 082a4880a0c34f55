/** The mesh on one machine with real Envoys and real programs: order of starts, crashes, rolling changes, and that nothing is left. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ReplicaStatus } from '#doors/control-protocol.ts';
import { freePort, openStandaloneRig, type RunningCommand, ROOT, statusOf, until } from './standalone-rig.ts';

/** A server that tells its generation, and a client that refuses to live unless the mesh answers when it starts. */
function meshYaml(port: number, generation: string): string {
  return `apiVersion: v1
kind: Service
metadata: { name: server }
spec:
  selector: { app: server }
  ports: [{ name: http, port: 8000 }]
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: { name: server, labels: { app: server } }
spec:
  serviceAccount: server-account
  command: [node, server.mjs, "$(APP_ADDRESS)"]
  env: [{ name: GENERATION, value: "${generation}" }]
  ports: [{ name: http, port: 8000 }]
  readiness: { http: { path: /ready, port: 8000 } }
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: { name: client, labels: { app: client } }
spec:
  command: [node, client.mjs]
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: { name: gateway, labels: { app: gateway } }
spec: { type: gateway }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gateway }
spec:
  selector: { app: gateway }
  servers: [{ port: { number: ${port}, name: http, protocol: HTTP }, hosts: ["*"] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: server }
spec:
  hosts: ["*"]
  gateways: [gateway]
  http: [{ route: [{ destination: { host: server, port: { number: 8000 } } }] }]
`;
}

const SERVER = `import { createServer } from 'node:http';
const server = createServer((request, answer) => {
  answer.end(JSON.stringify({ generation: process.env.GENERATION, xfcc: request.headers['x-forwarded-client-cert'], names: Object.keys(process.env) }));
});
server.keepAliveTimeout = 3600_000;
server.listen(8000, process.argv[2]);
process.on('SIGTERM', () => server.close(() => process.exit(0)));
console.log('server started');
`;
const CLIENT = `import { get } from 'node:http';
get('http://server.nowhere.invalid/', (answer) => {
  console.log('the proxy answers', answer.statusCode);
  setInterval(() => {}, 1000);
}).on('error', (error) => { console.log('no proxy', error.code); process.exit(1); });
`;

const rig = openStandaloneRig();
let port: number;
let up: RunningCommand;

before(async () => {
  port = await freePort();
  rig.write('mesh.yaml', meshYaml(port, 'one'));
  rig.write('server.mjs', SERVER);
  rig.write('client.mjs', CLIENT);
  up = rig.start(['up', rig.dir]);
  await up.shows(/^Running\./m);
});
after(() => rig[Symbol.asyncDispose]());

async function replicas(): Promise<readonly ReplicaStatus[]> {
  const { workloads, gateways } = await rig.status();
  return [...workloads, ...gateways];
}

async function replicaOf(name: string): Promise<ReplicaStatus> {
  const found = (await replicas()).find((one) => one.name === name);
  if (found === undefined) throw new Error(`no replica of ${name}`);
  return found;
}

function ask(): Promise<{ generation: string; xfcc: string; names: string[] }> {
  return new Promise((done, failed) => {
    get(`http://127.0.0.1:${port}/`, { agent: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => (text += chunk));
      answer.on('end', () => {
        try {
          done(JSON.parse(text));
        } catch {
          failed(new Error(`${answer.statusCode} ${text}`));
        }
      });
    }).on('error', failed);
  });
}

test('all replicas are ready, in sync, and have identities of their own', async () => {
  const all = await replicas();
  deepStrictEqual(
    all.map(({ name, ready, restarts }) => [name, ready, restarts]),
    [
      ['client', true, 0],
      ['server', true, 0],
      ['gateway', true, 0],
    ],
  );
  for (const { pids, synced, isolation } of all) {
    ok(pids.agent > 0 && pids.envoy > 0);
    deepStrictEqual([synced.cds, synced.lds, isolation], ['SYNCED', 'SYNCED', 'none']);
  }
  strictEqual(new Set(all.map(({ address }) => address)).size, 3);
  strictEqual((await replicaOf('server')).identity, 'spiffe://cluster.local/ns/default/sa/server-account');
});

test('an application starts when its proxy works, not before', () => {
  const log = readFileSync(join(rig.dir, '.lateen/logs/default/client-0/app.log'), 'utf8');
  match(log, /^the proxy answers \d+/);
});

test('calls through the gateway are mutual TLS, and the application holds no token of the mesh', async () => {
  const { xfcc, names } = await ask();
  match(xfcc ?? '', /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\//);
  deepStrictEqual(
    names.filter((name) => /TOKEN|SECRET|CERT|PROXY_CONFIG|POD_/.test(name)),
    [],
  );
});

test('secrets lie where only the user can read them', async () => {
  const { statSync } = await import('node:fs');
  const run = join(rig.dir, '.lateen/run/default/server-0');
  for (const [path, mode] of [
    [join(rig.dir, '.lateen'), 0o700],
    [join(rig.dir, '.lateen/control.sock'), 0o600],
    [join(run, 'var/run/secrets/tokens/istio-token'), 0o600],
  ] as const) {
    strictEqual(statSync(path).mode & 0o777, mode, path);
  }
});

test('a second owner of the folder is refused, and names the first', async () => {
  const { exitCode, stderr } = await rig.run(['up', rig.dir]);
  strictEqual(exitCode, 1);
  match(stderr, new RegExp(`already running from ${rig.dir} \\(pid ${up.child.pid}\\)`));
});

for (const what of ['app', 'envoy', 'agent'] as const) {
  test(`kill -9 of the ${what}: back in two seconds, others unharmed`, async (context) => {
    const before = await replicas();
    const server = await replicaOf('server');
    process.kill(server.pids[what], 'SIGKILL');
    await until(
      () => statusOf(`http://127.0.0.1:${port}/`),
      (status) => status !== 200,
      1000,
    ).catch(() => 0);
    const tookMs = await until(
      () => statusOf(`http://127.0.0.1:${port}/`),
      (status) => status === 200,
      2000,
    );
    context.diagnostic(`back after ${Math.round(tookMs)} ms`);
    const others = (all: readonly ReplicaStatus[]) =>
      all.filter(({ name }) => name !== 'server').map(({ pids }) => pids);
    deepStrictEqual(others(await replicas()), others(before));
  });
}

test('a rolling change and a change of the count under load: no failed request', async (context) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  const counts = new Map<string, number>();
  const pending = new Set<Promise<void>>();
  const send = (): void => {
    const one = new Promise<void>((done) => {
      const note = (what: string): void => {
        counts.set(what, (counts.get(what) ?? 0) + 1);
        done();
      };
      const call = get(`http://127.0.0.1:${port}/`, { agent }, (answer) => {
        answer.resume().on('end', () => note(String(answer.statusCode)));
      });
      call.on('error', (error) => note(error.message));
    });
    pending.add(one);
    void one.then(() => pending.delete(one));
  };
  const timer = setInterval(send, 10);
  context.after(() => clearInterval(timer));
  rig.write('mesh.yaml', meshYaml(port, 'two'));
  await until(ask, ({ generation }) => generation === 'two', 15_000);
  await until(replicas, (all) => all.filter(({ name }) => name === 'server').length === 1, 15_000);
  const more = meshYaml(port, 'two').replace(
    'serviceAccount: server-account',
    'serviceAccount: server-account\n  replicas: 3',
  );
  rig.write('mesh.yaml', more);
  await until(
    replicas,
    (all) => all.filter(({ name, ready }) => name === 'server' && ready).length === 3,
    15_000,
  );
  rig.write('mesh.yaml', meshYaml(port, 'two'));
  await until(replicas, (all) => all.filter(({ name }) => name === 'server').length === 1, 15_000);
  clearInterval(timer);
  await Promise.all(pending);
  agent.destroy();
  context.diagnostic(`${[...counts.values()].reduce((a, b) => a + b, 0)} requests`);
  deepStrictEqual([...counts.keys()], ['200']);
});

test('a change that breaks the program leaves the old one at work, and status says why', async () => {
  rig.write('mesh.yaml', meshYaml(port, 'two').replace('server.mjs', 'missing.mjs'));
  await until(
    replicas,
    (all) => all.some(({ name, restarts }) => name === 'server' && restarts >= 2),
    15_000,
  );
  strictEqual((await ask()).generation, 'two');
  // While it runs for a moment, its probe is what fails.
  await until(replicas, (all) => all.some(({ reason }) => reason === 'app exited with code 1'), 15_000);
  rig.write('mesh.yaml', meshYaml(port, 'two'));
  await until(replicas, (all) => all.filter(({ name }) => name === 'server').length === 1, 15_000);
});

test('a mesh that was killed leaves its folder to the next, which ends what was left', async () => {
  process.kill(up.child.pid ?? 0, 'SIGKILL');
  await up.end('SIGKILL');
  ok(rig.processes().length > 0);
  up = rig.start(['up', rig.dir]);
  await up.shows(/^Running\./m);
  const pids = new Set((await replicas()).flatMap(({ pids: { app, agent, envoy } }) => [app, agent, envoy]));
  const strangers = rig.processes().filter((line) => {
    const pid = Number(line.split(' ')[0]);
    return !pids.has(pid) && pid !== up.child.pid;
  });
  deepStrictEqual(strangers, []);
});

test('down stops everything in order and leaves nothing but state and logs', async () => {
  const { exitCode } = await rig.run(['down']);
  strictEqual(exitCode, 0);
  strictEqual(await up.end(), 0);
  deepStrictEqual(rig.processes(), []);
  deepStrictEqual(readdirSync(join(rig.dir, '.lateen')).sort(), ['control-plane', 'logs']);
  deepStrictEqual(readdirSync(join(rig.top, 'runtime/lateen')), []);
});

test('a gateway port in use ends the start, names the holder and leaves nothing', async () => {
  const taken = createServer().listen(port, '127.0.0.1');
  await once(taken, 'listening');
  const { exitCode, stderr } = await rig.run(['up', rig.dir]);
  taken.close();
  strictEqual(exitCode, 1);
  match(
    stderr,
    new RegExp(
      `port ${port} on 127.0.0.1, which Gateway default/gateway asks for, is in use by .+ \\(pid ${process.pid}\\)`,
    ),
  );
  deepStrictEqual(rig.processes(), []);
  ok(!existsSync(join(rig.dir, '.lateen/run')));
});

test('an Envoy that is missing, or that falls, ends the start and is said plainly', async () => {
  const missing = await rig.run(['up', rig.dir], '', { ENVOY_PATH: '/does/not/exist' });
  strictEqual(missing.exitCode, 1);
  match(missing.stderr, /ENVOY_PATH is \/does\/not\/exist/);
  const { writeFileSync } = await import('node:fs');
  const faulty = join(rig.top, 'faulty-envoy');
  const version = 'envoy  version: 0000000000000000000000000000000000000000/1.40.0/Clean/RELEASE/BoringSSL';
  writeFileSync(faulty, `#!/bin/sh\n[ "$1" = --version ] && echo "${version}" && exit 0\nexit 1\n`, {
    mode: 0o755,
  });
  const falling = await rig.run(['up', rig.dir], '', { ENVOY_PATH: faulty });
  strictEqual(falling.exitCode, 1);
  match(falling.stderr, /the mesh cannot start: .*proxy/);
  deepStrictEqual(rig.processes(), []);
});

test('a folder that is not there is said, too', async () => {
  const { exitCode, stderr } = await rig.run(['up', join(ROOT, 'no-such-folder')]);
  strictEqual(exitCode, 1);
  match(stderr, /there is no folder .*no-such-folder/);
});

/** ProxyConfig objects and mesh config on one machine: what they say reaches the proxies, by a rolling restart that no request notices. */
import { deepStrictEqual, notStrictEqual, ok } from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ReplicaStatus } from '#doors/control-protocol.ts';
import { freePort, openStandaloneRig, type RunningCommand, until } from './standalone-rig.ts';

const SERVER = `import { createServer } from 'node:http';
const server = createServer((request, answer) => answer.end('ok'));
server.keepAliveTimeout = 3600_000;
server.listen(8000, process.argv[2]);
process.on('SIGTERM', () => server.close(() => process.exit(0)));
`;

function meshYaml(port: number): string {
  const workload = (name: string): string => `apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: { name: ${name}, labels: { app: ${name} } }
spec:
  command: [node, server.mjs, "$(APP_ADDRESS)"]
  ports: [{ name: http, port: 8000 }]
---
`;
  return `apiVersion: v1
kind: Service
metadata: { name: server }
spec: { selector: { app: server }, ports: [{ name: http, port: 8000 }] }
---
${workload('server')}${workload('other')}apiVersion: lateen.dev/v1alpha1
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

const PROXY_CONFIG = `apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: { name: server }
spec:
  selector: { matchLabels: { app: server } }
  concurrency: 2
  environmentVariables: { ISTIO_META_COLOR: red }
`;

const rig = openStandaloneRig();
const MESH_CONFIG = join(rig.top, 'mesh-config.yaml');
let port: number;
let up: RunningCommand;

before(async () => {
  port = await freePort();
  rig.write('mesh.yaml', meshYaml(port));
  rig.write('server.mjs', SERVER);
  writeFileSync(MESH_CONFIG, '');
  up = rig.start(['up', rig.dir, '--mesh-config', MESH_CONFIG]);
  await up.shows(/^Running\./m);
});
after(() => rig[Symbol.asyncDispose]());

/** The one replica of each workload by name; fewer or more while one replaces another. */
async function replicasOf(name: string): Promise<readonly ReplicaStatus[]> {
  const { workloads } = await rig.status();
  return workloads.filter((one) => one.name === name);
}

/** What the replica's Envoy runs with: `--concurrency` of its command line, and the node of its bootstrap. */
function proxyOf({ namespace, name, replica, pids }: ReplicaStatus): readonly [string, unknown] {
  const words = readFileSync(`/proc/${pids.envoy}/cmdline`, 'utf8').split('\0');
  const folder = join(rig.dir, '.lateen/run', namespace, `${name}-${replica}`);
  const bootstrap = JSON.parse(readFileSync(join(folder, 'etc/istio/proxy/envoy-rev.json'), 'utf8'));
  return [words[words.indexOf('--concurrency') + 1] ?? '', bootstrap.node.metadata.COLOR];
}

/** Resolves when exactly one replica is left, ready, with that many worker threads. */
async function becomes(name: string, concurrency: string): Promise<ReplicaStatus> {
  let last: ReplicaStatus | undefined;
  const look = async (): Promise<boolean> => {
    const [one, ...others] = await replicasOf(name);
    last = one;
    return one !== undefined && others.length === 0 && one.ready && proxyOf(one)[0] === concurrency;
  };
  await until(look, (isSo) => isSo, 15_000);
  return last as ReplicaStatus;
}

/** Sends 100 requests a second until it is disposed; counts answers by status or error. */
function load(): { readonly counts: ReadonlyMap<string, number>; end(): Promise<void> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  const counts = new Map<string, number>();
  const pending = new Set<Promise<void>>();
  const send = (): void => {
    const one = new Promise<void>((done) => {
      const note = (what: string): void => {
        counts.set(what, (counts.get(what) ?? 0) + 1);
        done();
      };
      get(`http://127.0.0.1:${port}/`, { agent }, (answer) => {
        answer.resume().on('end', () => note(String(answer.statusCode)));
      }).on('error', (error) => note(error.message));
    });
    pending.add(one);
    void one.then(() => pending.delete(one));
  };
  const timer = setInterval(send, 10);
  return {
    counts,
    async end() {
      clearInterval(timer);
      await Promise.all(pending);
      agent.destroy();
    },
  };
}

test('a ProxyConfig restarts the replicas it is for, and only those; removed, all is as before; no request fails', async (context) => {
  const [server] = await replicasOf('server');
  const [other] = await replicasOf('other');
  deepStrictEqual(server && proxyOf(server), ['1', undefined]);
  const traffic = load();
  context.after(() => traffic.end());

  rig.write('proxy-config.yaml', PROXY_CONFIG);
  deepStrictEqual(proxyOf(await becomes('server', '2')), ['2', 'red']);

  rmSync(join(rig.dir, 'proxy-config.yaml'));
  deepStrictEqual(proxyOf(await becomes('server', '1')), ['1', undefined]);

  await traffic.end();
  deepStrictEqual([...traffic.counts.keys()], ['200']);
  ok((traffic.counts.get('200') ?? 0) > 100);
  const [untouched] = await replicasOf('other');
  deepStrictEqual(untouched?.pids, other?.pids);
});

test('a change of mesh config is in force at once, and its part for proxies restarts them; a bad one is told and changes nothing', async () => {
  const [before] = await replicasOf('other');
  writeFileSync(MESH_CONFIG, 'connectTimeout: 2h\n');
  const told = async (): Promise<string> => (await rig.run(['events'])).stdout;
  await until(told, (text) => /mesh config.*LTN2032/.test(text), 10_000);
  writeFileSync(
    MESH_CONFIG,
    'defaultConfig: { concurrency: 2 }\noutboundTrafficPolicy: { mode: REGISTRY_ONLY }\n',
  );
  const after = await becomes('other', '2');
  notStrictEqual(after.pids.envoy, before?.pids.envoy);
});

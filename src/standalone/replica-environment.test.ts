import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { decodeObject } from '#api/decode-object.ts';
import type { LocalWorkloadSpec } from '#api/local-workload.ts';
import { defaultMeshProxyConfig } from '#api/mesh-config.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { agentArguments, agentEnvironment, mergesMetrics, ownProxyConfig } from './agent-environment.ts';
import { appEnvironment, baseEnvironment } from './app-environment.ts';
import { gatewayPorts } from './gateway-ports.ts';
import { renewalDelayMs } from './replica-files.ts';

const addresses = { proxy: '127.64.0.5', app: '127.64.0.6', outbound: '127.64.0.7' };
const place = { namespace: 'shop', workload: 'web', replica: 1, addresses, httpProxyPort: 15080 };
const around = {
  envoyPath: '/bin/envoy',
  controlPlaneAddress: '127.0.0.1:1',
  trustDomain: 'cluster.local',
  httpProxyPort: 15080,
};
const proxyConfig = defaultMeshProxyConfig();

function workload(spec: unknown): MeshObject<LocalWorkloadSpec> {
  const json = {
    apiVersion: 'lateen.dev/v1alpha1',
    kind: 'LocalWorkload',
    metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' } },
    spec,
  };
  const { object, diagnostics } = decodeObject(json, { defaultNamespace: 'default' });
  if (object === undefined) throw new Error(JSON.stringify(diagnostics));
  return object as MeshObject<LocalWorkloadSpec>;
}

test('an application gets nothing of the user but what programs need, and finds the pinned node first', () => {
  const user = {
    PATH: '/usr/bin',
    HOME: '/home/u',
    LC_ALL: 'C',
    AWS_SECRET_ACCESS_KEY: 's',
    GITHUB_TOKEN: 't',
  };
  deepStrictEqual(Object.fromEntries(baseEnvironment(user, '/node/bin')), {
    HOME: '/home/u',
    LC_ALL: 'C',
    PATH: '/node/bin:/usr/bin',
  });
});

test('an application is led into the mesh, and its YAML has the last word', () => {
  const env = appEnvironment(new Map([['PATH', '/bin']]), place, [
    { name: 'LISTEN', value: '$(APP_ADDRESS):80' },
    { name: 'AGAIN', value: '<$(LISTEN)>' },
    { name: 'NODE_USE_ENV_PROXY', value: '0' },
  ]);
  strictEqual(env.get('HTTP_PROXY'), 'http://127.64.0.5:15080');
  strictEqual(env.get('http_proxy'), env.get('HTTP_PROXY'));
  ok(env.get('NO_PROXY')?.split(',').includes('127.64.0.6'));
  strictEqual(env.has('HTTPS_PROXY'), false);
  strictEqual(env.get('AGAIN'), '<127.64.0.6:80>');
  strictEqual(env.get('NODE_USE_ENV_PROXY'), '0');
});

test("no name in an application's environment speaks of tokens or keys", () => {
  const names = [...appEnvironment(new Map(), place, []).keys()].join(' ');
  ok(!/token|key|secret|cert/i.test(names), names);
});

test('an agent is told who it is, where it listens and what its metrics are called', () => {
  const object = workload({
    command: ['x'],
    serviceAccount: 'web-sa',
    labels: { app: 'web', version: 'v2' },
  });
  const env = agentEnvironment(around, { object, replica: 1, addresses, proxyConfig, mergesMetrics: true });
  deepStrictEqual(
    [
      'POD_NAME',
      'INSTANCE_IP',
      'LATEEN_ADMIN_ADDRESS',
      'ISTIO_META_INTERCEPTION_MODE',
      'SERVICE_ACCOUNT',
    ].map((name) => env.get(name)),
    ['web-1', '127.64.0.5', '127.64.0.5', 'NONE', 'web-sa'],
  );
  deepStrictEqual(agentArguments(object).slice(0, 2), ['proxy', 'sidecar']);
});

test('an agent is started with the config that applies to it, and its metadata changes nothing that the runner sets', () => {
  const object = workload({ command: ['x'], labels: { app: 'web' } });
  const given = {
    ...proxyConfig,
    concurrency: 4,
    proxyMetadata: { COLOR: 'red', POD_NAME: 'other', 'A=B': 'x', NUL: '\0' },
  };
  const env = agentEnvironment(around, {
    object,
    replica: 0,
    addresses,
    proxyConfig: given,
    mergesMetrics: true,
  });
  const config = JSON.parse(env.get('PROXY_CONFIG') ?? '');
  deepStrictEqual(
    [config.concurrency, config.binaryPath, config.discoveryAddress],
    [4, '/bin/envoy', '127.0.0.1:1'],
  );
  deepStrictEqual(
    ['COLOR', 'POD_NAME', 'A=B', 'NUL'].map((name) => env.get(name)),
    ['red', 'web-0', undefined, undefined],
  );
});

test("mistakes in a workload's own part of the proxies' config are told, and the rest of it counts", () => {
  const text = 'concurrency: 4\nholdAplicationUntilProxyStarts: true\n';
  const { part, problems } = ownProxyConfig({ 'proxy.istio.io/config': text });
  deepStrictEqual(part.concurrency, 4);
  match(problems.join(), /unknown field holdAplicationUntilProxyStarts/);
});

test("a gateway's listeners bind where its YAML says, its other doors stay at its own address", () => {
  const object = workload({ type: 'gateway', bind: '127.0.0.2' });
  const env = agentEnvironment(around, { object, replica: 0, addresses, proxyConfig, mergesMetrics: true });
  deepStrictEqual([env.get('INSTANCE_IP'), env.get('LATEEN_LISTEN_ADDRESS')], ['127.0.0.2', '127.64.0.5']);
  deepStrictEqual(agentArguments(object).slice(0, 2), ['proxy', 'router']);
});

test('the ports of a gateway are those of the Gateways that select it', () => {
  const gateway = (name: string, selector: Record<string, string>, port: number): MeshObject => ({
    ...workload({ command: ['x'] }),
    kind: 'Gateway',
    name,
    spec: { selector, servers: [{ port: { number: port } }] },
  });
  const gateways = [gateway('a', { app: 'web' }, 8080), gateway('b', { app: 'other' }, 8081)];
  deepStrictEqual(gatewayPorts(gateways, [workload({ type: 'gateway' })]), [
    { bind: '127.0.0.1', port: 8080, gateway: 'shop/a' },
  ]);
});

test('a token is renewed at half of what is left of its life, one that cannot be read after ten minutes', () => {
  const token = (payload: unknown): string =>
    `h.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.s`;
  strictEqual(renewalDelayMs(token({ exp: 3600 }), 0), 1_800_000);
  strictEqual(renewalDelayMs(token({ exp: 1 }), 0), 10_000);
  strictEqual(renewalDelayMs('garbage', 0), 600_000);
});

test("the application's metrics are merged as the mesh says, unless the workload says otherwise", () => {
  const merging = (own: string, ofMesh?: boolean): boolean =>
    mergesMetrics(own === '' ? {} : { 'prometheus.istio.io/merge-metrics': own }, ofMesh);
  deepStrictEqual(
    [
      merging(''),
      merging('', false),
      merging('true', false),
      merging('false', true),
      merging('perhaps', false),
    ],
    [true, false, true, false, false],
  );
  const object = workload({ command: ['x'], annotations: { 'prometheus.io/scrape': 'true' } });
  const told = (merges: boolean): boolean =>
    agentEnvironment(around, { object, replica: 0, addresses, proxyConfig, mergesMetrics: merges }).has(
      'ISTIO_PROMETHEUS_ANNOTATIONS',
    );
  deepStrictEqual([told(true), told(false)], [true, false]);
});

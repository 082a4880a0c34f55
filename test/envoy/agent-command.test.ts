/** The commands of pilot-agent, its exit codes, and what it leaves when it is killed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  EchoServer,
  isRunning,
  envoyPath,
  makeFolder,
  mutualTlsListener,
  openTestAuthority,
  ownAddress,
  prepareBundle,
  removeFolder,
  staticCluster,
  TestAgent,
  TestControlPlane,
  until,
  writePrivate,
} from './agent-fixture.ts';

const program = join(import.meta.dirname, '..', '..', 'bin', 'pilot-agent');
const echo = new EchoServer();
let folder = '';
let address = '';
let controlPlane: TestControlPlane;
let environment: Record<string, string> = {};
const agents: TestAgent[] = [];

before(async () => {
  prepareBundle();
  folder = makeFolder();
  address = ownAddress();
  const ca = await openTestAuthority(join(folder, 'ca'));
  const appPort = await echo.listen(address);
  const listeners = [mutualTlsListener(address, 15006)];
  controlPlane = new TestControlPlane(ca, ownAddress(), listeners, [staticCluster('app', address, appPort)]);
  await controlPlane.start();
  const token = await ca.tokens.issueToken({ namespace: 'a', serviceAccount: 'b', facts: {}, instance: 'x' });
  writePrivate(join(folder, 'w/var/run/secrets/tokens/istio-token'), token.reveal());
  writePrivate(join(folder, 'w/var/run/secrets/istio/root-cert.pem'), ca.signer.authority.rootPem);
  environment = {
    ENVOY_PATH: await envoyPath(),
    POD_NAME: 'p',
    POD_NAMESPACE: 'a',
    SERVICE_ACCOUNT: 'b',
    INSTANCE_IP: address,
    LATEEN_ADMIN_ADDRESS: address,
    LATEEN_LISTEN_ADDRESS: address,
    PROXY_CONFIG: JSON.stringify({
      discoveryAddress: controlPlane.target,
      concurrency: 1,
      terminationDrainDuration: '0s',
    }),
  };
});
after(async () => {
  await Promise.all(agents.map((agent) => agent.stop()));
  await controlPlane?.stop();
  echo.close();
  removeFolder(folder);
});

/** Sees to it that an agent ends with the suite. */
function keep(agent: TestAgent): TestAgent {
  agents.push(agent);
  return agent;
}

interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[], extra: Readonly<Record<string, string>> = {}): Promise<Run> {
  const child = spawn(program, args, { env: { PATH: process.env['PATH'] ?? '', ...extra }, cwd: folder });
  const texts = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    texts.out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    texts.err += chunk.toString();
  });
  const [code] = await once(child, 'close');
  return { code, ...texts };
}

function wait(seconds: string): Promise<Run> {
  return run([
    'wait',
    '--url',
    `http://${address}:15021/healthz/ready`,
    '--timeoutSeconds',
    seconds,
    '--periodMillis=50',
  ]);
}

describe('pilot-agent', () => {
  const usage: readonly [args: readonly string[], error: RegExp][] = [
    [[], /no command/],
    [['what'], /unknown command "what"/],
    [['proxy', 'waypoint'], /"waypoint" is neither sidecar nor router/],
    [['proxy', '--nonsense'], /Unknown option '--nonsense'/],
    [['proxy', '--log_output_level=loud'], /"loud" is no log level/],
    [['request', 'GET'], /request needs METHOD and PATH/],
    [['version', '-o', 'xml'], /--output takes json/],
  ];
  for (const [args, error] of usage) {
    it(`says how it is used: ${args.join(' ')}`, async () => {
      const { code, err } = await run(args);
      assert.equal(code, 2);
      assert.match(err, error);
    });
  }

  it('prints its version', async () => {
    const { version } = JSON.parse((await run(['version', '-o', 'json'])).out).clientVersion;
    assert.deepEqual(
      [(await run(['version', '-s'])).out, (await run(['version'])).out],
      [`${version}\n`, `version.BuildInfo{Version:"${version}"}\n`],
    );
  });

  it("takes the flags of Istio's injected pods", async () => {
    const args = [
      'proxy',
      'sidecar',
      '--domain',
      'a.svc.cluster.local',
      '--proxyLogLevel=warning',
      '--proxyComponentLogLevel=misc:error',
    ];
    const more = [
      '--log_output_level=default:info',
      '--concurrency',
      '2',
      '--log_as_json',
      '--profiling=false',
      '--stsPort=0',
    ];
    const { code, out } = await run([...args, ...more], { ...environment, ENVOY_PATH: '/nowhere/envoy' });
    assert.equal(code, 1);
    const last = out.split('\n').filter((line) => line.includes('agent failed'));
    assert.match(JSON.parse(last[0] ?? '{}').error, /cannot run \/nowhere\/envoy/);
  });

  it('fails when a port is taken, and leaves nothing', async () => {
    const other = createServer().listen(15020, address);
    await once(other, 'listening');
    const { code, out } = await run(['proxy'], environment);
    assert.equal(code, 1);
    assert.match(out, /EADDRINUSE/);
    assert.equal(existsSync(join(folder, 'etc/istio/proxy/XDS')), false);
    other.close();
  });
});

describe('an agent that is killed', () => {
  it('takes Envoy along; the next one starts over its remains; request and wait work', async () => {
    assert.equal((await wait('1')).code, 1);
    const killed = keep(new TestAgent(join(folder, 'w'), environment));
    assert.deepEqual(await wait('10'), { code: 0, out: 'Envoy is ready!\n', err: '' }, killed.log);
    const stats = await run(['request', 'GET', 'stats'], { LATEEN_ADMIN_ADDRESS: address });
    assert.equal(stats.code, 0);
    assert.match(stats.out, /^cluster_manager\.cds\.update_success: 1$/m);
    assert.match(stats.out, /^cluster\.xds-grpc\./m);
    const missing = await run(['request', 'GET', '/nothing'], { LATEEN_ADMIN_ADDRESS: address });
    assert.deepEqual([missing.code, missing.out], [1, '']);
    assert.match(missing.err, /status 404/);
    const envoyPid = killed.envoyPid ?? 0;
    killed.process.kill('SIGKILL');
    await until('the end of Envoy', 5000, () => (isRunning(envoyPid) ? undefined : true));
    assert.ok(existsSync(join(killed.folder, 'etc/istio/proxy/XDS')));
    const next = keep(new TestAgent(join(folder, 'w'), environment));
    assert.equal((await wait('10')).code, 0, next.log);
    assert.equal(await next.stop(), 0);
    assert.equal(existsSync(join(next.folder, 'etc/istio/proxy/XDS')), false);
  });
});

/**
 * WasmPlugins and TrafficExtensions on one machine, with real agents and Envoys: modules from disk, from a web server and from a
 * registry with a password; scripts; changes without a lost connection; and what becomes of traffic when a module cannot be had
 * or Envoy refuses it. Modules are made here, byte by byte (test/support/wasm-module.ts).
 */
import { deepStrictEqual, match, ok } from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { stringify } from 'yaml';
import { ModuleServer, sha256 } from '#agent/module-server.ts';
import { wasmModule } from '../support/wasm-module.ts';
import { freePort, openStandaloneRig, type RunningCommand, until } from './standalone-rig.ts';

const MODULE = wasmModule();
const LIMIT_MS = 10_000;

const rig = openStandaloneRig();
let port: number;
let up: RunningCommand;
let modules: ModuleServer;

const SERVER = `import { createServer } from 'node:http';
createServer((request, answer) => answer.end('hello')).listen(8000, process.argv[2]);
`;

function meshYaml(): string {
  const config = JSON.stringify({ proxyMetadata: { WASM_INSECURE_REGISTRIES: modules.host } });
  return `apiVersion: v1
kind: Service
metadata: { name: server }
spec: { selector: { app: server }, ports: [{ name: http, port: 8000 }] }
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: { name: server, labels: { app: server }, annotations: { proxy.istio.io/config: '${config}' } }
spec: { command: [node, server.mjs, "$(APP_ADDRESS)"], ports: [{ name: http, port: 8000 }] }
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
---
apiVersion: v1
kind: Secret
metadata: { name: pull }
type: kubernetes.io/dockerconfigjson
stringData: { .dockerconfigjson: '{"auths":{"${modules.host}":{"username":"me","password":"word"}}}' }
`;
}

before(async () => {
  port = await freePort();
  modules = await ModuleServer.start('127.83.9.1');
  modules.password = 'me:word';
  modules.files.set('/a.wasm', { body: MODULE });
  rig.write('mesh.yaml', meshYaml());
  rig.write('server.mjs', SERVER);
  writeFileSync(join(rig.top, 'a.wasm'), MODULE);
  up = rig.start(['up', rig.dir]);
  await up.shows(/^Running\./m);
});
after(async () => {
  await rig[Symbol.asyncDispose]();
  await modules[Symbol.asyncDispose]();
});
afterEach(async () => {
  rmSync(join(rig.dir, 'extension.yaml'));
  await shows({ status: 200, wasm: undefined, lua: undefined });
});

interface Seen {
  readonly status: number;
  /** What the module says. */
  readonly wasm: string | undefined;
  /** What the script says. */
  readonly lua: string | undefined;
  /** The client's port: the same as long as a connection lasts. */
  readonly from?: number | undefined;
}

function ask(agent: Agent | false = false): Promise<Seen> {
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  return new Promise((done) => {
    const request = get(`http://127.0.0.1:${port}/`, { agent, timeout: LIMIT_MS }, (answer) => {
      const { statusCode: status = 0, headers, socket } = answer;
      const from = socket.localPort;
      answer.resume();
      answer.on('end', () =>
        done({ status, wasm: text(headers['x-wasm']), lua: text(headers['x-lua']), from }),
      );
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => done({ status: 0, wasm: undefined, lua: undefined }));
  });
}

async function shows(expected: Partial<Seen>): Promise<void> {
  const holds = (seen: Seen): boolean =>
    (Object.keys(expected) as (keyof Seen)[]).every((key) => seen[key] === expected[key]);
  await until(ask, holds, LIMIT_MS);
}

/** Makes this the one extension of the mesh. */
function extend(kind: 'WasmPlugin' | 'TrafficExtension', spec: object): void {
  const apiVersion = 'extensions.istio.io/v1alpha1';
  rig.write('extension.yaml', stringify({ apiVersion, kind, metadata: { name: 'extension' }, spec }));
}

const selector = { matchLabels: { app: 'server' } };
const gateway = { matchLabels: { app: 'gateway' } };
const script = (value: string): string =>
  `function envoy_on_response(handle) handle:headers():add('x-lua', '${value}') end`;

async function heldBack(): Promise<string> {
  return (await rig.run(['status'])).stdout;
}

describe('a module', { timeout: 90_000 }, () => {
  test('on disk does what its configuration says', async () => {
    extend('WasmPlugin', { selector, url: `file://${rig.top}/a.wasm`, pluginConfig: { tag: 'disk' } });
    await shows({ status: 200, wasm: '{"tag":"disk"}' });
  });

  test('gets a new configuration while requests go on, over the same connection', async () => {
    const url = `file://${rig.top}/a.wasm`;
    extend('WasmPlugin', { selector: gateway, url, pluginConfig: { v: 1 } });
    await shows({ wasm: '{"v":1}' });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const seen: Seen[] = [await ask(agent)];
    extend('WasmPlugin', { selector: gateway, url, pluginConfig: { v: 2 } });
    const endMs = performance.now() + LIMIT_MS;
    while (seen.at(-1)?.wasm !== '{"v":2}' && performance.now() < endMs) seen.push(await ask(agent));
    agent.destroy();
    deepStrictEqual(
      [
        new Set(seen.map(({ status }) => status)),
        new Set(seen.map(({ from }) => from)).size,
        seen.at(-1)?.wasm,
      ],
      [new Set([200]), 1, '{"v":2}'],
    );
  });

  test('is pulled from a registry with the password of its pull secret', async () => {
    const digest = modules.pushImage('team/plugin', '1.0', MODULE, 'docker');
    const image = { url: `oci://${modules.host}/team/plugin:1.0`, sha256: digest, imagePullSecret: 'pull' };
    extend('WasmPlugin', { selector, ...image, pluginConfig: { from: 'registry' } });
    await shows({ status: 200, wasm: '{"from":"registry"}' });
    ok(modules.seen.includes('/v2/team/plugin/manifests/1.0 the-token'));
  });

  test('that is not what its sum says, or that is nowhere, closes what it selects, or opens it if told so', async () => {
    const wrong = { url: `http://${modules.host}/a.wasm`, sha256: sha256(Buffer.from('other')) };
    extend('TrafficExtension', { selector, wasm: wrong });
    await shows({ status: 403 });
    extend('TrafficExtension', {
      selector,
      wasm: { ...wrong, sha256: sha256(MODULE), pluginConfig: { a: 1 } },
    });
    await shows({ status: 200, wasm: '{"a":1}' });
    extend('TrafficExtension', {
      selector,
      wasm: { url: `http://${modules.host}/none.wasm`, failStrategy: 'FAIL_OPEN' },
    });
    await shows({ status: 200, wasm: undefined });
  });

  test('of type NETWORK sees connections before anything else', async () => {
    writeFileSync(join(rig.top, 'closing.wasm'), wasmModule({ closesConnections: true }));
    extend('WasmPlugin', { selector: gateway, url: `file://${rig.top}/closing.wasm`, type: 'NETWORK' });
    // No answer: the connection is closed before HTTP is spoken.
    await shows({ status: 0 });
  });

  test('that Envoy refuses is held back alone, and let go when the plugin changes', async () => {
    const url = `file://${rig.top}/broken.wasm`;
    writeFileSync(join(rig.top, 'broken.wasm'), 'no module');
    extend('WasmPlugin', { selector, url, failStrategy: 'FAIL_OPEN', pluginConfig: { v: 1 } });
    await until(heldBack, (text) => /WasmPlugin +default.extension/.test(text), LIMIT_MS);
    await shows({ status: 200, wasm: undefined });
    extend('WasmPlugin', { selector, url, pluginConfig: { v: 1 } });
    await shows({ status: 403 });
    match(await heldBack(), /WasmPlugin +default.extension/);
    writeFileSync(join(rig.top, 'broken.wasm'), MODULE);
    extend('WasmPlugin', { selector, url, pluginConfig: { v: 2 } });
    await shows({ status: 200, wasm: '{"v":2}' });
  });
});

describe('a script', { timeout: 60_000 }, () => {
  test('runs in the proxies that it selects, and changes live', async () => {
    extend('TrafficExtension', { selector, lua: { inlineCode: script('one') } });
    await shows({ status: 200, lua: 'one' });
    extend('TrafficExtension', { selector, lua: { inlineCode: script('two') } });
    await shows({ status: 200, lua: 'two' });
  });

  test('that does not compile is held back, and its last good form stays in force', async () => {
    extend('TrafficExtension', { selector, lua: { inlineCode: script('good') } });
    await shows({ lua: 'good' });
    extend('TrafficExtension', { selector, lua: { inlineCode: 'function envoy_on_response(' } });
    await until(heldBack, (text) => /TrafficExtension +default.extension/.test(text), LIMIT_MS);
    await shows({ status: 200, lua: 'good' });
  });
});

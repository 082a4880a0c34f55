/** Whole responses of both protocols through the agent's stage for Wasm: which bytes stay, and what stands in for what. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Any, anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import { AgentMetrics } from '#agent/agent-metrics.ts';
import { ModuleServer, sha256 } from '#agent/module-server.ts';
import { WasmCache } from '#agent/wasm-cache.ts';
import { WasmResponses } from '#agent/wasm-responses.ts';
import { LOOPBACK_ALLOWED } from '#base/address-guard.ts';
import { systemClock } from '#base/clock.ts';
import { GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { createLogger, LogLevels } from '#base/logger.ts';
import { seededRng } from '#base/rng.ts';
import type { WasmFailure, WasmSource } from '#model/wasm-module.ts';
import {
  type TypedExtensionConfig,
  TypedExtensionConfigSchema,
} from '#proto/envoy/config/core/v3/extension_pb.ts';
import { WasmSchema } from '#proto/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts';
import {
  DeltaDiscoveryResponseSchema,
  DiscoveryResponseSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { buildWasmConfig } from '#xds/extensions/wasm-config.ts';
import { wasmModule } from '../support/wasm-module.ts';

const MODULE = wasmModule();
const typeUrl = 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig';

let folder = '';
let server: ModuleServer;
let cache: WasmCache;
let responses: WasmResponses;
let metrics: AgentMetrics;
const log: string[] = [];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lateen-wasm-'));
  server = await ModuleServer.start('127.83.5.1');
  server.files.set('/a.wasm', { body: MODULE });
});
after(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  metrics = new AgentMetrics('1');
  log.length = 0;
  const clock = systemClock();
  const parts = {
    clock,
    rng: seededRng(1),
    metrics,
    log: createLogger({ clock, levels: new LogLevels(), format: 'text', sink: (line) => log.push(line) }),
  };
  const limits = {
    maxBytes: 1 << 20,
    insecureHosts: new Set<string>(),
    requestTimeoutMs: 2_000,
    maxAttempts: 1,
  };
  const times = { purgeIntervalMs: 60_000, moduleExpiryMs: 60_000 };
  const options = {
    folder,
    limits: { ...limits, guard: LOOPBACK_ALLOWED },
    ...times,
    dockerConfigPath: undefined,
  };
  cache = new WasmCache(options, parts);
  responses = new WasmResponses(cache, parts);
});
afterEach(() => cache[Symbol.dispose]());

function remote(path: string, pullSecret = ''): WasmSource {
  const url = `http://${server.host}${path}`;
  return { kind: 'remote', url, sha256: '', pullPolicy: '', pullSecret, revision: '1' };
}

function extension(
  name: string,
  source: WasmSource,
  failure: WasmFailure = 'FAIL_CLOSED',
): TypedExtensionConfig {
  const plugin = { pluginName: '', configuration: '', failure, environment: {}, hostEnvironment: [] };
  return buildWasmConfig({
    name,
    pluginId: name,
    chain: 'http',
    module: { ...plugin, source },
    pullSecret: '',
  });
}

function delta(...configs: readonly TypedExtensionConfig[]): Uint8Array {
  const resources = configs.map((config) => ({
    name: config.name,
    version: 'v1',
    resource: anyPack(TypedExtensionConfigSchema, config),
  }));
  return toBinary(
    DeltaDiscoveryResponseSchema,
    create(DeltaDiscoveryResponseSchema, {
      typeUrl,
      nonce: 'n1',
      systemVersionInfo: 's',
      resources: [...resources, { name: 'gone', version: 'v0' }],
      removedResources: ['x'],
    }),
  );
}

function sotw(...configs: readonly TypedExtensionConfig[]): Uint8Array {
  const resources = configs.map((config) => anyPack(TypedExtensionConfigSchema, config));
  const message = create(DiscoveryResponseSchema, { typeUrl, nonce: 'n1', versionInfo: 's', resources });
  return toBinary(DiscoveryResponseSchema, message);
}

async function through(message: Uint8Array, protocol: 'delta' | 'sotw'): Promise<Uint8Array> {
  const rewriter = responses.rewriter(protocol);
  const reader = new GrpcFrameReader(1 << 20);
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  rewriter.on('data', (chunk: Buffer) => {
    for (const whole of reader.push(chunk)) resolve(whole);
  });
  rewriter.write(grpcFrame(message));
  return promise;
}

/** File of a Wasm configuration, or what kind of RBAC stands in for it. */
function shown(any: Any | undefined): string {
  const config = any === undefined ? undefined : anyUnpack(any, TypedExtensionConfigSchema);
  const typed = config?.typedConfig;
  if (typed?.typeUrl.endsWith('.RBAC'))
    return Buffer.from(typed.value)
      .toString('latin1')
      .replace(/^[^w]*/, '');
  const vm = typed === undefined ? undefined : anyUnpack(typed, WasmSchema)?.config?.vm.value;
  const code = vm?.code?.specifier;
  return code?.case === 'local' ? String(code.value.specifier.value).replace(folder, '') : 'remote';
}

describe('a response with extension configurations', () => {
  it('has files where it had URLs, and stand-ins where there is nothing to be had (delta)', async () => {
    const rewritten = await through(
      delta(
        extension('good', remote('/a.wasm')),
        extension('local', { kind: 'file', path: '/x' }),
        extension('open', remote('/none'), 'FAIL_OPEN'),
        extension('closed', remote('/none')),
        extension('secretless', remote('/a.wasm', 'default/pull')),
      ),
      'delta',
    );
    const { resources, ...rest } = fromBinary(DeltaDiscoveryResponseSchema, rewritten);
    const url = `http://${server.host}/a.wasm`;
    deepStrictEqual(
      resources.map(({ name, version, resource }) => [name, version, name === 'gone' ? '' : shown(resource)]),
      [
        ['good', 'v1', `/${sha256(Buffer.from(url))}/${sha256(MODULE)}.wasm`],
        ['local', 'v1', '/x'],
        ['open', 'v1', 'wasm-default-allow'],
        ['closed', 'v1', 'wasm-default-deny'],
        ['secretless', 'v1', 'wasm-default-deny'],
        ['gone', 'v0', ''],
      ],
    );
    deepStrictEqual(
      [rest.nonce, rest.systemVersionInfo, rest.typeUrl, rest.removedResources],
      ['n1', 's', typeUrl, ['x']],
    );
    const count = (result: string): number =>
      metrics.count(`istio_agent_wasm_config_conversion_count{result="${result}"}`);
    deepStrictEqual([count('success'), count('no_remote_load'), count('fetch_failure')], [1, 1, 3]);
    strictEqual(log.filter((line) => line.includes('cannot be had')).length, 3);
  });

  it('likewise in the state of the world', async () => {
    const rewritten = await through(sotw(extension('good', remote('/a.wasm'))), 'sotw');
    const { resources, nonce, versionInfo } = fromBinary(DiscoveryResponseSchema, rewritten);
    deepStrictEqual([nonce, versionInfo, resources.length], ['n1', 's', 1]);
    deepStrictEqual(readFileSync(folder + shown(resources[0])), MODULE);
  });

  for (const protocol of ['delta', 'sotw'] as const) {
    it(`stays as it is, byte for byte, without remote modules (${protocol})`, async () => {
      const message = (protocol === 'delta' ? delta : sotw)(extension('local', { kind: 'file', path: '/x' }));
      deepStrictEqual(Buffer.from(await through(message, protocol)), Buffer.from(message));
    });
  }

  it('stays as it is when it cannot be read: Envoy says what is wrong with it', async () => {
    const message = Buffer.concat([delta(), Buffer.from([0x12, 0x7f])]);
    deepStrictEqual(Buffer.from(await through(message, 'delta')), message);
    strictEqual(metrics.count('istio_agent_wasm_config_conversion_count{result="unmarshal_failure"}'), 1);
  });
});

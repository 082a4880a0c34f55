/** The hand-written codec against the generated types: configurations as the control plane makes them. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create, fromBinary, type JsonValue, toBinary, toJson } from '@bufbuild/protobuf';
import type { WasmModule, WasmSource } from '#model/wasm-module.ts';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';
import { buildWasmConfig } from '#xds/extensions/wasm-config.ts';
import { readRemoteWasm, standInFor, withLocalModule } from '#agent/wasm-config.ts';

const REMOTE: WasmSource = {
  kind: 'remote',
  url: 'oci://registry.example.com/a:1',
  sha256: 'ab',
  pullPolicy: 'Always',
  pullSecret: 'default/pull',
  revision: 'r1',
};

function configOf(
  module: Partial<WasmModule>,
  chain: 'http' | 'network' = 'http',
  pullSecret = '{"auths":{}}',
): Uint8Array {
  const defaults = {
    source: REMOTE,
    pluginName: 'root',
    configuration: '{"a":1}',
    failure: 'FAIL_CLOSED',
  } as const;
  const whole = { ...defaults, environment: { MODE: 'x' }, hostEnvironment: ['HOME'], ...module };
  const config = buildWasmConfig({ name: 'n', pluginId: 'default.n', chain, module: whole, pullSecret });
  return toBinary(TypedExtensionConfigSchema, config);
}

function json(bytes: Uint8Array): JsonValue {
  return toJson(TypedExtensionConfigSchema, fromBinary(TypedExtensionConfigSchema, bytes), {
    registry: envoyRegistry(),
  });
}

describe('a Wasm configuration', () => {
  it('says what is to be fetched', () => {
    const read = readRemoteWasm(configOf({}));
    const { pullSecret, ...request } = read?.request ?? {};
    deepStrictEqual(
      { ...read, request, secret: pullSecret?.reveal() },
      {
        name: 'n',
        chain: 'http',
        isOpen: false,
        lacksSecret: false,
        request: {
          url: 'oci://registry.example.com/a:1',
          sha256: 'ab',
          resourceName: 'n',
          revision: 'r1',
          timeoutMs: 30_000,
          pullPolicy: 'always',
        },
        secret: '{"auths":{}}',
      },
    );
  });

  it('knows its chain, its failure policy, and a secret that was not there', () => {
    const network = readRemoteWasm(configOf({ failure: 'FAIL_OPEN' }, 'network', ''));
    deepStrictEqual(
      [network?.chain, network?.isOpen, network?.lacksSecret, network?.request.pullSecret],
      ['network', true, true, undefined],
    );
    strictEqual(readRemoteWasm(configOf({ failure: 'FAIL_RELOAD' }))?.isOpen, false);
  });

  it('is left alone when its module is a file, or when it is no Wasm', () => {
    strictEqual(readRemoteWasm(configOf({ source: { kind: 'file', path: '/a' } })), undefined);
    strictEqual(readRemoteWasm(configOf({ source: { kind: 'none' } })), undefined);
    strictEqual(readRemoteWasm(new Uint8Array()), undefined);
  });

  it('gets a file instead, loses what was for the agent, and keeps the rest', () => {
    const local = { kind: 'file', path: '/cache/a.wasm' } as const;
    deepStrictEqual(json(withLocalModule(configOf({}), '/cache/a.wasm')), json(configOf({ source: local })));
    const bare = { environment: {}, hostEnvironment: [] };
    deepStrictEqual(
      json(withLocalModule(configOf(bare, 'network'), '/cache/a.wasm')),
      json(configOf({ ...bare, source: local }, 'network')),
    );
  });

  for (const chain of ['http', 'network'] as const) {
    for (const failure of ['FAIL_OPEN', 'FAIL_CLOSED'] as const) {
      it(`stands in for a ${chain} module under ${failure} as the control plane does`, () => {
        const remote = readRemoteWasm(configOf({ failure }, chain));
        if (remote === undefined) throw new Error('not remote');
        deepStrictEqual(
          json(standInFor(remote)),
          json(configOf({ failure, source: { kind: 'none' } }, chain)),
        );
      });
    }
  }
});

it('an empty extension is no Wasm', () => {
  const empty = toBinary(TypedExtensionConfigSchema, create(TypedExtensionConfigSchema, { name: 'x' }));
  strictEqual(readRemoteWasm(empty), undefined);
});

/** The hand-written codec against the generated types: configurations as the control plane makes them. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create, fromBinary, type JsonObject, type JsonValue, toBinary, toJson } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import type { WasmModule, WasmSource } from '#model/wasm-module.ts';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { TypedStructSchema } from '#proto/udpa/type/v1/typed_struct_pb.ts';
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

/** As EnvoyFilters have it, with the names of either spelling. */
function structConfig(code: JsonObject, variables: JsonObject, more: JsonObject = {}): Uint8Array {
  const vm = { runtime: 'envoy.wasm.runtime.v8', code, environmentVariables: { key_values: variables } };
  const struct = { config: { name: 'x', fail_open: true, vm_config: vm, number: 1.5, ...more } };
  const typed = create(TypedStructSchema, {
    typeUrl: 'type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm',
    value: struct,
  });
  const config = { name: 'n', typedConfig: anyPack(TypedStructSchema, typed) };
  return toBinary(TypedExtensionConfigSchema, create(TypedExtensionConfigSchema, config));
}

describe('a Wasm configuration written as a TypedStruct', () => {
  const remote = {
    remote: { http_uri: { uri: 'http://x/a.wasm', timeout: '7s', cluster: 'c' }, sha256: 'nil' },
  };

  it('says what is to be fetched', () => {
    const { request, ...read } = readRemoteWasm(structConfig(remote, {})) ?? {};
    deepStrictEqual(
      { ...read, url: request?.url, sha256: request?.sha256, timeoutMs: request?.timeoutMs },
      {
        name: 'n',
        chain: 'http',
        isOpen: true,
        lacksSecret: false,
        url: 'http://x/a.wasm',
        sha256: '',
        timeoutMs: 7_000,
      },
    );
    strictEqual(readRemoteWasm(structConfig(remote, {}, { failurePolicy: 'FAIL_CLOSED' }))?.isOpen, false);
    strictEqual(readRemoteWasm(structConfig({ local: { filename: '/a' } }, {})), undefined);
  });

  it('gets a file instead, loses what was for the agent, and keeps the rest', () => {
    const hints = { ISTIO_META_WASM_IMAGE_PULL_SECRET: 's', MODE: 'x' };
    deepStrictEqual(
      json(withLocalModule(structConfig(remote, hints), '/cache/a.wasm')),
      json(structConfig({ local: { filename: '/cache/a.wasm' } }, { MODE: 'x' })),
    );
  });
});

it('an empty extension is no Wasm', () => {
  const empty = toBinary(TypedExtensionConfigSchema, create(TypedExtensionConfigSchema, { name: 'x' }));
  strictEqual(readRemoteWasm(empty), undefined);
});

/** What a spare Envoy is asked about has none of the users' code in it, wherever that lay, and all else as it was. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create, type DescMessage, fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';
import { withoutUserCode } from './probe-code.ts';

const SCRIPT = 'os.execute("SECRET")';
const registry = envoyRegistry();
const type = (name: string): string => `type.googleapis.com/envoy.extensions.${name}`;

function cleaned(schema: DescMessage, json: JsonValue): string {
  return JSON.stringify(
    toJson(schema, withoutUserCode(schema, fromJson(schema, json, { registry })), { registry }),
  );
}

function listenerWith(filter: JsonValue): JsonValue {
  const manager = { '@type': type('filters.network.http_connection_manager.v3.HttpConnectionManager') };
  const filters = [{ name: 'http', typedConfig: { ...manager, statPrefix: 'x', httpFilters: [filter] } }];
  return { name: 'l', filterChains: [{ filters }] };
}

const lua = (config: JsonValue): JsonValue => ({
  name: 'lua',
  typedConfig: { '@type': type('filters.http.lua.v3.Lua'), ...(config as object) },
});
const perRoute = {
  '@type': type('filters.http.lua.v3.LuaPerRoute'),
  sourceCode: { inlineString: SCRIPT },
};

const SCRIPTS: readonly (readonly [name: string, schema: DescMessage, json: JsonValue])[] = [
  ['the default script', ListenerSchema, listenerWith(lua({ defaultSourceCode: { inlineString: SCRIPT } }))],
  ['the old field', ListenerSchema, listenerWith(lua({ inlineCode: SCRIPT }))],
  ['named scripts', ListenerSchema, listenerWith(lua({ sourceCodes: { a: { inlineString: SCRIPT } } }))],
  [
    'bytes',
    ListenerSchema,
    listenerWith(lua({ defaultSourceCode: { inlineBytes: Buffer.from(SCRIPT).toString('base64') } })),
  ],
  ['a file', ListenerSchema, listenerWith(lua({ defaultSourceCode: { filename: '/SECRET' } }))],
  [
    'a route',
    RouteConfigurationSchema,
    {
      virtualHosts: [
        {
          name: 'a',
          domains: ['*'],
          routes: [{ match: { prefix: '/' }, typedPerFilterConfig: { lua: perRoute } }],
        },
      ],
    },
  ],
];

describe("a question without the user's code", () => {
  for (const [name, schema, json] of SCRIPTS) {
    it(`a script is compiled only (T41): ${name}`, () => {
      const text = cleaned(schema, json);
      ok(JSON.stringify(json).includes('SECRET') || name === 'bytes');
      strictEqual(text.includes('SECRET') || text.includes('os.execute'), false);
      ok(/assert\(loadstring\(/.test(text));
    });
  }

  it('a module is another one, and hints are gone; what the user set stays', () => {
    const vmConfig = {
      runtime: 'envoy.wasm.runtime.v8',
      code: { remote: { httpUri: { uri: 'oci://SECRET', cluster: '_', timeout: '1s' } } },
      environmentVariables: { keyValues: { ISTIO_META_WASM_IMAGE_PULL_SECRET: 'SECRET', MODE: 'x' } },
    };
    const config = { '@type': type('filters.http.wasm.v3.Wasm'), config: { name: 'n', vmConfig } };
    const text = cleaned(TypedExtensionConfigSchema, { name: 'n', typedConfig: config });
    strictEqual(text.includes('SECRET'), false);
    ok(text.includes('"MODE":"x"') && text.includes('inlineBytes'));
  });

  it('all else stays as it was', () => {
    const json = listenerWith({ name: 'r', typedConfig: { '@type': type('filters.http.router.v3.Router') } });
    strictEqual(
      cleaned(ListenerSchema, json),
      JSON.stringify(toJson(ListenerSchema, fromJson(ListenerSchema, json, { registry }), { registry })),
    );
    const unknown = { typeUrl: 'type.googleapis.com/unknown.Type', value: Buffer.from('x') };
    const any = create(TypedExtensionConfigSchema, { name: 'u', typedConfig: unknown });
    deepStrictEqual(withoutUserCode(TypedExtensionConfigSchema, any).typedConfig?.value, Buffer.from('x'));
  });
});

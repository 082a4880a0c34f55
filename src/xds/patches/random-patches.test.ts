/** Whatever a patch says, applying it throws nothing, gives bytes that decode, and the same ones every time. */
import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { type DescField, type DescMessage, fromBinary, ScalarType, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { decodeObject } from '#api/decode-object.ts';
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import {
  FilterChainSchema,
  FilterSchema,
  ListenerFilterSchema,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { RouteSchema, VirtualHostSchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { HttpFilterSchema } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { httpManager, type Json, patch } from './patch-rig.ts';

const ANYS: readonly Json[] = [
  { '@type': 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua', inline_code: 'x' },
  { '@type': 'type.googleapis.com/udpa.type.v1.TypedStruct', type_url: 't', value: { a: [1, { b: null }] } },
  {
    '@type':
      'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    http_filters: [{ name: 'a' }],
    use_remote_address: false,
  },
  { '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', sni: 's' },
];
const texts = fc.oneof(
  fc.constantFrom('', 'a', '__proto__', 'constructor', 'lua', '80', '\ud800', 'envoy.transport_sockets.tls'),
  fc.string({ maxLength: 5 }),
);

function scalar(type: ScalarType): fc.Arbitrary<unknown> {
  switch (type) {
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.STRING:
      return texts;
    case ScalarType.BYTES:
      return fc.constantFrom('', 'AAEC');
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      return fc.constantFrom(0, 1.5, -2);
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return fc.constantFrom('0', '7', '18446744073709551615');
    default:
      return fc.constantFrom(0, 1, 80, 4294967295);
  }
}

/** google.protobuf's messages in their JSON forms. */
function wellKnown(name: string): fc.Arbitrary<unknown> {
  switch (name) {
    case 'google.protobuf.Any':
      return fc.constantFrom(...ANYS);
    case 'google.protobuf.Duration':
      return fc.constantFrom('0s', '1.5s', '500ms');
    case 'google.protobuf.BoolValue':
      return fc.boolean();
    case 'google.protobuf.StringValue':
      return texts;
    case 'google.protobuf.Struct':
      return fc.constantFrom({}, { a: { b: 1 } }, JSON.parse('{"__proto__": {"c": 1}}') as Json);
    default:
      return name.endsWith('Value') ? fc.constantFrom(0, 5) : fc.constant({});
  }
}

function single(field: DescField, depth: number): fc.Arbitrary<unknown> {
  if (field.message !== undefined) return messageOf(field.message, depth - 1);
  if (field.enum !== undefined) return fc.constantFrom(...field.enum.values.map(({ name }) => name));
  return scalar(field.scalar ?? ScalarType.STRING);
}

function valueOf(field: DescField, depth: number): fc.Arbitrary<unknown> {
  const one = single(field, depth);
  if (field.fieldKind === 'list') return fc.array(one, { maxLength: 2 });
  if (field.fieldKind !== 'map') return one;
  return fc.array(fc.tuple(texts, one), { maxLength: 2 }).map((entries) => Object.fromEntries(entries));
}

/** A few fields of a message, at most one of each choice. */
function messageOf(desc: DescMessage, depth: number): fc.Arbitrary<Json> {
  if (desc.typeName.startsWith('google.protobuf.')) return wellKnown(desc.typeName) as fc.Arbitrary<Json>;
  if (depth <= 0 || desc.fields.length === 0) return fc.constant({});
  return fc.subarray([...desc.fields], { maxLength: Math.min(3, desc.fields.length) }).chain((fields) => {
    const kept = fields.filter(
      (field, i) =>
        field.oneof === undefined || fields.findIndex((other) => other.oneof === field.oneof) === i,
    );
    return fc
      .tuple(...kept.map((field) => valueOf(field, depth)))
      .map((values) => Object.fromEntries(kept.map((field, i) => [field.name, values[i]])));
  });
}

const TYPES: readonly (readonly [string, DescMessage])[] = [
  ['CLUSTER', ClusterSchema],
  ['LISTENER', ListenerSchema],
  ['FILTER_CHAIN', FilterChainSchema],
  ['LISTENER_FILTER', ListenerFilterSchema],
  ['NETWORK_FILTER', FilterSchema],
  ['HTTP_FILTER', HttpFilterSchema],
  ['ROUTE_CONFIGURATION', RouteConfigurationSchema],
  ['VIRTUAL_HOST', VirtualHostSchema],
  ['HTTP_ROUTE', RouteSchema],
  ['EXTENSION_CONFIG', TypedExtensionConfigSchema],
];
const operation = fc.constantFrom(
  'MERGE',
  'MERGE',
  'MERGE_AND_REPLACE_LIST',
  'ADD',
  'INSERT_FIRST',
  'INSERT_AFTER',
  'REPLACE',
  'REMOVE',
);
const configPatch = fc
  .constantFrom(...TYPES)
  .chain(([applyTo, desc]) =>
    fc
      .tuple(operation, messageOf(desc, 3))
      .map(([chosen, value]): Json => ({ applyTo, patch: { operation: chosen, value } })),
  );

const tls = { name: 'envoy.transport_sockets.tls', typedConfig: ANYS[3] };
const routes = {
  name: '80',
  virtualHosts: [
    {
      name: 'a',
      domains: ['a'],
      routes: [
        {
          name: 'r',
          match: { prefix: '/' },
          route: { cluster: 'c' },
          typedPerFilterConfig: { lua: ANYS[0] },
        },
        { name: 's', match: { path: '/s' }, redirect: { hostRedirect: 'x' } },
      ],
    },
    { name: 'b', domains: ['b'] },
  ],
};
const manager = httpManager([{ name: 'lua', typedConfig: ANYS[0] }], {
  routeConfig: routes,
  useRemoteAddress: true,
});
const BASES = [
  [
    'cluster',
    {
      name: 'outbound|80||a',
      connectTimeout: '1s',
      transportSocket: tls,
      metadata: { filterMetadata: { a: { b: 1 } } },
    },
    ClusterSchema,
  ],
  [
    'listener',
    {
      name: 'l',
      listenerFilters: [{ name: 'a', typedConfig: ANYS[1] }],
      filterChains: [{ name: 'c', filters: [manager], transportSocket: tls }],
    },
    ListenerSchema,
  ],
  ['routes', routes, RouteConfigurationSchema],
] as const;

function isAccepted(configPatches: readonly Json[]): boolean {
  const document = {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name: 'e', namespace: 'default' },
    spec: { configPatches },
  };
  return decodeObject(document, { defaultNamespace: 'default' }).object !== undefined;
}

test('any patches on any resource', () => {
  let changed = 0;
  const property = fc.property(fc.array(configPatch, { minLength: 1, maxLength: 4 }), (configPatches) => {
    fc.pre(isAccepted(configPatches));
    for (const [kind, json, desc] of BASES) {
      const schema: DescMessage = desc;
      const first = patch(kind, json, configPatches).result;
      const second = patch(kind, json, configPatches).result;
      deepStrictEqual(first, second);
      if (first.resource === undefined || first.applied.length === 0) continue;
      changed++;
      const { bytes } = first.resource;
      deepStrictEqual(Buffer.compare(toBinary(schema, fromBinary(schema, bytes)), bytes), 0);
    }
  });
  fc.assert(property, { numRuns: 100, interruptAfterTimeLimit: 20_000 });
  deepStrictEqual(changed > 20, true, `${changed} changed`);
});

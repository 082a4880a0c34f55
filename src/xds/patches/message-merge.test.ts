import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { DescMessage } from '@bufbuild/protobuf';
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { RouteSchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { FaultDelaySchema } from '#proto/envoy/extensions/filters/common/fault/v3/fault_pb.ts';
import { HttpConnectionManagerSchema } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { TypedStructSchema } from '#proto/udpa/type/v1/typed_struct_pb.ts';
import { type ListMerge, mergeMessage } from './message-merge.ts';
import { type Json, message, plain } from './patch-rig.ts';

const LUA = 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua';
const ROUTER = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';

interface MergeCase {
  readonly name: string;
  readonly schema: DescMessage;
  readonly into: Json;
  readonly from: Json;
  readonly lists?: ListMerge;
  readonly merged: Json;
}

const CASES: readonly MergeCase[] = [
  {
    name: 'scalars that are set win, others stay',
    schema: ClusterSchema,
    into: { name: 'a', altStatName: 'x', lbPolicy: 'RANDOM' },
    from: { altStatName: 'y' },
    merged: { name: 'a', altStatName: 'y', lbPolicy: 'RANDOM' },
  },
  {
    name: 'a zero is not set and changes nothing',
    schema: ClusterSchema,
    into: { lbPolicy: 'RANDOM', respectDnsTtl: true },
    from: { lbPolicy: 'ROUND_ROBIN', respectDnsTtl: false },
    merged: { lbPolicy: 'RANDOM', respectDnsTtl: true },
  },
  {
    name: 'a zero in a wrapper changes nothing that is there',
    schema: HttpConnectionManagerSchema,
    into: { useRemoteAddress: true, maxRequestHeadersKb: 60 },
    from: { useRemoteAddress: false, maxRequestHeadersKb: 0 },
    merged: { useRemoteAddress: true, maxRequestHeadersKb: 60 },
  },
  {
    name: 'a zero in a wrapper is set where nothing is there',
    schema: HttpConnectionManagerSchema,
    into: {},
    from: { useRemoteAddress: false, maxRequestHeadersKb: 0 },
    merged: { useRemoteAddress: false, maxRequestHeadersKb: 0 },
  },
  {
    name: 'durations are replaced whole',
    schema: ClusterSchema,
    into: { connectTimeout: '1.500s' },
    from: { connectTimeout: '2s' },
    merged: { connectTimeout: '2s' },
  },
  {
    name: 'a duration of zero replaces too',
    schema: ClusterSchema,
    into: { connectTimeout: '1.500s' },
    from: { connectTimeout: '0s' },
    merged: { connectTimeout: '0s' },
  },
  {
    name: 'messages are merged field by field',
    schema: HttpConnectionManagerSchema,
    into: { commonHttpProtocolOptions: { idleTimeout: '5s', maxHeadersCount: 3 } },
    from: { commonHttpProtocolOptions: { maxHeadersCount: 7 } },
    merged: { commonHttpProtocolOptions: { idleTimeout: '5s', maxHeadersCount: 7 } },
  },
  {
    name: 'lists are appended',
    schema: RouteSchema,
    into: { requestHeadersToRemove: ['a'] },
    from: { requestHeadersToRemove: ['b'] },
    merged: { requestHeadersToRemove: ['a', 'b'] },
  },
  {
    name: 'lists are replaced where that is asked for, at any depth',
    schema: RouteSchema,
    into: {
      requestHeadersToRemove: ['a'],
      route: { cluster: 'c', upgradeConfigs: [{ upgradeType: 'websocket' }] },
    },
    from: { requestHeadersToRemove: ['b'], route: { upgradeConfigs: [{ upgradeType: 'CONNECT' }] } },
    lists: 'replace',
    merged: {
      requestHeadersToRemove: ['b'],
      route: { cluster: 'c', upgradeConfigs: [{ upgradeType: 'CONNECT' }] },
    },
  },
  {
    name: 'an empty list replaces nothing',
    schema: RouteSchema,
    into: { requestHeadersToRemove: ['a'] },
    from: { requestHeadersToRemove: [] },
    lists: 'replace',
    merged: { requestHeadersToRemove: ['a'] },
  },
  {
    name: 'entries of maps are replaced, others stay',
    schema: RouteSchema,
    into: { typedPerFilterConfig: { a: { '@type': LUA, inlineCode: 'x' }, b: { '@type': ROUTER } } },
    from: { typedPerFilterConfig: { a: { '@type': ROUTER } } },
    merged: { typedPerFilterConfig: { a: { '@type': ROUTER }, b: { '@type': ROUTER } } },
  },
  {
    name: 'fields of a Struct are entries of a map',
    schema: TypedStructSchema,
    into: { typeUrl: 't', value: { a: { b: 1 }, c: 2 } },
    from: { value: { a: { d: 3 } } },
    merged: { typeUrl: 't', value: { a: { d: 3 }, c: 2 } },
  },
  {
    name: 'the other member of a oneof takes the place',
    schema: RouteSchema,
    into: { route: { cluster: 'a' } },
    from: { redirect: { hostRedirect: 'b' } },
    merged: { redirect: { hostRedirect: 'b' } },
  },
  {
    name: 'the same member of a oneof is merged',
    schema: RouteSchema,
    into: { match: { prefix: '/' }, route: { cluster: 'a' } },
    from: { route: { timeout: '7s' } },
    merged: { match: { prefix: '/' }, route: { cluster: 'a', timeout: '7s' } },
  },
  {
    name: 'an Any is replaced, not opened',
    schema: RouteSchema,
    into: {
      route: {
        inlineClusterSpecifierPlugin: {
          extension: { name: 'x', typedConfig: { '@type': LUA, inlineCode: 'x' } },
        },
      },
    },
    from: {
      route: {
        inlineClusterSpecifierPlugin: {
          extension: { typedConfig: { '@type': ROUTER, dynamicStats: false } },
        },
      },
    },
    merged: {
      route: {
        inlineClusterSpecifierPlugin: {
          extension: { name: 'x', typedConfig: { '@type': ROUTER, dynamicStats: false } },
        },
      },
    },
  },
  {
    name: 'a field named __proto__ is an entry like any other',
    schema: TypedStructSchema,
    into: { value: { a: 1 } },
    from: JSON.parse('{"value": {"__proto__": {"polluted": true}}}') as Json,
    merged: JSON.parse('{"value": {"a": 1, "__proto__": {"polluted": true}}}') as Json,
  },
  {
    name: 'messages that are not there yet are copied',
    schema: FaultDelaySchema,
    into: {},
    from: { fixedDelay: '1s', percentage: { numerator: 5 } },
    merged: { fixedDelay: '1s', percentage: { numerator: 5 } },
  },
];

for (const { name, schema, into, from, lists, merged } of CASES) {
  test(name, () => {
    const target = message(schema, into);
    const source = message(schema, from);
    mergeMessage(schema, target, source, lists);
    deepStrictEqual(plain(schema, target), plain(schema, message(schema, merged)));
  });
}

test('what was merged from is not shared with the result', () => {
  const patch = message(ClusterSchema, { loadAssignment: { clusterName: 'a' }, filters: [{ name: 'x' }] });
  const first = message(ClusterSchema, {});
  mergeMessage(ClusterSchema, first, patch);
  mergeMessage(ClusterSchema, first, message(ClusterSchema, { loadAssignment: { clusterName: 'b' } }));
  (first.filters[0] as { name: string }).name = 'y';
  deepStrictEqual(plain(ClusterSchema, patch), {
    loadAssignment: { clusterName: 'a' },
    filters: [{ name: 'x' }],
  });
});

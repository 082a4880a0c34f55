import { deepStrictEqual, notStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { create, fromBinary } from '@bufbuild/protobuf';
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { HttpProtocolOptionsSchema } from '#proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import { encodeResource, packAny } from './encode.ts';
import { TYPE_CLUSTER } from './resource.ts';

function clusterWith(filterMetadata: Record<string, Record<string, string | object>>) {
  const message = create(ClusterSchema, { name: 'c', metadata: { filterMetadata: filterMetadata as never } });
  return encodeResource(ClusterSchema, message, TYPE_CLUSTER, 'c');
}

test('maps and structs give the same bytes whatever the order in which they were filled', () => {
  const one = clusterWith({ b: { y: '1', x: { q: '2', p: '3' } }, a: {} });
  const other = clusterWith({ a: {}, b: { x: { p: '3', q: '2' }, y: '1' } });
  deepStrictEqual(one, other);
});

test('maps with number-like keys have one order too', () => {
  deepStrictEqual(clusterWith({ 10: {}, b: {}, 9: {} }), clusterWith({ b: {}, 9: {}, 10: {} }));
});

test('another content gives another version', () => {
  notStrictEqual(clusterWith({ a: {} }).version, clusterWith({ b: {} }).version);
});

test('a struct inside a transport socket match keeps its content', () => {
  const message = create(ClusterSchema, {
    transportSocketMatches: [{ name: 'm', match: { tlsMode: 'istio' } }],
  });
  const { bytes } = encodeResource(ClusterSchema, message, TYPE_CLUSTER, 'c');
  deepStrictEqual(fromBinary(ClusterSchema, bytes).transportSocketMatches[0]?.match, { tlsMode: 'istio' });
});

test('references are kept, and absent when there are none', () => {
  const message = create(ClusterSchema, { name: 'c' });
  strictEqual('references' in encodeResource(ClusterSchema, message, TYPE_CLUSTER, 'c'), false);
  deepStrictEqual(encodeResource(ClusterSchema, message, TYPE_CLUSTER, 'c', ['r']).references, ['r']);
});

test('an Any names its type', () => {
  const packed = packAny(HttpProtocolOptionsSchema, create(HttpProtocolOptionsSchema));
  strictEqual(packed.typeUrl, 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions');
});

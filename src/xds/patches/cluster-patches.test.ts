import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { type Json, patch } from './patch-rig.ts';

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
const RAW = 'type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer';
const tlsSocket = (fields: Json = {}): Json => ({
  name: 'envoy.transport_sockets.tls',
  typedConfig: { '@type': TLS, ...fields },
});

const OUTBOUND = 'outbound|9080|v1|reviews.default.svc.cluster.local';
const merge = (match: Json | undefined, value: Json = { altStatName: 'x' }): Json => ({
  applyTo: 'CLUSTER',
  ...(match === undefined ? {} : { match: { cluster: match } }),
  patch: { operation: 'MERGE', value },
});

const MATCHES: readonly (readonly [string, string, Json | undefined, boolean])[] = [
  ['no match means every cluster', 'PassthroughCluster', undefined, true],
  ['the name', OUTBOUND, { name: OUTBOUND }, true],
  ['the name alone counts where it is given', OUTBOUND, { name: OUTBOUND, service: 'other' }, true],
  ['another name', OUTBOUND, { name: 'x' }, false],
  ['the service', OUTBOUND, { service: 'reviews.default.svc.cluster.local' }, true],
  ['another service', OUTBOUND, { service: 'ratings.default.svc.cluster.local' }, false],
  ['the subset', OUTBOUND, { subset: 'v1' }, true],
  ['another subset', OUTBOUND, { subset: 'v2' }, false],
  ['the port', OUTBOUND, { portNumber: 9080 }, true],
  ['another port', OUTBOUND, { portNumber: 80 }, false],
  [
    'all of them',
    OUTBOUND,
    { service: 'reviews.default.svc.cluster.local', subset: 'v1', portNumber: 9080 },
    true,
  ],
  ['a name without parts has no port', 'BlackHoleCluster', { portNumber: 80 }, false],
  [
    'the form for server names',
    'outbound_.9080_.v1_.r.example.com',
    { service: 'r.example.com', portNumber: 9080 },
    true,
  ],
  ['an inbound cluster by the service in its metadata', 'inbound|9080||', { service: 'b.default' }, true],
  ['an inbound cluster of other services', 'inbound|9080||', { service: 'c.default' }, false],
  ['an inbound cluster by port', 'inbound|9080||', { portNumber: 9080 }, true],
];

for (const [name, cluster, match, isMeant] of MATCHES) {
  test(`match: ${name}`, () => {
    const metadata = {
      filterMetadata: { istio: { services: [{ host: 'a.default' }, { host: 'b.default' }] } },
    };
    const { json, applied } = patch('cluster', { name: cluster, metadata }, [merge(match)]);
    deepStrictEqual([json?.['altStatName'], applied], isMeant ? ['x', [0]] : [undefined, []]);
  });
}

test('a cluster that no patch means is the resource that it was', () => {
  const { result } = patch('cluster', { name: OUTBOUND }, [merge({ name: 'x' })]);
  strictEqual(result.resource?.name, OUTBOUND);
  deepStrictEqual(result.applied, []);
});

test('removed, whatever comes behind', () => {
  const remove = { applyTo: 'CLUSTER', patch: { operation: 'REMOVE' } };
  const { json, applied } = patch('cluster', { name: OUTBOUND }, [
    merge(undefined),
    remove,
    merge(undefined),
  ]);
  deepStrictEqual([json, applied], [undefined, [0, 1]]);
});

test('later patches win, the name stays', () => {
  const patches = [
    merge(undefined, { connectTimeout: '1s', name: 'y' }),
    merge(undefined, { connectTimeout: '2s' }),
  ];
  deepStrictEqual(patch('cluster', { name: OUTBOUND }, patches).json, {
    name: OUTBOUND,
    connectTimeout: '2s',
  });
});

test('clusters that a value names are kept alive', () => {
  const value = {
    loadBalancingPolicy: { policies: [] },
    metadata: { filterMetadata: { a: { cluster: 'other' } } },
  };
  const { result } = patch('cluster', { name: OUTBOUND }, [merge(undefined, value)]);
  deepStrictEqual(result.resource?.references, ['other']);
});

const SOCKETS: readonly (readonly [string, Json, Json, Json])[] = [
  [
    'merged with that of the same name, and the rest of the value left out',
    { transportSocket: tlsSocket({ sni: 'a' }) },
    { altStatName: 'x', transportSocket: tlsSocket({ allowRenegotiation: true }) },
    { transportSocket: tlsSocket({ sni: 'a', allowRenegotiation: true }) },
  ],
  [
    'of another name: replaced',
    { transportSocket: tlsSocket({ sni: 'a' }) },
    { transportSocket: { name: 'raw', typedConfig: { '@type': RAW } } },
    { transportSocket: { name: 'raw', typedConfig: { '@type': RAW } } },
  ],
  ['where there was none', {}, { transportSocket: tlsSocket() }, { transportSocket: tlsSocket() }],
  [
    'among those chosen by endpoint, the first of its name',
    { transportSocketMatches: [{ name: 'tls', transportSocket: tlsSocket({ sni: 'a' }) }] },
    { transportSocket: tlsSocket({ sni: 'b' }) },
    { transportSocketMatches: [{ name: 'tls', transportSocket: tlsSocket({ sni: 'b' }) }] },
  ],
  [
    'of a name that none of those has: nothing',
    { transportSocketMatches: [{ name: 'tls', transportSocket: tlsSocket({ sni: 'a' }) }] },
    { transportSocket: { name: 'raw', typedConfig: { '@type': RAW } } },
    { transportSocketMatches: [{ name: 'tls', transportSocket: tlsSocket({ sni: 'a' }) }] },
  ],
];

for (const [name, cluster, value, wanted] of SOCKETS) {
  test(`transport socket: ${name}`, () => {
    const { json } = patch('cluster', { name: OUTBOUND, ...cluster }, [merge(undefined, value)]);
    deepStrictEqual(json, { name: OUTBOUND, ...wanted });
  });
}

test('two configurations of different types are not merged', () => {
  const base = { name: OUTBOUND, transportSocket: tlsSocket({ sni: 'a' }) };
  const value = { transportSocket: { name: 'envoy.transport_sockets.tls', typedConfig: { '@type': RAW } } };
  const { json, applied } = patch('cluster', base, [merge(undefined, value)]);
  deepStrictEqual([json, applied], [base, []]);
});

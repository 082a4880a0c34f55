/** Nodes as Istio's proxies send them, and nodes that nobody should send. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type JsonObject, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { WireError } from '#base/proto-wire.ts';
import { NodeSchema } from '#proto/envoy/config/core/v3/base_pb.ts';
import { decodeNode } from './node-decoder.ts';
import { nodeToProxy } from './node-to-proxy.ts';

const ID = 'sidecar~10.1.2.3~reviews-v1-abc.shop~shop.svc.cluster.local';

function read(
  id: string,
  metadata: JsonObject = {},
  locality?: { region: string; zone: string; subZone: string },
) {
  const node = create(NodeSchema, {
    id,
    cluster: 'reviews.shop',
    metadata,
    userAgentName: 'envoy',
    userAgentVersionType: {
      case: 'userAgentBuildVersion',
      value: { version: { majorNumber: 1, minorNumber: 40, patch: 2 } },
    },
    ...(locality === undefined ? {} : { locality }),
  });
  const result = nodeToProxy(decodeNode(toBinary(NodeSchema, node)));
  return result.ok ? JSON.parse(JSON.stringify(result.value)) : result.error.kind;
}

test('a full node of a sidecar becomes a proxy', () => {
  const metadata: JsonObject = {
    NAME: 'reviews-v1-abc',
    NAMESPACE: 'shop',
    LABELS: { app: 'reviews', __proto__x: 'kept', bad: 7 },
    SERVICE_ACCOUNT: 'reviews',
    CLUSTER_ID: 'Kubernetes',
    NETWORK: 'net1',
    NODE_NAME: 'worker-1',
    REQUESTED_NETWORK_VIEW: 'net1,net2',
    INTERCEPTION_MODE: 'NONE',
    INSTANCE_IPS: '10.1.2.3,fd00::1,nonsense',
    DNS_CAPTURE: 'true',
    HTTP_PROXY_PORT: '15080',
    OUTBOUND_ADDRESS: '127.0.0.5',
    PROXY_CONFIG: { concurrency: 2, tracing: { sampling: 1.5 }, list: [true, null, 'x'], proxyHeaders: 7 },
    HTTP10: '1',
    IDLE_TIMEOUT: '90s',
    INBOUND_LISTENER_EXACT_BALANCE: 'true',
    UNPRIVILEGED_POD: true,
    ENVOY_STATUS_PORT: 15_021,
    ENVOY_PROMETHEUS_PORT: '15090',
    LATEEN_STDOUT_IS_SOCKET: 'true',
    OWNER: 'kubernetes://apis/apps/v1/namespaces/shop/deployments/reviews-v1',
    ISTIO_VERSION: '1.31.0',
    LATEEN_ENVIRONMENT: 'true',
    ANNOTATIONS: { 'resource.opentelemetry.io/service.name': 'web' },
  };
  assert.deepStrictEqual(read(ID, metadata, { region: 'r', zone: 'z', subZone: 's' }), {
    proxy: {
      id: ID,
      type: 'sidecar',
      addresses: ['10.1.2.3', 'fd00::1'],
      name: 'reviews-v1-abc',
      namespace: 'shop',
      labels: { app: 'reviews', __proto__x: 'kept' },
      serviceAccount: 'reviews',
      workloadName: 'reviews-v1',
      clusterId: 'Kubernetes',
      network: 'net1',
      networkView: ['net1', 'net2'],
      locality: { region: 'r', zone: 'z', subzone: 's' },
      nodeName: 'worker-1',
      interceptionMode: 'NONE',
      dnsDomain: 'shop.svc.cluster.local',
      dnsCapture: true,
      generator: '',
      httpProxyPort: 15_080,
      outboundAddress: '127.0.0.5',
      istioVersion: '1.31.0',
      metadata: {
        NAME: 'reviews-v1-abc',
        NAMESPACE: 'shop',
        SERVICE_ACCOUNT: 'reviews',
        CLUSTER_ID: 'Kubernetes',
        NETWORK: 'net1',
        NODE_NAME: 'worker-1',
        REQUESTED_NETWORK_VIEW: 'net1,net2',
        INTERCEPTION_MODE: 'NONE',
        INSTANCE_IPS: '10.1.2.3,fd00::1,nonsense',
        DNS_CAPTURE: 'true',
        HTTP_PROXY_PORT: '15080',
        OUTBOUND_ADDRESS: '127.0.0.5',
        HTTP10: '1',
        IDLE_TIMEOUT: '90s',
        INBOUND_LISTENER_EXACT_BALANCE: 'true',
        ENVOY_PROMETHEUS_PORT: '15090',
        LATEEN_STDOUT_IS_SOCKET: 'true',
        OWNER: 'kubernetes://apis/apps/v1/namespaces/shop/deployments/reviews-v1',
        ISTIO_VERSION: '1.31.0',
        LATEEN_ENVIRONMENT: 'true',
      },
      traits: {
        http10: true,
        idleTimeoutMs: 90_000,
        exactBalanceInbound: true,
        exactBalanceOutbound: false,
        unprivileged: true,
        reservedPorts: [15_021, 15_090],
        foreign: false,
        serviceCluster: 'reviews.shop',
        spanServiceName: 'web',
        stdoutIsSocket: true,
      },
      // What is no ProxyConfig is left out.
      proxyConfig: { concurrency: 2, tracing: { sampling: 1.5 } },
    },
    userAgent: 'envoy 1.40.2',
  });
});

test('what the metadata does not say comes from the id and the labels', () => {
  const { proxy } = read(ID, {
    LABELS: { 'istio-locality': 'eu.a.1' },
    HTTP_PROXY_PORT: 70_000,
    OUTBOUND_ADDRESS: 'x',
  });
  assert.deepStrictEqual(
    [
      proxy.name,
      proxy.namespace,
      proxy.addresses,
      proxy.locality,
      proxy.httpProxyPort,
      proxy.interceptionMode,
    ],
    ['reviews-v1-abc', 'shop', ['10.1.2.3'], { region: 'eu', zone: 'a', subzone: '1' }, 0, 'REDIRECT'],
  );
  assert.equal(proxy.outboundAddress, '');
});

const REFUSALS: readonly (readonly [string, JsonObject, string])[] = [
  ['', {}, 'bad-node-id'],
  ['sidecar~10.0.0.1~a.b', {}, 'bad-node-id'],
  ['sidecar~10.0.0.1~a.b~c~d', {}, 'bad-node-id'],
  [`sidecar~10.0.0.1~${'a'.repeat(2_000)}.b~c`, {}, 'bad-node-id'],
  ['ztunnel~10.0.0.1~a.b~c', {}, 'unknown-proxy-type'],
  ['__proto__~10.0.0.1~a.b~c', {}, 'unknown-proxy-type'],
  ['sidecar~nowhere~a.b~c', {}, 'no-address'],
  ['sidecar~10.0.0.1~a~c', {}, 'bad-name'],
  ['sidecar~10.0.0.1~a/b.c~d', {}, 'bad-name'],
  ['sidecar~10.0.0.1~a.b~c', { NAMESPACE: 'x/y' }, 'bad-name'],
  ['sidecar~10.0.0.1~a.b~c', { NAME: '../../etc' }, 'bad-name'],
];

for (const [id, metadata, kind] of REFUSALS) {
  test(`refused: ${id.slice(0, 40)} ${JSON.stringify(metadata)}`, () =>
    assert.equal(read(id, metadata), kind));
}

test('a label named __proto__ is a label like any other', () => {
  const node = decodeNode(
    toBinary(
      NodeSchema,
      create(NodeSchema, { id: ID, metadata: JSON.parse('{"LABELS":{"__proto__":"x"}}') as JsonObject }),
    ),
  );
  const result = nodeToProxy(node);
  assert.ok(result.ok);
  assert.deepStrictEqual(Object.entries(result.value.proxy.labels), [['__proto__', 'x']]);
});

test('metadata nested too deep or with too many values is refused while it is read', () => {
  let deep: JsonObject = {};
  for (let i = 0; i < 100; i++) deep = { a: deep };
  const tooDeep = toBinary(NodeSchema, create(NodeSchema, { id: ID, metadata: deep }));
  assert.throws(() => decodeNode(tooDeep), WireError);
  const wide = Object.fromEntries(Array.from({ length: 20_001 }, (_, i) => [`k${i}`, i]));
  assert.throws(() => decodeNode(toBinary(NodeSchema, create(NodeSchema, { metadata: wide }))), WireError);
});

test('arbitrary bytes are a node or a WireError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      try {
        nodeToProxy(decodeNode(bytes));
      } catch (problem) {
        assert.ok(problem instanceof WireError);
      }
    }),
    { numRuns: 2_000 },
  );
});

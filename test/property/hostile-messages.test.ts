/** Readers of messages from the network: xDS and its nodes, gRPC frames, the agent's sockets and streams, DNS, Wasm archives; and YAML. */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import * as dnsPacket from 'dns-packet';
import { create, type JsonObject, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { decodeDeltaRequest, decodeSotwRequest } from '#ads/messages.ts';
import { decodeNode } from '#ads/node-decoder.ts';
import { nodeToProxy } from '#ads/node-to-proxy.ts';
import {
  decodeDeltaRequest as decodeDeltaSecretRequest,
  decodeSotwRequest as decodeSotwSecretRequest,
} from '#agent/discovery-message.ts';
import { credentialFor } from '#agent/docker-config.ts';
import { decodeNameTable } from '#agent/dns-name-table.ts';
import { encodeAnswer, isAnswerTo, isTruncated, readQuery, relayedAnswer } from '#agent/dns-message.ts';
import { DnsStreamReader, streamFrame } from '#agent/dns-stream.ts';
import { parseImageReference } from '#agent/image-reference.ts';
import { MetricRenamer } from '#agent/metric-renaming.ts';
import { peekTypeUrl } from '#agent/peek-type.ts';
import { decodeTrustBundle } from '#agent/trust-bundle-message.ts';
import { isModule, moduleOfLayer, unwrapModule } from '#agent/wasm-archive.ts';
import { readRemoteWasm, withLocalModule } from '#agent/wasm-config.ts';
import { WasmFetchError } from '#agent/wasm-error.ts';
import { decodeObjects } from '#api/decode-object.ts';
import { parseDocuments } from '#api/yaml-documents.ts';
import { GrpcFrameError, GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { Secret } from '#base/secret.ts';
import { WireError, WireWriter } from '#base/proto-wire.ts';
import { createIssuer } from '#identity/certificate-rig.ts';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { NodeSchema } from '#proto/envoy/config/core/v3/base_pb.ts';
import { WasmSchema } from '#proto/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts';
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { NameTableSchema } from '#proto/istio/networking/nds/v1/nds_pb.ts';
import { testHostileBytes } from './hostile-bytes.ts';

const text = (...texts: readonly string[]): Buffer[] => texts.map((one) => Buffer.from(one));
const TYPE_URL = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';

const METADATA: JsonObject = {
  NAME: 'reviews-1',
  NAMESPACE: 'default',
  LABELS: { app: 'reviews', version: 'v1' },
  INSTANCE_IPS: '10.0.0.1,fd00::1',
  CLUSTER_ID: 'Kubernetes',
  ISTIO_VERSION: '1.30.0',
  PROXY_CONFIG: { concurrency: 2, proxyMetadata: { A: 'b' } },
  DNS_CAPTURE: 'true',
  OWNER: 'kubernetes://apis/apps/v1/namespaces/default/deployments/reviews',
};
const node = create(NodeSchema, {
  id: 'sidecar~10.0.0.1~reviews-1.default~default.svc.cluster.local',
  cluster: 'reviews.default',
  metadata: METADATA,
  locality: { region: 'r', zone: 'z', subZone: 's' },
  userAgentName: 'envoy',
});
const deltaRequest = toBinary(
  DeltaDiscoveryRequestSchema,
  create(DeltaDiscoveryRequestSchema, {
    node,
    typeUrl: TYPE_URL,
    resourceNamesSubscribe: ['*', 'a'],
    resourceNamesUnsubscribe: ['b'],
    initialResourceVersions: { a: '1', b: '2' },
    responseNonce: 'n',
    errorDetail: { code: 3, message: 'no' },
  }),
);
const sotwRequest = toBinary(
  DiscoveryRequestSchema,
  create(DiscoveryRequestSchema, { node, typeUrl: TYPE_URL, resourceNames: ['a', 'b'], versionInfo: '1' }),
);

testHostileBytes({
  name: 'xDS requests',
  seeds: [deltaRequest, sotwRequest],
  refusals: [WireError],
  read: (bytes) => (bytes.length % 2 === 0 ? decodeDeltaRequest(bytes) : decodeSotwRequest(bytes)),
});

testHostileBytes({
  name: 'nodes and their metadata: who is taken has a name that is one',
  seeds: [toBinary(NodeSchema, node)],
  refusals: [WireError],
  read(bytes) {
    const found = nodeToProxy(decodeNode(bytes));
    if (found.ok) ok(/^[A-Za-z0-9_.-]{1,253}$/.test(found.value.proxy.namespace));
  },
});

testHostileBytes({
  name: 'gRPC frames, in pieces',
  seeds: [Buffer.concat([grpcFrame(deltaRequest), grpcFrame(sotwRequest)])],
  refusals: [GrpcFrameError],
  read(bytes) {
    const reader = new GrpcFrameReader(64 << 10);
    for (let at = 0; at < bytes.length; at += 1_000) {
      for (const message of reader.push(bytes.subarray(at, at + 1_000))) ok(message.length <= 64 << 10);
      ok(reader.pendingBytes <= (64 << 10) + 5);
    }
  },
});

testHostileBytes({
  name: "requests at the agent's sockets",
  seeds: [deltaRequest, sotwRequest],
  refusals: [WireError],
  read: (bytes) =>
    bytes.length % 2 === 0 ? decodeDeltaSecretRequest(bytes) : decodeSotwSecretRequest(bytes),
});

testHostileBytes({
  name: 'the type of a message that passes',
  seeds: [deltaRequest, sotwRequest],
  read: (bytes) => peekTypeUrl(bytes),
});

const query = (name: string, type: dnsPacket.RecordType): Buffer =>
  dnsPacket.encode({ type: 'query', id: 7, questions: [{ name, type }] });
const answer = dnsPacket.encode({
  type: 'response',
  id: 7,
  questions: [{ name: 'a.test', type: 'A' }],
  answers: [{ name: 'a.test', type: 'A', ttl: 30, data: '10.0.0.1' }],
});

testHostileBytes({
  name: 'DNS queries: what is taken can be answered within the size that was asked for',
  seeds: [query('a.test', 'A'), query('reviews.default.svc.cluster.local', 'AAAA')],
  read(bytes) {
    const read = readQuery(bytes);
    if (!('bytes' in read)) return;
    const parts = { rcode: 0, isAuthoritative: true, canonicalName: undefined, ttlSeconds: 30 };
    const addresses = [Uint8Array.of(10, 0, 0, 1)];
    const limit = Math.max(read.datagramBytes, read.questionEnd + 11);
    ok(encodeAnswer(read, { ...parts, addresses }, limit).length <= limit);
  },
});

testHostileBytes({
  name: "a resolver's answers",
  seeds: [answer],
  read(bytes) {
    const asked = readQuery(query('a.test', 'A'));
    if (!('bytes' in asked)) throw new Error('no query');
    isTruncated(bytes);
    if (isAnswerTo(bytes, asked, 7)) ok(relayedAnswer(bytes, asked, 512).length <= 512);
  },
});

testHostileBytes({
  name: 'DNS over TCP',
  seeds: [Buffer.concat([streamFrame(query('a.test', 'A')), streamFrame(answer)])],
  read: (bytes) => new DnsStreamReader().push(bytes),
});

const table = create(NameTableSchema, {
  table: {
    'a.default.svc.cluster.local': {
      ips: ['10.0.0.1'],
      registry: 'Kubernetes',
      shortname: 'a',
      namespace: 'default',
    },
    '*.b.test': { ips: ['10.0.0.2', 'fd00::2'] },
  },
});
testHostileBytes({
  name: 'name tables',
  seeds: [toBinary(NameTableSchema, table)],
  refusals: [WireError],
  read: (bytes) => {
    const scope = { namespace: 'default', domain: 'svc.cluster.local', searchDomain: 'x' };
    decodeNameTable(bytes, scope).find('a.b.test.');
  },
});

const bundle = new WireWriter()
  .string(34, (await createIssuer('bundle')).root)
  .string(15_034, await (await createIssuer('lists')).revoke([]))
  .finish();
testHostileBytes({
  name: 'a trust bundle: what is taken is never empty',
  seeds: [bundle],
  refusals: [WireError],
  read(bytes) {
    const read = decodeTrustBundle(bytes, undefined, Date.now());
    if (read.ok) ok(read.value.rootsPem.includes('-----BEGIN CERTIFICATE-----'));
  },
});

const wasm = toBinary(
  TypedExtensionConfigSchema,
  create(TypedExtensionConfigSchema, {
    name: 'default.plugin',
    typedConfig: anyPack(
      WasmSchema,
      create(WasmSchema, {
        config: {
          name: 'plugin',
          vm: {
            case: 'vmConfig',
            value: {
              runtime: 'envoy.wasm.runtime.v8',
              code: {
                specifier: {
                  case: 'remote',
                  value: {
                    httpUri: { uri: 'oci://registry.test/a:1', timeout: { seconds: 3n } },
                    sha256: 'ab',
                  },
                },
              },
            },
          },
        },
      }),
    ),
  }),
);
testHostileBytes({
  name: 'configurations of Wasm filters',
  seeds: [wasm],
  refusals: [WireError],
  read: (bytes) => [readRemoteWasm(bytes), withLocalModule(bytes, '/a')],
});

const MODULE = Buffer.from([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);

/** The start of a tar archive with one file. */
function tar(path: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(path, 0);
  header.write('0000644', 100);
  header.write(content.length.toString(8).padStart(11, '0'), 124);
  header.write('ustar\x0000', 257);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, content, Buffer.alloc(512 - (content.length % 512) + 1024)]);
}

const archive = tar('plugin.wasm', MODULE);
testHostileBytes({
  name: 'wrapped Wasm modules: what comes out is no larger than allowed',
  seeds: [MODULE, gzipSync(MODULE), archive, gzipSync(archive)],
  refusals: [WasmFetchError],
  async read(bytes) {
    const limit = 1 << 20;
    const module = await unwrapModule(bytes, limit);
    ok(module.length <= limit || module === bytes);
    isModule(module);
  },
});

testHostileBytes({
  name: 'layers of images',
  seeds: [gzipSync(archive)],
  refusals: [WasmFetchError],
  read: (bytes) => moduleOfLayer(bytes, 1 << 20),
});

const docker = { auths: { 'registry.test': { auth: Buffer.from('a:b').toString('base64') } } };
testHostileBytes({
  name: 'pull secrets and names of images',
  seeds: text(JSON.stringify(docker), 'registry.test:5000/a/b:1@sha256:ab'),
  read(bytes) {
    const found = credentialFor(new Secret(bytes.toString('utf8')), 'registry.test');
    if (!found.ok) ok(!found.error.includes('a:b'));
    parseImageReference(bytes.toString('utf8'));
  },
});

testHostileBytes({
  name: "an application's metrics",
  seeds: text('# TYPE a counter\na{b="c",d="\\"\\\\"} 1\nistio_requests_total{x="y"} 2 1700000000\n'),
  read(bytes) {
    const renamer = new MetricRenamer();
    return [renamer.push(bytes), renamer.finish()];
  },
});

const YAML = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, labels: {x: "y"}}
spec:
  hosts: [a.test]
  http:
  - match: [{uri: {regex: "a+"}, headers: {x: {exact: y}}}]
    timeout: 3s
    route: [{destination: {host: b, port: {number: 80}}, weight: 10}]
---
apiVersion: v1
kind: Secret
metadata: {name: s}
data: &d {a: Yg==}
`;
testHostileBytes({
  name: 'YAML and the objects in it',
  seeds: text(YAML),
  read(bytes) {
    for (const { value } of parseDocuments(bytes.toString('utf8'), 'f')) {
      for (const { object, diagnostics } of decodeObjects(value, { defaultNamespace: 'default' }))
        ok(object !== undefined || diagnostics.length > 0);
    }
    deepStrictEqual(({} as Record<string, unknown>)['polluted'], undefined);
  },
});

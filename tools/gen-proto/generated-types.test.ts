// Tests the generated types as their users meet them: under Node's own type stripping, through both registries.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { create, type DescFile, fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { TcpProxySchema } from '#proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import { ClientConfigSchema } from '#proto/envoy/service/status/v3/csds_pb.ts';
import { NameTableSchema } from '#proto/istio/networking/nds/v1/nds_pb.ts';
import {
  HTTPRedirect_RedirectPortSelection,
  type VirtualServiceJson,
  VirtualServiceSchema,
} from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import { istioRegistry } from '#proto/istio-registry.gen.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';

it('carries an Any through JSON and bytes with the registry', () => {
  const registry = envoyRegistry();
  const tcpProxy = create(TcpProxySchema, {
    statPrefix: 'stat',
    clusterSpecifier: { case: 'cluster', value: 'outbound' },
  });
  const listener = create(ListenerSchema, {
    name: 'l',
    perConnectionBufferLimitBytes: 7,
    filterChains: [
      {
        filters: [
          { name: 'f', configType: { case: 'typedConfig', value: anyPack(TcpProxySchema, tcpProxy) } },
        ],
      },
    ],
  });
  const json = toJson(ListenerSchema, listener, { registry });
  assert.deepStrictEqual(json, {
    name: 'l',
    perConnectionBufferLimitBytes: 7,
    filterChains: [
      {
        filters: [
          {
            name: 'f',
            typedConfig: {
              '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
              statPrefix: 'stat',
              cluster: 'outbound',
            },
          },
        ],
      },
    ],
  });
  const bytes = toBinary(ListenerSchema, fromJson(ListenerSchema, json, { registry }));
  assert.deepStrictEqual(toJson(ListenerSchema, fromBinary(ListenerSchema, bytes), { registry }), json);
});

it("reads Istio's JSON, with its field names and its original ones", () => {
  const json: VirtualServiceJson = {
    hosts: ['reviews'],
    http: [
      { route: [{ destination: { host: 'v2', port: { number: 80 } }, weight: 3 }], timeout: '3s' },
      { redirect: { derivePort: 'FROM_REQUEST_PORT' } },
    ],
  };
  const parsed = fromJson(VirtualServiceSchema, json);
  const redirectPort = parsed.http[1]?.redirect?.redirectPort;
  assert.deepStrictEqual(redirectPort, {
    case: 'derivePort',
    value: HTTPRedirect_RedirectPortSelection.FROM_REQUEST_PORT,
  });
  assert.deepStrictEqual(toJson(VirtualServiceSchema, parsed), json);
  const original = fromJson(VirtualServiceSchema, { http: [{ cors_policy: { allow_headers: ['a'] } }] });
  assert.deepStrictEqual(original.http[0]?.corsPolicy?.allowHeaders, ['a']);
});

it('writes the name table with the numbers that agents read', () => {
  const table = create(NameTableSchema, {
    table: { a: { ips: ['1.2.3.4'], registry: 'R', shortname: 's', namespace: 'n' } },
  });
  const entry = '0a17' + '0a0161' + '1212' + '0a07312e322e332e34' + '120152' + '1a0173' + '22016e';
  assert.equal(Buffer.from(toBinary(NameTableSchema, table)).toString('hex'), entry);
});

it('numbers the client status fields as Envoy does', () => {
  const fields = ClientConfigSchema.fields.map(({ jsonName, number }) => `${jsonName}=${number}`);
  assert.deepStrictEqual(fields, ['node=1', 'xdsConfig=2', 'genericXdsConfigs=3', 'clientScope=4']);
});

it('keeps the validation rules, and gives each registry its own messages', () => {
  const names = (registry: Iterable<{ readonly typeName: string }>) =>
    new Set([...registry].map((type) => type.typeName));
  const [envoy, istio] = [names(envoyRegistry()), names(istioRegistry())];
  const shared = [...envoy].filter((name) => istio.has(name) && !name.startsWith('google.protobuf.'));
  assert.deepStrictEqual(shared, []);
  assert.ok(
    envoy.has('envoy.config.route.v3.RouteConfiguration') && istio.has('istio.mesh.v1alpha1.MeshConfig'),
  );
  const file: DescFile = ListenerSchema.file;
  assert.ok(file.dependencies.some((dependency) => dependency.name === 'validate/validate'));
});

import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { ClientTlsSettings } from '#api/destination-rule.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { object, proxy, serviceEntry } from '#model/service-model-rig.ts';
import { at, type Json, outboundRig } from '#xds/outbound-rig.ts';

const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const WILDCARD = 'outbound|80||*.x.com';

function wildcardCluster(tls?: ClientTlsSettings, client = proxy('client')): Json {
  const rig = outboundRig();
  rig.apply(serviceEntry('e', { hosts: ['*.x.com'], resolution: 'DYNAMIC_DNS' }));
  if (tls !== undefined)
    rig.apply(object('DestinationRule', 'r', { host: '*.x.com', trafficPolicy: { tls } }));
  rig.connect(client);
  return rig.cluster(client, WILDCARD) ?? {};
}

function shape(cluster: Json): unknown {
  const config = at(cluster, 'clusterType', 'typedConfig') as Json;
  const names = at(cluster, 'typedExtensionProtocolOptions', OPTIONS, 'upstreamHttpProtocolOptions');
  return {
    cache: at(config, 'dnsCacheConfig', 'name'),
    insecure: config['allowInsecureClusterOptions'] ?? false,
    names: names ?? {},
    socket: at(cluster, 'transportSocket', 'name') ?? '',
  };
}

const TLS = 'envoy.transport_sockets.tls';
const SHAPES: readonly (readonly [string, ClientTlsSettings | undefined, unknown])[] = [
  ['plain text needs no names', undefined, { insecure: false, names: {}, socket: '' }],
  [
    'TLS takes both names from the request',
    { mode: 'SIMPLE' },
    { insecure: false, names: { autoSni: true, autoSanValidation: true }, socket: TLS },
  ],
  [
    'a fixed server name must be allowed',
    { mode: 'SIMPLE', sni: 'x.com' },
    { insecure: true, names: { autoSanValidation: true }, socket: TLS },
  ],
  [
    'so must be skipped verification',
    { mode: 'SIMPLE', insecureSkipVerify: true },
    { insecure: true, names: { autoSni: true }, socket: TLS },
  ],
  [
    'mesh mTLS to a host that only the request knows takes the names from there too',
    { mode: 'ISTIO_MUTUAL' },
    { insecure: false, names: { autoSni: true, autoSanValidation: true }, socket: TLS },
  ],
];

for (const [sentence, tls, expected] of SHAPES) {
  test(`a wildcard host looked up by name: ${sentence}`, () => {
    deepStrictEqual(shape(wildcardCluster(tls)), {
      cache: '*.x.com_dfp_dns_cache',
      ...(expected as object),
    });
  });
}

test('a proxy with IPv6 addresses alone looks for such', () => {
  const client = proxy('client', { addresses: ['fd00::9'] });
  const config = at(wildcardCluster(undefined, client), 'clusterType', 'typedConfig');
  deepStrictEqual(at(config, 'dnsCacheConfig', 'dnsLookupFamily'), 'V6_ONLY');
});

test('the names of clusters in statistics follow the pattern of the mesh', () => {
  const rig = outboundRig();
  const client = proxy('client');
  rig.meshConfig.set(MESH_KEY, {
    outboundClusterStatName: '%SERVICE%_%SERVICE_FQDN%_%SERVICE_PORT%_%SERVICE_PORT_NAME%_%SUBSET_NAME%',
  });
  rig.apply(
    serviceEntry('e', { hosts: ['x.com'], resolution: 'STATIC' }),
    object('DestinationRule', 'r', { host: 'x.com', subsets: [{ name: 'v1' }] }),
  );
  rig.connect(client);
  deepStrictEqual(
    ['outbound|80||x.com', 'outbound|80|v1|x.com'].map((name) => rig.cluster(client, name)?.['altStatName']),
    ['x.com_x.com_80_http_;', 'x.com_x.com_80_http_v1;'],
  );
});

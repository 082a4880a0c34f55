/** With metadataExchangeHeaders IN_MESH, real Envoy tells who calls to services of the mesh, and to nobody else. */
import { deepStrictEqual } from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { type Cluster, ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { VirtualHostSchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { meshListenerFacts } from '#scope/listener-facts.ts';
import { socketAddress } from '#xds/address.ts';
import { outboundManagerFilters } from '#xds/filters/outbound-filters.ts';
import { freePort, ownAddress, type StaticEnvoy, startStaticEnvoy } from './static-envoy.ts';
import { callHttp, startHttpApp, type TestApp } from './test-apps.ts';

const address = ownAddress();
let app: TestApp;
let envoy: StaticEnvoy;
let port = 0;

/** Clusters of one application by what their metadata says of them. */
const METADATA = {
  mesh: { istio: { services: [] } },
  external: { istio: { services: [], external: true } },
  unknown: {},
} as const;

function cluster(name: keyof typeof METADATA): Cluster {
  const endpoint = {
    hostIdentifier: { case: 'endpoint' as const, value: { address: socketAddress(address, app.port) } },
  };
  return create(ClusterSchema, {
    name,
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [endpoint] }] },
    metadata: { filterMetadata: METADATA[name] as never },
  });
}

before(async () => {
  app = await startHttpApp(address);
  port = await freePort(address);
  const names = Object.keys(METADATA) as (keyof typeof METADATA)[];
  const config = create(RouteConfigurationSchema, {
    virtualHosts: names.map((name) =>
      create(VirtualHostSchema, {
        name,
        domains: [name],
        routes: [
          {
            match: { pathSpecifier: { case: 'prefix', value: '/' } },
            action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: name } } },
          },
        ],
      }),
    ),
  });
  const defaultConfig = { proxyHeaders: { metadataExchangeHeaders: { mode: 'IN_MESH' } } } as const;
  const filters = outboundManagerFilters(meshListenerFacts({ defaultConfig }, DEFAULT_MESH_FLAGS), {
    statPrefix: 'outbound',
    routes: { kind: 'inline', config },
    port: {},
    dynamicHost: '',
    extensions: { http: [], network: [] },
  });
  envoy = await startStaticEnvoy({
    address,
    environment: { LATEEN_WORKLOAD: 'sleep-v1', LATEEN_APP: 'sleep' },
    listeners: [
      create(ListenerSchema, {
        name: 'outbound',
        address: socketAddress(address, port),
        filterChains: [{ filters }],
      }),
    ],
    clusters: names.map(cluster),
  });
});

after(async () => {
  await envoy?.stop();
  await app?.close();
});

async function told(host: string): Promise<string | undefined> {
  const { body } = await callHttp({ address, port, headers: { host } });
  return (JSON.parse(body) as { headers: Record<string, string> }).headers['x-lateen-peer-workload'];
}

it('services of the mesh are told who calls, others are not', async () => {
  deepStrictEqual(
    [await told('mesh'), await told('external'), await told('unknown')],
    ['sleep-v1', undefined, undefined],
  );
});

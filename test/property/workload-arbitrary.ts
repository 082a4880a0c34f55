/** Random services and what runs behind them: Services, ServiceEntries, workloads, slices, nodes, namespaces, replicas. */
import fc from 'fast-check';
import type { LocalReplica } from '#model/endpoint.ts';
import {
  ADDRESSES,
  address,
  all,
  entryHost,
  exportTo,
  few,
  istioManifests,
  labels,
  type Manifest,
  manifests,
  name,
  namespace,
  PORTS,
  selector,
  some,
} from './mesh-names.ts';

const metadataWithLabels = labels.map((value) => ({ labels: value }));
const locality = fc.constantFrom('r1/z1/s1', 'r1/z2', 'r2/z1/s1');

/** Labels that make a service sticky, or a gateway into a network. */
const serviceLabels = fc.constantFrom(
  { 'istio.io/persistent-session': 'sid' },
  { 'istio.io/persistent-session-header': 'x-sid' },
  { 'topology.istio.io/network': 'n1', 'networking.istio.io/gatewayPort': '443' },
);

const serviceMetadata = fc.oneof(
  serviceLabels.map((value) => ({ labels: value })),
  fc.constant({}),
  fc
    .oneof(exportTo, fc.constant(['~']))
    .map((names) => ({ annotations: { 'networking.istio.io/exportTo': names.join(',') } })),
  metadataWithLabels,
);

const servicePorts = fc
  .uniqueArray(fc.constantFrom(...PORTS), { minLength: 1, maxLength: 3, selector: ([number]) => number })
  .map((ports) =>
    ports.map(([port, portName], i) => ({ name: portName, port, ...(i === 1 ? { targetPort: 8080 } : {}) })),
  );

const clusterIp = fc.constantFrom(
  {},
  { clusterIP: 'None' },
  { clusterIP: '10.1.0.1' },
  { clusterIP: '10.1.0.2' },
  { clusterIP: '10.1.0.1', type: 'LoadBalancer', externalIPs: ['192.0.2.9'] },
);

const serviceSpec = fc
  .tuple(
    servicePorts,
    clusterIp,
    some({
      selector,
      publishNotReadyAddresses: fc.boolean(),
      trafficDistribution: fc.constant('PreferClose'),
      sessionAffinity: fc.constantFrom('None', 'ClientIP'),
    }),
  )
  .map(([ports, ip, rest]) => ({ ports, ...ip, ...rest }));

const externalName = servicePorts.map((ports) => ({
  type: 'ExternalName',
  externalName: 'y.example.com',
  ports,
}));

/** The gateway of a network on the nodes that an annotation selects. */
const networkDoor = manifests(
  'v1',
  'Service',
  fc.constantFrom(31443, 31444).map((nodePort) => ({
    spec: { type: 'NodePort', ports: [{ name: 'tls', port: 15443, nodePort }] },
  })),
  fc.constantFrom('z1', 'z2').map((zone) => ({
    labels: { 'topology.istio.io/network': 'n1' },
    annotations: { 'traffic.istio.io/nodeSelector': `{"topology.kubernetes.io/zone":"${zone}"}` },
  })),
);

const service = manifests(
  'v1',
  'Service',
  fc
    .oneof({ weight: 8, arbitrary: serviceSpec }, { weight: 1, arbitrary: externalName })
    .map((spec) => ({ spec })),
  serviceMetadata,
);

const entryPorts = fc
  .uniqueArray(fc.constantFrom(...PORTS), { minLength: 1, maxLength: 2, selector: ([number]) => number })
  .map((ports) =>
    ports.map(([number, portName]) => ({ number, name: portName, protocol: protocolOf(portName) })),
  );

function protocolOf(portName: string): string {
  const [word = ''] = portName.split('-');
  return word === 'plain' ? 'TCP' : word.toUpperCase();
}

const entryAddress = fc.record(
  { address: fc.constantFrom(...ADDRESSES.slice(0, 4)) },
  { noNullPrototype: true },
);
const workloadEntrySpec = fc
  .tuple(
    entryAddress,
    some({
      labels,
      locality,
      weight: fc.constantFrom(1, 5),
      serviceAccount: fc.constantFrom('sa-a', 'sa-b'),
      network: fc.constant('n1'),
    }),
  )
  .map(([at, rest]) => ({ ...at, ...rest }));

const resolution = fc.oneof(
  fc.constant({ resolution: 'NONE' }),
  few(workloadEntrySpec).map((endpoints) => ({ resolution: 'STATIC', endpoints })),
  all({ workloadSelector: selector.map((chosen) => ({ labels: chosen })) }).map((by) => ({
    resolution: 'STATIC',
    ...by,
  })),
  fc.constant({ resolution: 'DNS' }),
  fc.constant({ resolution: 'DYNAMIC_DNS' }),
);

/** Whether hosts are given addresses, with those that they had before; and how Envoy connects. */
const entryMetadata = fc.constantFrom(
  {},
  { labels: { 'networking.istio.io/enable-autoallocate-ip': 'false' } },
  { annotations: { 'istio.io/connect-strategy': 'RACE_FIRST_TCP_CONNECT' } },
);
const entryStatus = fc.constantFrom(
  {},
  { status: { addresses: [{ host: 'x.example.com', value: '240.240.0.1' }] } },
  { status: { addresses: [{ host: 'x.example.com', value: '240.0.0.9' }] } },
);
const health = fc.constantFrom(
  {},
  { annotations: { 'proxy.istio.io/health-checks-enabled': 'true' } },
  // As a control plane registers it.
  {
    annotations: {
      'proxy.istio.io/health-checks-enabled': 'true',
      'istio.io/autoRegistrationGroup': 'group',
      'istio.io/connectedAt': '2026-01-01T00:00:00.000Z',
    },
  },
);
const healthStatus = fc.constantFrom(
  {},
  { status: { conditions: [{ type: 'Healthy', status: 'True' }] } },
  { status: { conditions: [{ type: 'Healthy', status: 'False' }] } },
);

/** Objects with what a controller wrote into their status. */
function withStatus(of: fc.Arbitrary<Manifest>, status: fc.Arbitrary<object>): fc.Arbitrary<Manifest> {
  return fc.tuple(of, status).map(([manifest, written]) => ({ ...manifest, ...written }));
}

const serviceEntrySpec = fc
  .tuple(
    fc.oneof({ weight: 3, arbitrary: few(entryHost, 1) }, { weight: 1, arbitrary: few(entryHost) }),
    entryPorts,
    resolution,
    some({
      location: fc.constantFrom('MESH_EXTERNAL', 'MESH_INTERNAL'),
      exportTo,
      addresses: fc.constantFrom(['240.0.0.9'], ['240.0.0.9', '240.0.0.10']),
      subjectAltNames: fc.constant(['spiffe://cluster.local/ns/default/sa/sa-a']),
    }),
  )
  .map(([hosts, ports, how, rest]) => ({
    // A wildcard has no address to look up.
    hosts: how.resolution === 'DNS' ? hosts.map((host) => host.replace('*', 'z')) : hosts,
    ports,
    ...how,
    ...rest,
  }));

const pod = manifests(
  'v1',
  'Pod',
  fc
    .record({
      podIP: address,
      serviceAccountName: fc.constantFrom('sa-a', 'sa-b'),
      ready: fc.boolean(),
      nodeName: name,
    })
    .map(({ podIP, serviceAccountName, ready, nodeName }) => ({
      spec: {
        serviceAccountName,
        nodeName,
        containers: [{ name: 'app', ports: [{ name: 'http', containerPort: 8080 }] }],
      },
      status: { podIP, phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
    })),
  metadataWithLabels,
);

const sliceEndpoint = fc
  .record({
    at: fc.constantFrom(...ADDRESSES.slice(0, 3)),
    ready: fc.boolean(),
    pod: fc.option(name),
    nodeName: name,
  })
  .map(({ at, ready, pod, nodeName }) => ({
    addresses: [at],
    conditions: { ready },
    nodeName,
    ...(pod === null ? {} : { targetRef: { kind: 'Pod', namespace: 'default', name: pod } }),
  }));

const slice = fc.tuple(name, servicePorts, few(sliceEndpoint)).chain(([of, ports, endpoints]) =>
  manifests(
    'discovery.k8s.io/v1',
    'EndpointSlice',
    fc.constant({
      addressType: 'IPv4',
      endpoints,
      ports: ports.map(({ name: n, port }) => ({ name: n, port })),
    }),
    fc.constant({ labels: { 'kubernetes.io/service-name': of } }),
  ),
);

const node = manifests(
  'v1',
  'Node',
  fc
    .constantFrom('InternalIP', 'ExternalIP')
    .map((type) => ({ status: { addresses: [{ type, address: '10.3.0.1' }] } })),
  fc.constantFrom({ region: 'r1', zone: 'z1' }, { region: 'r1', zone: 'z2' }).map(({ region, zone }) => ({
    labels: { 'topology.kubernetes.io/region': region, 'topology.kubernetes.io/zone': zone },
  })),
).map(withoutNamespace);

const namespaceObject = namespace
  .chain((own) =>
    manifests(
      'v1',
      'Namespace',
      fc.constant({}),
      fc.constantFrom('PreferClose', 'PreferSameNode', '').map((distribution) => ({
        name: own,
        annotations: { 'networking.istio.io/traffic-distribution': distribution },
      })),
    ),
  )
  .map(withoutNamespace);

function withoutNamespace(manifest: Manifest): Manifest {
  const { namespace: _gone, ...metadata } = manifest.metadata;
  return { ...manifest, metadata };
}

const localWorkload = manifests(
  'lateen.dev/v1alpha1',
  'LocalWorkload',
  fc
    .record({ labels, serviceAccount: fc.constantFrom('sa-a', 'sa-b'), appPort: fc.constantFrom(80, 18080) })
    .map(({ appPort, ...spec }) => ({
      spec: {
        ...spec,
        command: ['app'],
        ports: [
          { name: 'http', port: 80, appPort },
          { name: 'tcp-db', port: 3306 },
        ],
      },
    })),
);

/** Objects of one kind each, with how often they are drawn. */
export const WORKLOAD_KINDS: readonly (readonly [number, fc.Arbitrary<Manifest>])[] = [
  [6, service],
  [1, networkDoor],
  [5, withStatus(istioManifests('networking', 'ServiceEntry', serviceEntrySpec, entryMetadata), entryStatus)],
  [
    3,
    withStatus(
      istioManifests('networking', 'WorkloadEntry', workloadEntrySpec, fc.oneof(health, metadataWithLabels)),
      healthStatus,
    ),
  ],
  [3, localWorkload],
  [3, pod],
  [4, slice],
  [2, node],
  [2, namespaceObject],
];

/** A replica as the standalone runner reports it. */
export const localReplica: fc.Arbitrary<LocalReplica> = fc.record(
  {
    namespace,
    workload: name,
    replica: fc.constantFrom(0, 1),
    address: fc.constantFrom('127.4.0.2', '127.4.0.6', '10.9.0.1'),
    appAddress: fc.constantFrom('127.4.0.3', '127.4.0.7'),
    ready: fc.boolean(),
  },
  { noNullPrototype: true },
);

import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { DEFAULT_MESH_FLAGS } from './mesh-flags.ts';
import { serviceFromKubernetes } from './service-kubernetes.ts';
import { kubernetesService, port } from './service-model-rig.ts';
import type { Service } from './service.ts';
import { trafficDistributionOf } from './service-traffic-distribution.ts';
import { isVisibleTo, visibilityOf } from './service-visibility.ts';

const CONTEXT = {
  clusterDomain: 'cluster.local',
  trustDomain: 'td',
  defaultExportTo: ['*'],
  namespaceAnnotations: {},
  namespaceLabels: {},
  entryVisibility: undefined,
  flags: DEFAULT_MESH_FLAGS,
};

function service(...args: Parameters<typeof kubernetesService>): Service {
  return serviceFromKubernetes(kubernetesService(...args), CONTEXT);
}

test('a ClusterIP service balances over endpoints behind its address', () => {
  const { hostname, addresses, resolution, headless, meshExternal, visibility } = service('reviews');
  deepStrictEqual(
    { hostname, addresses, resolution, headless, meshExternal, visibility },
    {
      hostname: 'reviews.default.svc.cluster.local',
      addresses: ['10.0.0.1'],
      resolution: 'STATIC',
      headless: false,
      meshExternal: false,
      visibility: { public: true, namespaces: [] },
    },
  );
});

test('a headless service has no address and goes to the one asked for', () => {
  const { addresses, resolution, headless } = service('db', { clusterIP: 'None', clusterIPs: ['None'] });
  deepStrictEqual({ addresses, resolution, headless }, { addresses: [], resolution: 'NONE', headless: true });
});

test('a service whose address nobody has allocated has none', () => {
  deepStrictEqual(service('local', { clusterIP: '', clusterIPs: [] }).addresses, []);
});

test('both addresses of a dual-stack service count', () => {
  deepStrictEqual(service('dual', { clusterIPs: ['10.0.0.1', 'fd00::1'] }).addresses, [
    '10.0.0.1',
    'fd00::1',
  ]);
});

test('an ExternalName service is an alias outside of the mesh', () => {
  const made = service('ext', {
    type: 'ExternalName',
    externalName: 'www.example.com',
    clusterIP: '',
    clusterIPs: [],
  });
  const { resolution, externalName, meshExternal } = made;
  deepStrictEqual(
    { resolution, externalName, meshExternal },
    { resolution: 'ALIAS', externalName: 'www.example.com', meshExternal: true },
  );
});

test('target ports are numbers or names', () => {
  const ports = [port('http', { targetPort: 8080 }), port('tcp', { port: 81, targetPort: 'main' })];
  deepStrictEqual(service('a', { ports }).ports, [
    { name: 'http', number: 80, protocol: 'HTTP', targetPort: 8080, targetPortName: '' },
    { name: 'tcp', number: 81, protocol: 'TCP', targetPort: 0, targetPortName: 'main' },
  ]);
});

test('the annotation decides who may see the service', () => {
  const made = service('a', {}, { annotations: { 'networking.istio.io/exportTo': '., other' } });
  deepStrictEqual(made.visibility, { public: false, namespaces: ['default', 'other'] });
});

test('annotations add ids that the service may have', () => {
  const annotations = {
    'alpha.istio.io/kubernetes-serviceaccounts': 'a,b',
    'alpha.istio.io/canonical-serviceaccounts': 'me@example.com',
  };
  deepStrictEqual(service('a', {}, { annotations }).serviceAccounts, [
    'me@example.com',
    'spiffe://td/ns/default/sa/a',
    'spiffe://td/ns/default/sa/b',
  ]);
});

const EXPORTS = [
  { exportTo: ['*', '~'], own: true, other: true },
  { exportTo: ['.'], own: true, other: false },
  { exportTo: ['other'], own: false, other: true },
  { exportTo: ['~'], own: false, other: false },
  { exportTo: ['.', 'other'], own: true, other: true },
];

for (const { exportTo, own, other } of EXPORTS) {
  test(`exportTo ${exportTo.join()} shows it at home: ${own}, elsewhere: ${other}`, () => {
    const visibility = visibilityOf(exportTo, 'mine');
    deepStrictEqual([isVisibleTo(visibility, 'mine'), isVisibleTo(visibility, 'other')], [own, other]);
  });
}

test('trafficDistribution is taken from the field, else the service, else the namespace', () => {
  const key = 'networking.istio.io/traffic-distribution';
  strictEqual(trafficDistributionOf('PreferClose', { [key]: 'PreferSameNode' }, {}), 'PreferSameZone');
  strictEqual(
    trafficDistributionOf('', { [key]: 'prefersamenode' }, { [key]: 'PreferClose' }),
    'PreferSameNode',
  );
  strictEqual(trafficDistributionOf('', {}, { [key]: 'PreferClose' }), 'PreferSameZone');
  strictEqual(trafficDistributionOf('', { [key]: 'nonsense' }, { [key]: 'PreferClose' }), '');
});

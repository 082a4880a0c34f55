import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { kubernetesService } from '#model/service-model-rig.ts';
import type { Service } from '#model/service.ts';
import { serviceFromKubernetes } from '#model/service-kubernetes.ts';
import { serviceDomains, virtualHostName } from './route-domains.ts';

function service(overrides: Partial<Service>): Service {
  const context = {
    clusterDomain: 'cluster.local',
    trustDomain: 'cluster.local',
    defaultExportTo: ['*'],
    namespaceAnnotations: {},
    namespaceLabels: {},
    entryVisibility: undefined,
    flags: DEFAULT_MESH_FLAGS,
  };
  return {
    ...(serviceFromKubernetes(kubernetesService('a', {}, { namespace: 'shop' }), context) as Service),
    ...overrides,
  };
}

interface DomainCase {
  readonly title: string;
  readonly service: Partial<Service>;
  readonly aliases?: readonly string[];
  readonly namespace: string;
  readonly ipFamilies?: 'v4' | 'v6' | 'dual';
  readonly domains: readonly string[];
}
const FULL = 'a.shop.svc.cluster.local';
const CASES: readonly DomainCase[] = [
  {
    title: 'a client of the same namespace may use the bare name',
    service: {},
    namespace: 'shop',
    domains: [FULL, `${FULL}.`, 'a', 'a.shop.svc', 'a.shop', '10.0.0.1'],
  },
  {
    title: 'a client of another namespace must name the namespace',
    service: {},
    namespace: 'other',
    domains: [FULL, `${FULL}.`, 'a.shop', 'a.shop.svc', '10.0.0.1'],
  },
  {
    title: 'of a Service with addresses of both families a client has those of its own',
    service: { addresses: ['10.0.0.1', 'fd00::1'] },
    namespace: 'other',
    domains: [FULL, `${FULL}.`, 'a.shop', 'a.shop.svc', '10.0.0.1'],
  },
  {
    title: 'with IPv6 alone that address alone',
    service: { addresses: ['10.0.0.1', 'fd00::1'] },
    namespace: 'other',
    ipFamilies: 'v6',
    domains: [FULL, `${FULL}.`, 'a.shop', 'a.shop.svc', '[fd00::1]'],
  },
  {
    title: 'with both families both, where both are to be used',
    service: { addresses: ['fd00::1', '10.0.0.1'] },
    namespace: 'other',
    ipFamilies: 'dual',
    domains: [FULL, `${FULL}.`, 'a.shop', 'a.shop.svc', '[fd00::1]', '10.0.0.1'],
  },
  {
    title: 'pods of a headless service are below its names',
    service: { resolution: 'NONE', addresses: [] },
    namespace: 'other',
    domains: [
      FULL,
      `${FULL}.`,
      'a.shop',
      'a.shop.svc',
      `*.${FULL}`,
      `*.${FULL}.`,
      '*.a.shop',
      '*.a.shop.svc',
    ],
  },
  {
    title: 'external hosts have no short names, and of several addresses the last',
    service: { hostname: 'api.example.com', registry: 'External', addresses: ['240.0.0.1', '2001:db8::1'] },
    namespace: 'shop',
    domains: ['api.example.com', 'api.example.com.', '[2001:db8::1]'],
  },
  {
    title: 'a host that is an address has no trailing dot, and 0.0.0.0 is no address',
    service: { hostname: '10.1.1.1', registry: 'External', addresses: ['0.0.0.0'] },
    namespace: 'shop',
    domains: ['10.1.1.1'],
  },
  {
    title: 'aliases bring their names',
    service: { addresses: [] },
    aliases: ['b.shop.svc.cluster.local'],
    namespace: 'other',
    domains: [
      FULL,
      `${FULL}.`,
      'a.shop',
      'a.shop.svc',
      'b.shop.svc.cluster.local',
      'b.shop.svc.cluster.local.',
      'b.shop',
      'b.shop.svc',
    ],
  },
];
for (const { title, service: overrides, aliases = [], namespace, ipFamilies = 'v4', domains } of CASES) {
  test(title, () => {
    const scope = { namespace, ipFamilies, clusterSuffix: '.svc.cluster.local', absoluteDomains: true };
    deepStrictEqual(serviceDomains(service(overrides), aliases, scope).domains, domains);
  });
}

test('without absolute names no name ends with a dot', () => {
  const scope = {
    namespace: 'shop',
    ipFamilies: 'v4',
    clusterSuffix: '.svc.cluster.local',
    absoluteDomains: false,
  } as const;
  deepStrictEqual(serviceDomains(service({ addresses: [] }), [], scope).domains, [
    FULL,
    'a',
    'a.shop.svc',
    'a.shop',
  ]);
});

test('a virtual host is named after host and port', () => {
  deepStrictEqual(
    [virtualHostName('a.b', 80), virtualHostName('2001:db8::1', 80)],
    ['a.b:80', '[2001:db8::1]:80'],
  );
});

import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { DEFAULT_MESH_FLAGS } from './mesh-flags.ts';
import { endpointsFromEntry, endpointsFromSelection } from './endpoint-entry.ts';
import { servicesFromEntry } from './service-entry.ts';
import { mergeServices } from './service-merge.ts';
import { serviceEntry } from './service-model-rig.ts';
import type { Service } from './service.ts';
import { workloadFromEntry } from './workload.ts';

const CONTEXT = {
  clusterDomain: 'cluster.local',
  trustDomain: 'td',
  defaultExportTo: ['*'],
  namespaceAnnotations: {},
  namespaceLabels: {},
  entryVisibility: undefined,
  flags: DEFAULT_MESH_FLAGS,
};
const WORKLOADS = { clusterId: 'c', trustDomain: 'td', heedsHealth: true, networkOf: () => '' };

type Entry = ReturnType<typeof serviceEntry>;

function firstService(entry: Entry): Service {
  const [service] = servicesFromEntry(entry, CONTEXT);
  if (service === undefined) throw new Error('the entry declares no service');
  return service;
}

function addresses(entry: Entry): readonly string[] {
  return endpointsFromEntry(firstService(entry), entry, WORKLOADS).map(
    ({ address, port }) => `${address}:${port}`,
  );
}

test('each host is a service of its own', () => {
  const entry = serviceEntry('e', { hosts: ['a.com', '*.b.com'], resolution: 'DNS' });
  deepStrictEqual(
    servicesFromEntry(entry, CONTEXT).map(({ hostname, resolution, meshExternal }) => ({
      hostname,
      resolution,
      meshExternal,
    })),
    [
      { hostname: 'a.com', resolution: 'DNS', meshExternal: true },
      { hostname: '*.b.com', resolution: 'DNS', meshExternal: true },
    ],
  );
});

test('a prefix that covers one address is that address', () => {
  const entry = serviceEntry('e', {
    hosts: ['a.com'],
    addresses: ['10.1.0.1/32', '10.2.0.0/16', 'fd00::1/128'],
  });
  deepStrictEqual(firstService(entry).addresses, ['10.1.0.1', '10.2.0.0/16', 'fd00::1']);
});

const DESTINATIONS: readonly (readonly [string, Entry, readonly string[]])[] = [
  [
    'DNS without endpoints resolves the host itself',
    serviceEntry('e', { hosts: ['a.com'], resolution: 'DNS' }),
    ['a.com:80'],
  ],
  [
    'a target port replaces the port',
    serviceEntry('e', {
      hosts: ['a.com'],
      resolution: 'DNS',
      ports: [{ number: 80, name: 'http', protocol: 'HTTP', targetPort: 443 }],
    }),
    ['a.com:443'],
  ],
  [
    "an endpoint's own port of that name wins",
    serviceEntry('e', {
      hosts: ['a.com'],
      resolution: 'STATIC',
      endpoints: [{ address: '1.1.1.1', ports: { http: 8080 } }, { address: '1.1.1.2' }],
    }),
    ['1.1.1.1:8080', '1.1.1.2:80'],
  ],
  [
    'a Unix socket has no port',
    serviceEntry('e', {
      hosts: ['a.com'],
      resolution: 'STATIC',
      endpoints: [{ address: 'unix:///var/run/a.sock' }],
    }),
    ['/var/run/a.sock:0'],
  ],
  ['without resolution there are no endpoints', serviceEntry('e', { hosts: ['a.com'] }), []],
];

for (const [sentence, entry, expected] of DESTINATIONS) {
  test(sentence, () => deepStrictEqual(addresses(entry), expected));
}

test('an endpoint with a service account is taken to have a sidecar, unless its label says otherwise', () => {
  const label = { 'security.istio.io/tlsMode': 'disabled' };
  const entry = serviceEntry('e', {
    hosts: ['a.com'],
    resolution: 'STATIC',
    endpoints: [
      { address: '1.1.1.1', serviceAccount: 'sa' },
      { address: '1.1.1.2', serviceAccount: 'sa', labels: label },
      { address: '1.1.1.3' },
    ],
  });
  deepStrictEqual(
    endpointsFromEntry(firstService(entry), entry, WORKLOADS).map(({ identity, tlsMode }) => [
      identity,
      tlsMode,
    ]),
    [
      ['spiffe://td/ns/default/sa/sa', 'istio'],
      ['spiffe://td/ns/default/sa/sa', 'disabled'],
      ['', 'disabled'],
    ],
  );
});

test('workloads with host names serve only services that Envoy resolves', () => {
  const owner = { name: 'w', namespace: 'default', labels: {} };
  const workload = workloadFromEntry({ address: 'vm.example.com', locality: 'r/z' }, owner, WORKLOADS);
  const byDns = firstService(serviceEntry('e', { hosts: ['a.com'], resolution: 'DNS' }));
  const fixed = firstService(serviceEntry('e', { hosts: ['a.com'], resolution: 'STATIC' }));
  deepStrictEqual(endpointsFromSelection(fixed, [workload]), []);
  deepStrictEqual(
    endpointsFromSelection(byDns, [workload]).map(({ address, locality }) => ({ address, locality })),
    [{ address: 'vm.example.com', locality: { region: 'r', zone: 'z', subzone: '' } }],
  );
});

function declared(name: string, createdAtMs: number, overrides: Partial<Service> = {}): Service {
  const entry = serviceEntry(name, { hosts: ['a.com'], resolution: 'STATIC' }, { createdAtMs });
  return { ...firstService(entry), ...overrides };
}

test('of several declarations the oldest stands, with the further ports of the others', () => {
  const port = { name: 'tcp', number: 81, protocol: 'TCP', targetPort: 0, targetPortName: '' } as const;
  const older = declared('b', 1);
  const merged = mergeServices([declared('a', 2, { ports: [port] }), older]);
  deepStrictEqual(merged?.ports, [...older.ports, port]);
  deepStrictEqual(
    merged?.mergedFrom.map(({ name }) => name),
    ['a'],
  );
});

test('declarations that differ in more than ports do not merge', () => {
  const merged = mergeServices([declared('a', 2, { resolution: 'DNS' }), declared('b', 1)]);
  deepStrictEqual([merged?.name, merged?.mergedFrom], ['b', []]);
});

test('a Kubernetes Service takes its name back from older ServiceEntries', () => {
  const merged = mergeServices([declared('old', 1), declared('svc', 5, { registry: 'Kubernetes' })]);
  strictEqual(merged?.name, 'svc');
});

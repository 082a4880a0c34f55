import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import type { Service } from '#model/service.ts';
import { serviceFromKubernetes } from '#model/service-kubernetes.ts';
import { kubernetesService } from '#model/service-model-rig.ts';
import { NameTableSchema } from '#proto/istio/networking/nds/v1/nds_pb.ts';
import type { HeadlessAddress } from './headless-addresses.ts';
import { buildNameRecords } from './name-records.ts';
import type { NamePlace } from './name-view.ts';

const PLACE: NamePlace = { ipv4: true, ipv6: false, autoAllocated: false, clusterId: 'c1', network: '' };
const OF_ENTRY = { registry: 'External', hostname: 'db.example.com', resolution: 'STATIC' } as const;
const HEADLESS = { addresses: [], headless: true, resolution: 'NONE' } as const;

interface Case {
  readonly name: string;
  readonly service?: Partial<Service>;
  readonly headless?: readonly Partial<HeadlessAddress>[];
  readonly place?: Partial<NamePlace>;
  /** Addresses by name. */
  readonly names: Readonly<Record<string, readonly string[]>>;
}

const NAME = 'a.default.svc.cluster.local';

const CASES: readonly Case[] = [
  { name: 'a cluster address', service: { addresses: ['10.0.0.1'] }, names: { [NAME]: ['10.0.0.1'] } },
  {
    name: 'a cluster address of a family that the client has not got',
    service: { addresses: ['10.0.0.1', 'fd00::1'] },
    place: { ipv4: false, ipv6: true },
    names: { [NAME]: ['fd00::1'] },
  },
  { name: 'no cluster address of its family', service: { addresses: ['fd00::1'] }, names: {} },
  {
    name: 'addresses of a ServiceEntry are told whatever their family; ranges are not addresses',
    service: { ...OF_ENTRY, addresses: ['fd00::1', '240.1.0.0/16'] },
    names: { 'db.example.com': ['fd00::1'] },
  },
  {
    name: 'an allocated address, for clients that capture DNS',
    service: { ...OF_ENTRY, addresses: [], autoAllocatedAddresses: ['240.240.0.1', '2001:2::1'] },
    place: { autoAllocated: true },
    names: { 'db.example.com': ['240.240.0.1'] },
  },
  {
    name: 'no allocated address for others',
    service: { ...OF_ENTRY, addresses: [], autoAllocatedAddresses: ['240.240.0.1'] },
    names: {},
  },
  {
    name: 'a ServiceEntry without resolution stands for its endpoints',
    service: { ...OF_ENTRY, ...HEADLESS },
    headless: [{ address: '10.2.0.1' }],
    names: { 'db.example.com': ['10.2.0.1'] },
  },
  {
    name: 'endpoints with names, those of other networks left out',
    service: HEADLESS,
    headless: [
      { address: '10.2.0.1', hostname: 'a-0.a' },
      { address: '10.2.0.2', network: 'far', hostname: 'a-1.a' },
      { address: '10.2.0.3' },
    ],
    place: { network: 'near' },
    names: { [NAME]: ['10.2.0.1', '10.2.0.3'], [`a-0.${NAME}`]: ['10.2.0.1'] },
  },
  {
    name: 'a named endpoint of the own cluster hides one of another cluster',
    service: HEADLESS,
    headless: [
      { address: '10.2.0.1', hostname: 'a-0.a', clusterId: 'c2' },
      { address: '10.2.0.2', hostname: 'a-0.a', clusterId: 'c1' },
      { address: '10.2.0.3', hostname: 'a-1.a', clusterId: 'c2' },
    ],
    names: {
      [NAME]: ['10.2.0.1', '10.2.0.2', '10.2.0.3'],
      [`a-0.${NAME}`]: ['10.2.0.2'],
      [`a-1.${NAME}`]: ['10.2.0.3'],
    },
  },
  { name: 'an ExternalName', service: { addresses: [], resolution: 'ALIAS' }, names: {} },
  { name: 'nobody behind a headless service', service: HEADLESS, names: {} },
];

const DEFAULTS = serviceFromKubernetes(kubernetesService('a'), {
  clusterDomain: 'cluster.local',
  trustDomain: 'cluster.local',
  defaultExportTo: ['*'],
  namespaceAnnotations: {},
  namespaceLabels: {},
  entryVisibility: undefined,
  flags: DEFAULT_MESH_FLAGS,
});

for (const { name, service = {}, headless = [], place = {}, names } of CASES) {
  test(`names of a service: ${name}`, () => {
    const addresses = headless.map((one) => ({
      address: '',
      hostname: '',
      clusterId: 'c1',
      network: '',
      ...one,
    }));
    const built = buildNameRecords({ ...DEFAULTS, ...service }, { addresses }, { ...PLACE, ...place });
    const { table } = fromBinary(NameTableSchema, built?.records ?? new Uint8Array());
    deepStrictEqual(
      Object.fromEntries(Object.entries(table).map(([host, { ips }]) => [host, ips])),
      Object.fromEntries(Object.entries(names)),
    );
  });
}

test('names of Kubernetes have short forms, but for those of several clusters', () => {
  const shortOf = (hostname: string): unknown => {
    const built = buildNameRecords({ ...DEFAULTS, hostname }, { addresses: [] }, PLACE);
    const info = fromBinary(NameTableSchema, built?.records ?? new Uint8Array()).table[hostname];
    return [info?.registry, info?.shortname, info?.namespace];
  };
  deepStrictEqual(shortOf(NAME), ['Kubernetes', 'a', 'default']);
  deepStrictEqual(shortOf('a.default.svc.clusterset.local'), ['Kubernetes', '', '']);
});

import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { ZoneAwareLoadBalancerSettingJson } from '#proto/istio/networking/v1alpha3/destination_rule_pb.ts';
import type { LocalityLoadBalancerSetting } from '#api/destination-rule.ts';
import { type Labels, parseLocality } from '#model/workload-labels.ts';
import { prioritize } from './locality-priority.ts';
import { failoverLabelKeys, localityLbOf } from './locality-settings.ts';
import type { LabelledGroup, LbEndpointInput } from './locality-group.ts';

const NOBODY = {
  workload: '',
  namespace: '',
  app: '',
  version: '',
  canonicalService: '',
  canonicalRevision: '',
  cluster: '',
  principal: '',
};

function endpoint(address: string): LbEndpointInput {
  return { address, port: 80, weight: 1, health: 'healthy', isMutualTls: false, workload: NOBODY };
}

/** One group per locality; an endpoint is its address and its labels. */
function group(locality: string, members: Readonly<Record<string, Labels>>): LabelledGroup {
  const endpoints = Object.keys(members).map(endpoint);
  return {
    places: [],
    locality: parseLocality(locality),
    priority: 0,
    weight: endpoints.length,
    endpoints,
    labels: Object.values(members),
  };
}

const PLACES = ['r1/z1/s1', 'r1/z1/s2', 'r1/z2/s1', 'r2/z1/s1', 'r3/z1/s1'];
const GROUPS = PLACES.map((place) => group(place, { [place]: {} }));
const CLIENT = { locality: parseLocality('r1/z1/s1'), labels: {} };

function shown(
  groups: readonly LabelledGroup[],
  setting: LocalityLoadBalancerSetting,
  client: { locality: ReturnType<typeof parseLocality>; labels: Labels } = CLIENT,
  detectsOutliers = true,
): readonly string[] {
  const result = prioritize(
    groups,
    { kind: 'locality', setting, alwaysFailsOver: false },
    client,
    detectsOutliers,
  );
  return result.map(
    ({ priority, weight, endpoints }) =>
      `${endpoints.map(({ address }) => address).join('+')} ${priority} ${weight}`,
  );
}

test('near endpoints come first: subzone, zone, region, the rest', () => {
  deepStrictEqual(shown(GROUPS, {}), [
    'r1/z1/s1 0 1',
    'r1/z1/s2 1 1',
    'r1/z2/s1 2 1',
    'r2/z1/s1 3 1',
    'r3/z1/s1 3 1',
  ]);
});

test('a region to fail over to comes before the other regions', () => {
  deepStrictEqual(shown(GROUPS, { failover: [{ from: 'r1', to: 'r3' }] }), [
    'r1/z1/s1 0 1',
    'r1/z1/s2 1 1',
    'r1/z2/s1 2 1',
    'r2/z1/s1 4 1',
    'r3/z1/s1 3 1',
  ]);
});

test('priorities have no gaps', () => {
  deepStrictEqual(shown([GROUPS[0], GROUPS[3]] as LabelledGroup[], {}), ['r1/z1/s1 0 1', 'r2/z1/s1 1 1']);
});

test('without outlier detection nothing fails over', () => {
  deepStrictEqual(shown(GROUPS.slice(2, 4), {}, CLIENT, false), ['r1/z2/s1 0 1', 'r2/z1/s1 0 1']);
});

test('distribution gives localities their share and the others nothing', () => {
  const distribute = [
    { from: 'r9/*', to: { 'r1/*': 100 } },
    { from: 'r1/z1/*', to: { 'r1/z1/*': 80, 'r2/*': 20 } },
  ];
  deepStrictEqual(shown(GROUPS, { distribute }), [
    'r1/z1/s1 0 40',
    'r1/z1/s2 0 40',
    ' 0 1',
    'r2/z1/s1 0 20',
    ' 0 1',
  ]);
});

test('a client for whom no rule is written sees everything', () => {
  deepStrictEqual(shown(GROUPS.slice(0, 1), { distribute: [{ from: 'r9', to: { r1: 100 } }] }), [
    'r1/z1/s1 0 1',
  ]);
});

const BY_LABELS = [
  group('r1', { same: { a: '1', b: '2' }, first: { a: '1', b: 'x' }, none: { a: 'x', b: '2' } }),
];

test('labels in common, in order, make the priority, and split a locality', () => {
  const client = { locality: parseLocality('r1'), labels: { a: '1', b: '2' } };
  deepStrictEqual(shown(BY_LABELS, { failoverPriority: ['a', 'b'] }, client), [
    'same 0 1',
    'first 1 1',
    'none 2 1',
  ]);
});

test('a label with a value is compared with that value, whatever the client has', () => {
  const client = { locality: parseLocality('r1'), labels: {} };
  deepStrictEqual(shown(BY_LABELS, { failoverPriority: ['a=x'] }, client), ['none 0 1', 'same+first 1 2']);
});

test('endpoints of another network keep their order among themselves, behind all others', () => {
  const key = 'topology.istio.io/network';
  const groups = [
    group('r1', {
      near: { [key]: 'n1', z: '1' },
      far: { [key]: 'n1', z: '2' },
      remoteNear: { [key]: 'n2', z: '1' },
      remoteFar: { [key]: 'n2', z: '2' },
    }),
  ];
  const client = { locality: parseLocality('r1'), labels: { [key]: 'n1', z: '1' } };
  deepStrictEqual(shown(groups, { failoverPriority: [key, 'z'] }, client), [
    'near 0 1',
    'far 1 1',
    'remoteNear 2 1',
    'remoteFar 3 1',
  ]);
});

test("a rule's setting wins over the service's wish, and that over the mesh", () => {
  const own = { failoverPriority: ['x'] };
  const mesh = { localityLb: { enabled: true }, zoneAwareLb: undefined };
  const ofRule = { kind: 'locality', setting: own, alwaysFailsOver: false };
  deepStrictEqual(localityLbOf({ localityLbSetting: own }, 'PreferSameZone', mesh), ofRule);
  deepStrictEqual(localityLbOf({ localityLbSetting: { enabled: false } }, 'PreferSameZone', mesh), undefined);
  const ofService = localityLbOf({}, 'PreferSameZone', mesh);
  deepStrictEqual(ofService?.kind === 'locality' && ofService.alwaysFailsOver, true);
  deepStrictEqual(localityLbOf(undefined, '', mesh)?.setting, { enabled: true });
  deepStrictEqual(localityLbOf(undefined, '', { ...mesh, localityLb: undefined }), undefined);
});

test('zone-aware balancing wins over the other kind of its level, also to be switched off', () => {
  const mesh = { localityLb: { enabled: true }, zoneAwareLb: { minClusterSize: 3 } };
  deepStrictEqual(localityLbOf(undefined, '', mesh), { kind: 'zoneAware', setting: mesh.zoneAwareLb });
  const both = { zoneAwareLbSetting: { enabled: false }, localityLbSetting: {} };
  deepStrictEqual(localityLbOf(both, 'PreferSameZone', mesh)?.setting, { enabled: false });
  deepStrictEqual(localityLbOf({ localityLbSetting: {} }, '', mesh)?.kind, 'locality');
});

test('zone-aware balancing puts regions apart and leaves zones to Envoy', () => {
  const priorities = (setting: ZoneAwareLoadBalancerSettingJson) =>
    prioritize(GROUPS, { kind: 'zoneAware', setting }, CLIENT, false).map(({ priority }) => priority);
  deepStrictEqual(priorities({}), [0, 0, 0, 1, 1]);
  deepStrictEqual(priorities({ failover: [{ from: 'r1', to: 'r3' }] }), [0, 0, 0, 2, 1]);
  deepStrictEqual(priorities({ enabled: false }), [0, 0, 0, 0, 0]);
});

test('the labels that settings compare are known by key', () => {
  deepStrictEqual(failoverLabelKeys({ failoverPriority: ['a=1', 'b'] }), ['a', 'b']);
});

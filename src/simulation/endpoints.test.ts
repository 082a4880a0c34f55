import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { emptyMap } from '#collections/persistent-map.ts';
import { Cluster_DiscoveryType, ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { HealthStatus } from '#proto/envoy/config/core/v3/health_check_pb.ts';
import type { LocalityLbEndpointsSchema } from '#proto/envoy/config/endpoint/v3/endpoint_components_pb.ts';
import { socketAddress } from '#xds/address.ts';
import { chooseEndpoints } from './endpoints.ts';
import { Evaluation } from './evaluation.ts';

type Locality = MessageInitShape<typeof LocalityLbEndpointsSchema>;

const NOTHING = emptyMap<never>();
const SNAPSHOT = {
  clusters: NOTHING,
  endpoints: NOTHING,
  listeners: NOTHING,
  routes: NOTHING,
  nameTable: NOTHING,
  trustBundle: NOTHING,
  secrets: NOTHING,
  extensions: NOTHING,
  secretsOwner: '',
};
const PROXY = { name: 'p', snapshot: SNAPSHOT, spiffeId: '', addresses: [] };
const CONNECTION = {
  sourceAddress: '10.1.0.1',
  sourcePort: 1,
  address: '10.9.9.9',
  port: 80,
  protocol: 'tcp',
  tls: undefined,
} as const;

/** `a`: healthy, `-a`: not; `a*3`: of weight 3. */
function locality(priority: number, endpoints: string, weight?: number): Locality {
  const lbEndpoints = endpoints.split(' ').map((text) => {
    const [, sick, name = '', own] = /^(-?)(\w+)(?:\*(\d+))?$/.exec(text) ?? [];
    return {
      hostIdentifier: {
        case: 'endpoint' as const,
        value: { address: socketAddress(`10.0.0.${name.charCodeAt(0)}`, 80) },
      },
      healthStatus: sick === '-' ? HealthStatus.UNHEALTHY : HealthStatus.HEALTHY,
      ...(own === undefined ? {} : { loadBalancingWeight: Number(own) }),
    };
  });
  return { priority, lbEndpoints, ...(weight === undefined ? {} : { loadBalancingWeight: weight }) };
}

const CASES: readonly (readonly [string, readonly Locality[], Readonly<Record<string, number>>, boolean?])[] =
  [
    ['equal shares', [locality(0, 'a b')], { a: 0.5, b: 0.5 }],
    ['own weights', [locality(0, 'a*3 b*1')], { a: 0.75, b: 0.25 }],
    ['the sick get nothing', [locality(0, 'a -b')], { a: 1 }],
    ['all sick, without panic', [locality(0, '-a')], {}],
    [
      'the first priority alone while it can',
      [locality(0, 'a b c -d'), locality(1, 'e')],
      { a: 0.3333, b: 0.3333, c: 0.3333 },
    ],
    [
      'what the first priority cannot take spills over',
      [locality(0, 'a -b'), locality(1, 'c')],
      { a: 0.7, c: 0.3 },
    ],
    ['a priority without endpoints', [locality(0, '-a'), locality(1, 'b')], { b: 1 }],
    [
      'weights of localities',
      [locality(0, 'a b', 1), locality(0, 'c', 3)],
      { a: 0.125, b: 0.125, c: 0.75 },
      true,
    ],
  ];

for (const [name, endpoints, expected, isWeighted] of CASES) {
  it(name, () => {
    const cluster = create(ClusterSchema, {
      name: 'c',
      clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
      commonLbConfig: {
        healthyPanicThreshold: { value: 0 },
        ...(isWeighted === true
          ? { localityConfigSpecifier: { case: 'localityWeightedLbConfig' as const, value: {} } }
          : {}),
      },
      loadAssignment: { clusterName: 'c', endpoints: [...endpoints] },
    });
    const evaluation = new Evaluation(PROXY, { pick: () => 0 }, []);
    const entry = { resource: { typeUrl: '', name: 'c', bytes: new Uint8Array(), version: '' }, causes: [] };
    const choice = chooseEndpoints(evaluation, { cluster, entry }, CONNECTION, undefined);

    const known = choice.kind === 'known' ? choice.endpoints : undefined;
    const shares = known?.map(
      ({ address, share }) =>
        [String.fromCharCode(Number(address.split('.')[3])), Number(share.toFixed(4))] as const,
    );
    deepStrictEqual(Object.fromEntries(shares ?? []), expected);
  });
}

it('an original destination is where the client was going', () => {
  const cluster = create(ClusterSchema, {
    name: 'c',
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
  });
  const evaluation = new Evaluation(PROXY, { pick: () => 0 }, []);
  const entry = { resource: { typeUrl: '', name: 'c', bytes: new Uint8Array(), version: '' }, causes: [] };
  deepStrictEqual(chooseEndpoints(evaluation, { cluster, entry }, CONNECTION, undefined), {
    kind: 'known',
    endpoints: [{ address: '10.9.9.9', port: 80, share: 1 }],
  });
});

import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { LoadBalancerSettings } from '#api/destination-rule.ts';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { clusterFacts } from '#model/mesh-facts.ts';
import { kubernetesService, proxy, serviceEntry } from '#model/service-model-rig.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { at, outboundRig, reviewsCluster } from '#xds/outbound-rig.ts';
import type { ClusterInput } from './cluster-input.ts';
import { commonLoadBalancing } from './load-balancer.ts';

const COMMON = 'commonLbConfig';
const NO_PANIC = { healthyPanicThreshold: {} };

const LOCALITIES: readonly (readonly [string, LoadBalancerSettings, MeshConfigJson, unknown])[] = [
  ['zones are balanced by Envoy', { zoneAwareLbSetting: {} }, {}, { zoneAwareLbConfig: {} }],
  [
    'small clusters may be left out',
    { zoneAwareLbSetting: { minClusterSize: 4 } },
    {},
    { zoneAwareLbConfig: { minClusterSize: '4' } },
  ],
  [
    'Envoy is told where zones are not to be balanced',
    { zoneAwareLbSetting: { enabled: false } },
    {},
    { zoneAwareLbConfig: { routingEnabled: {} } },
  ],
  ['the mesh may ask for it', {}, { zoneAwareLbSetting: {} }, { zoneAwareLbConfig: {} }],
  [
    'a rule for localities wins over the mesh',
    { localityLbSetting: { distribute: [{ from: 'a', to: { a: 100 } }] } },
    { zoneAwareLbSetting: {} },
    { localityWeightedLbConfig: {} },
  ],
];

for (const [sentence, loadBalancer, mesh, expected] of LOCALITIES) {
  test(sentence, () => {
    const cluster = reviewsCluster({ loadBalancer }, undefined, mesh);
    deepStrictEqual(cluster[COMMON], { ...NO_PANIC, ...(expected as object) });
  });
}

test('sessions may go on with endpoints that drain', () => {
  for (const label of ['istio.io/persistent-session', 'istio.io/persistent-session-header']) {
    const service = kubernetesService('reviews', {}, { labels: { [label]: 'x' } });
    const statuses = at(reviewsCluster({}, service), COMMON, 'overrideHostStatus', 'statuses');
    deepStrictEqual(statuses, ['HEALTHY', 'DRAINING', 'UNKNOWN', 'DEGRADED']);
  }
});

test('a flag weighs the localities of every cluster', () => {
  const facts = clusterFacts({}, { ...DEFAULT_MESH_FLAGS, localityWeightedLb: true });
  const input = { facts, policy: {}, discovery: 'EDS', neverPanics: false } as unknown as ClusterInput;
  deepStrictEqual(commonLoadBalancing(input)?.localityConfigSpecifier?.case, 'localityWeightedLbConfig');
});

test('an entry may ask Envoy to race its connections', () => {
  const rig = outboundRig();
  const client = proxy('client');
  rig.apply(
    serviceEntry(
      'e',
      { hosts: ['x.com'], resolution: 'DNS' },
      { annotations: { 'istio.io/connect-strategy': 'race_first_tcp_connect' } },
    ),
  );
  rig.connect(client);
  const cluster = rig.cluster(client, 'outbound|80||x.com') ?? {};
  deepStrictEqual([cluster['type'], cluster['dnsLookupFamily']], ['LOGICAL_DNS', 'ALL']);
});

test('weights follow what servers report about their load', () => {
  const backendUtilization = {
    weightStabilizationPeriod: '5s',
    errorUtilizationPenaltyPercent: 150,
    metricNamesForComputingUtilization: ['named_metrics.queue'],
  };
  const cluster = reviewsCluster({ loadBalancer: { backendUtilization } });
  const path = ['loadBalancingPolicy', 'policies', 0, 'typedExtensionConfig'] as const;
  deepStrictEqual(
    [
      cluster['lbPolicy'],
      at(cluster, ...path, 'name'),
      at(cluster, ...path, 'typedConfig', 'blackoutPeriod'),
    ],
    ['LOAD_BALANCING_POLICY_CONFIG', 'envoy.load_balancing_policies.client_side_weighted_round_robin', '5s'],
  );
  deepStrictEqual(at(cluster, ...path, 'typedConfig', 'errorUtilizationPenalty'), 1.5);
  const localityLbSetting = { distribute: [{ from: 'a', to: { a: 100 } }] };
  const weighted = reviewsCluster({ loadBalancer: { backendUtilization, localityLbSetting } });
  deepStrictEqual(at(weighted, ...path, 'name'), 'envoy.load_balancing_policies.wrr_locality');
});

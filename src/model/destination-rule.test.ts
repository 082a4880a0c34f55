import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { DestinationRuleSpec } from '#api/destination-rule.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { createDestinationRuleModel, type HostRules } from './destination-rule.ts';
import { object, serviceModelRig } from './service-model-rig.ts';

const HOST = 'default|a.default.svc.cluster.local';

function rule(name: string, createdAtMs: number, spec: DestinationRuleSpec): MeshObject<DestinationRuleSpec> {
  return object('DestinationRule', name, { host: 'a', ...spec }, { createdAtMs });
}

function hostRules(defaultExportTo: string[], ...rules: MeshObject<DestinationRuleSpec>[]): HostRules {
  const rig = serviceModelRig();
  const { engine } = rig;
  const model = createDestinationRuleModel({
    engine,
    destinationRules: rig.of('DestinationRule'),
    policyFacts: rig.model.meshFacts.policies,
    clusterDomain: 'cluster.local',
  });
  rig.meshConfig.set('mesh', { defaultDestinationRuleExportTo: defaultExportTo });
  rig.apply(...rules);
  const found = model.hostRules.get(HOST);
  if (found === undefined) throw new Error('no rules for the host');
  return found;
}

function shown(rules: HostRules['local']): readonly string[] {
  return rules.map(({ causes, subsets, trafficPolicy }) => {
    const policy = trafficPolicy?.loadBalancer?.simple ?? '-';
    return `${causes.map(({ name }) => name).join('+')} [${subsets.map(({ name }) => name).join()}] ${policy}`;
  });
}

const RANDOM = { trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } } as const;
const ROBIN = { trafficPolicy: { loadBalancer: { simple: 'ROUND_ROBIN' } } } as const;

test('rules for one host add their subsets; the oldest policy stays', () => {
  const { local } = hostRules(
    ['*'],
    rule('young', 3, { ...ROBIN, subsets: [{ name: 'v2' }, { name: 'v1' }] }),
    rule('old', 1, { subsets: [{ name: 'v1' }] }),
    rule('middle', 2, RANDOM),
  );
  deepStrictEqual(shown(local), ['old+middle+young [v1,v2] RANDOM']);
  deepStrictEqual(
    local[0]?.subsetCauses.map(({ name, path }) => `${name} ${path}`),
    ['old spec.subsets[0]', 'young spec.subsets[0]'],
  );
});

test('rules with different exportTo stand beside each other', () => {
  const { local, exported, privateOnly } = hostRules(
    ['*'],
    rule('mine', 1, { exportTo: ['.'], ...RANDOM }),
    rule('all', 2, { exportTo: ['*'], ...ROBIN }),
  );
  deepStrictEqual(shown(local), ['mine [] RANDOM', 'all [] ROUND_ROBIN']);
  deepStrictEqual(shown(exported), ['all [] ROUND_ROBIN']);
  deepStrictEqual(shown(privateOnly), ['mine [] RANDOM']);
});

test('a rule exported to more namespaces joins one exported to fewer', () => {
  const { exported } = hostRules(
    ['*'],
    rule('few', 1, { exportTo: ['x'], subsets: [{ name: 'v1' }] }),
    rule('more', 2, { exportTo: ['x', 'y'], subsets: [{ name: 'v2' }] }),
  );
  deepStrictEqual(shown(exported), ['few+more [v1,v2] -']);
});

test('rules for some workloads come first and merge only with their like', () => {
  const selector = (app: string) => ({ workloadSelector: { matchLabels: { app } } });
  const { local, exported } = hostRules(
    ['*'],
    rule('all', 1, RANDOM),
    rule('forA', 2, { ...selector('a'), ...ROBIN }),
    rule('forA2', 3, { ...selector('a'), subsets: [{ name: 'v1' }] }),
    rule('forB', 4, selector('b')),
  );
  deepStrictEqual(shown(local), ['forA+forA2 [v1] ROUND_ROBIN', 'forB [] -', 'all [] RANDOM']);
  deepStrictEqual(shown(exported), ['all [] RANDOM']);
});

test('without exportTo the default of the mesh decides', () => {
  deepStrictEqual(shown(hostRules(['.'], rule('r', 1, {})).exported), []);
  deepStrictEqual(shown(hostRules(['*'], rule('r', 1, {})).exported), ['r [] -']);
});

test('a rule that is exported elsewhere only does not apply at home', () => {
  const { local, exported } = hostRules(['*'], rule('r', 1, { exportTo: ['other'] }));
  deepStrictEqual([shown(local), shown(exported)], [[], ['r [] -']]);
});

import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { localWorkload, object, pod } from './service-model-rig.ts';
import { workloadFromEntry, workloadFromPod, workloadFromReplica } from './workload.ts';
import { expandTrustDomains, spiffeId } from './workload-identity.ts';
import { matchesLabels } from './workload-labels.ts';
import { workloadNameOfPod } from './workload-owner.ts';

const CONTEXT = { clusterId: 'c1', trustDomain: 'td', heedsHealth: true, networkOf: () => '' };

test('a pod carries its own labels, and its endpoints topology labels too', () => {
  const workload = workloadFromPod(
    pod('p', '10.1.0.1', { app: 'a' }, { nodeName: 'n1', serviceAccountName: 'sa' }),
    { 'topology.kubernetes.io/region': 'r', 'topology.kubernetes.io/zone': 'z' },
    CONTEXT,
  );
  deepStrictEqual(workload?.labels, { 'security.istio.io/tlsMode': 'istio', app: 'a' });
  deepStrictEqual(
    { ...workload?.endpointLabels },
    {
      'security.istio.io/tlsMode': 'istio',
      app: 'a',
      'topology.istio.io/network': '',
      'topology.kubernetes.io/region': 'r',
      'topology.kubernetes.io/zone': 'z',
      'topology.istio.io/cluster': 'c1',
      'kubernetes.io/hostname': 'n1',
    },
  );
  deepStrictEqual([workload?.identity, workload?.tlsMode], ['spiffe://td/ns/default/sa/sa', 'istio']);
});

test('the locality label of a pod wins over its node; dots stand for slashes', () => {
  const labelled = pod('p', '10.1.0.1', { 'istio-locality': 'r1.z1.s1' });
  const workload = workloadFromPod(labelled, { 'topology.kubernetes.io/region': 'r' }, CONTEXT);
  deepStrictEqual(workload?.locality, { region: 'r1', zone: 'z1', subzone: 's1' });
});

test('pods without an address, and pods that have ended, are no workloads', () => {
  strictEqual(workloadFromPod(pod('p', '', {}, { podIPs: [] }), {}, CONTEXT), undefined);
  strictEqual(workloadFromPod(pod('p', '10.1.0.1', {}, { phase: 'Failed' }), {}, CONTEXT), undefined);
});

test('a pod that is going is not ready', () => {
  strictEqual(workloadFromPod(pod('p', '10.1.0.1', {}, { deleting: true }), {}, CONTEXT)?.ready, false);
});

test('labels of metadata win over labels of the spec in a WorkloadEntry', () => {
  const entry = object('WorkloadEntry', 'w', {}, { labels: { app: 'meta' } });
  const workload = workloadFromEntry(
    { address: '1.1.1.1', labels: { app: 'spec', v: '1' }, weight: 3 },
    entry,
    CONTEXT,
  );
  deepStrictEqual([{ ...workload.labels }, workload.weight], [{ app: 'meta', v: '1' }, 3]);
});

test('an entry goes by the name of its group or its label in telemetry', () => {
  const spec = { address: '10.0.0.1', labels: { 'service.istio.io/workload-name': 'labelled' } };
  const named = (annotations: Record<string, string>) =>
    workloadFromEntry(spec, { name: 'vm', namespace: 'ns', labels: {}, annotations }, CONTEXT).workloadName;
  deepStrictEqual([named({}), named({ 'istio.io/autoRegistrationGroup': 'group' })], ['labelled', 'group']);
});

test('a replica shows the ports of the mesh and remembers those of the application', () => {
  const ports = [{ name: 'http', port: 80, appPort: 8080, protocol: 'TCP' } as const];
  const workload = workloadFromReplica(
    {
      namespace: 'default',
      workload: 'w',
      replica: 2,
      address: '127.0.1.1',
      appAddress: '127.0.2.1',
      ready: true,
    },
    localWorkload('w', { app: 'w' }, { ports }),
    CONTEXT,
  );
  deepStrictEqual(
    [workload.name, { ...workload.ports }, { ...workload.appPorts }, workload.tlsMode, workload.identity],
    ['w-2', { http: 80 }, { 80: 8080 }, 'istio', 'spiffe://td/ns/default/sa/w'],
  );
});

test('a local gateway does not take mesh mTLS', () => {
  const replica = {
    namespace: 'default',
    workload: 'g',
    replica: 0,
    address: 'a',
    appAddress: '',
    ready: true,
  };
  strictEqual(
    workloadFromReplica(replica, localWorkload('g', {}, { type: 'gateway' }), CONTEXT).tlsMode,
    'disabled',
  );
});

const OWNERS: readonly (readonly [string, string, Record<string, string>, string])[] = [
  ['ReplicaSet', 'web-5d4', { 'pod-template-hash': '5d4' }, 'web'],
  ['ReplicaSet', 'web-5d4', {}, 'web-5d4'],
  ['ReplicaSet', 'roll-77', { 'rollouts-pod-template-hash': '77' }, 'roll'],
  ['StatefulSet', 'db', {}, 'db'],
  ['Job', 'backup-27912345', {}, 'backup'],
  ['Job', 'once', {}, 'once'],
  ['ReplicationController', 'rc-1', { deploymentconfig: 'dc' }, 'dc'],
];

for (const [kind, owner, labels, expected] of OWNERS) {
  test(`a pod of ${kind} ${owner} belongs to ${expected}`, () => {
    const owners = [{ apiVersion: 'v1', kind, name: owner, controller: true }];
    strictEqual(workloadNameOfPod(pod('p', '', labels, { owners })), expected);
  });
}

test('ids of service accounts are known under every alias of the trust domain, others as they are', () => {
  const ids = [spiffeId('td', 'ns', ''), 'www.example.com'];
  deepStrictEqual(
    [...expandTrustDomains(ids, ['old'])],
    ['spiffe://td/ns/ns/sa/default', 'www.example.com', 'spiffe://old/ns/ns/sa/default'],
  );
});

test('selectors with hostile keys match nothing by accident', () => {
  strictEqual(matchesLabels(JSON.parse('{"__proto__": "x"}'), { app: 'a' }), false);
  strictEqual(matchesLabels({ constructor: 'x' }, { app: 'a' }), false);
  strictEqual(matchesLabels({}, { app: 'a' }), true);
});

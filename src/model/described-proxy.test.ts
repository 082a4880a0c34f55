import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { describeProxy } from './described-proxy.ts';
import { pod, proxy } from './service-model-rig.ts';
import { workloadFromPod } from './workload.ts';

const CONTEXT = { clusterId: 'c1', trustDomain: 'td', heedsHealth: true, networkOf: () => 'n1' };
const NODE = {
  'topology.kubernetes.io/region': 'r1',
  'topology.kubernetes.io/zone': 'z1',
};
const POD = workloadFromPod(pod('a', '10.0.0.1', { app: 'a' }, { nodeName: 'worker-1' }), NODE, CONTEXT);

test('what the workload says of labels and place wins over what the node says of itself', () => {
  const connected = proxy('a', {
    labels: { app: 'else', version: 'v1' },
    locality: { region: 'r9', zone: '', subzone: '' },
    clusterId: 'c1',
  });
  const { labels, locality, nodeName, network } = describeProxy(connected, POD);
  deepStrictEqual(
    { labels: { ...labels }, locality, nodeName, network },
    {
      labels: {
        app: 'a',
        'security.istio.io/tlsMode': 'istio',
        'topology.kubernetes.io/region': 'r1',
        'topology.kubernetes.io/zone': 'z1',
        'topology.istio.io/cluster': 'c1',
        'topology.istio.io/network': 'n1',
        'kubernetes.io/hostname': 'worker-1',
      },
      locality: { region: 'r1', zone: 'z1', subzone: '' },
      nodeName: 'worker-1',
      network: 'n1',
    },
  );
});

test('a proxy that no workload is known for is what it says, with labels for its place', () => {
  const connected = proxy('vm', {
    labels: { app: 'vm' },
    locality: { region: 'r9', zone: 'z9', subzone: 's9' },
    clusterId: 'c1',
    nodeName: 'host',
  });
  const { labels, locality } = describeProxy(connected, undefined);
  deepStrictEqual(
    { labels: { ...labels }, locality },
    {
      labels: {
        app: 'vm',
        'topology.kubernetes.io/region': 'r9',
        'topology.kubernetes.io/zone': 'z9',
        'topology.istio.io/subzone': 's9',
        'topology.istio.io/cluster': 'c1',
        'kubernetes.io/hostname': 'host',
      },
      locality: connected.locality,
    },
  );
});

test('a pod says under which account, as which workload and at which addresses its proxy runs', () => {
  const connected = proxy('a', { serviceAccount: 'else', addresses: ['10.9.9.9'], workloadName: 'else' });
  const { serviceAccount, addresses, workloadName } = describeProxy(connected, POD);
  deepStrictEqual(
    { serviceAccount, addresses, workloadName },
    { serviceAccount: 'default', addresses: ['10.0.0.1'], workloadName: 'a' },
  );
});

test('a pod of another account than the proxy has proven says nothing about it', () => {
  const connected = proxy('a', {
    identity: 'spiffe://td/ns/default/sa/other',
    serviceAccount: 'other',
    addresses: ['10.9.9.9'],
    labels: { app: 'vm' },
  });
  const { serviceAccount, addresses, labels } = describeProxy(connected, POD);
  deepStrictEqual([serviceAccount, addresses, labels['app']], ['other', ['10.9.9.9'], 'vm']);
});

import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { clusterLocalHosts, isClusterLocal } from './cluster-local.ts';

type Settings = NonNullable<MeshConfigJson['serviceSettings']>;

const HOSTS = [
  'dns.kube-system.svc.cluster.local',
  'kubernetes.default.svc.cluster.local',
  'istiod.istio-system.svc.cluster.local',
  'a.foo.svc.cluster.local',
  'b.foo.svc.cluster.local',
] as const;

/** Which of the hosts are local. */
function localAmong(serviceSettings: Settings, discoveryAddress?: string): readonly string[] {
  const defaultConfig = discoveryAddress === undefined ? {} : { discoveryAddress };
  const hosts = clusterLocalHosts({ serviceSettings, defaultConfig }, 'cluster.local');
  return HOSTS.filter((host) => isClusterLocal(hosts, host)).map((host) => host.split('.')[0] ?? '');
}

const CASES: readonly (readonly [string, Settings, readonly string[]])[] = [
  ['what runs Kubernetes and the mesh is local', [], ['dns', 'kubernetes', 'istiod']],
  [
    'more can be made local, by wildcards too',
    [{ settings: { clusterLocal: true }, hosts: ['*.foo.svc.cluster.local'] }],
    ['dns', 'kubernetes', 'istiod', 'a', 'b'],
  ],
  [
    'the more specific host decides, wherever it stands',
    [
      { settings: { clusterLocal: false }, hosts: ['a.foo.svc.cluster.local'] },
      { settings: { clusterLocal: true }, hosts: ['*.foo.svc.cluster.local'] },
    ],
    ['dns', 'kubernetes', 'istiod', 'b'],
  ],
  [
    'a host under a default wildcard takes out the whole default',
    [
      {
        settings: {},
        hosts: ['other.kube-system.svc.cluster.local', 'kubernetes.default.svc.cluster.local'],
      },
    ],
    ['istiod'],
  ],
  [
    'everything can be shared but for what is said more specifically',
    [{ settings: { clusterLocal: false }, hosts: ['*'] }],
    ['dns', 'kubernetes', 'istiod'],
  ],
  [
    'everything can be local',
    [{ settings: { clusterLocal: true }, hosts: ['*'] }],
    ['dns', 'kubernetes', 'istiod', 'a', 'b'],
  ],
];

for (const [sentence, settings, expected] of CASES) {
  test(sentence, () => deepStrictEqual(localAmong(settings), expected));
}

test('the control plane is where the discovery address says', () => {
  deepStrictEqual(localAmong([], 'a.foo.svc:15012'), ['dns', 'kubernetes', 'a']);
  deepStrictEqual(localAmong([], 'a.foo.svc.cluster.local:15012'), ['dns', 'kubernetes', 'a']);
});

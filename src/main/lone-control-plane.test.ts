import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeObject } from '#api/decode-object.ts';
import { defaultMeshConfig } from '#api/mesh-config.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { isLoneControlPlane } from './lone-control-plane.ts';
import { createMesh } from './mesh.ts';

function pod(name: string, app: string, phase = 'Running', namespace = 'istio-system'): MeshObject {
  const { object } = decodeObject(
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels: { app } },
      spec: { containers: [{ name: 'a', image: 'a' }] },
      status: { phase },
    },
    { defaultNamespace: 'default' },
  );
  if (object === undefined) throw new Error('no pod');
  return object;
}

test('a control plane is alone when its own pod is the only one of a control plane that has not ended', () => {
  const cases: readonly (readonly [string, readonly MeshObject[], boolean])[] = [
    ['no pod at all', [], false],
    ['its own', [pod('a', 'istiod')], true],
    ['another alone', [pod('b', 'istiod')], false],
    ['one more', [pod('a', 'istiod'), pod('b', 'istiod')], false],
    ['one more that starts', [pod('a', 'istiod'), pod('b', 'istiod', 'Pending')], false],
    ['one more that has ended', [pod('a', 'istiod'), pod('b', 'istiod', 'Failed')], true],
    ['others beside it', [pod('a', 'istiod'), pod('b', 'ztunnel'), pod('c', 'istiod', 'Running', 'x')], true],
  ];
  for (const [what, pods, expected] of cases) {
    const mesh = createMesh({
      meshConfig: defaultMeshConfig(),
      clusterId: 'c',
      clusterDomain: 'cluster.local',
      onError: (...failure) => assert.fail(failure.map(String).join(' ')),
    });
    mesh.objects.apply({ set: pods, remove: [] });
    mesh.engine.settle();
    assert.equal(isLoneControlPlane(mesh, 'istio-system', 'a'), expected, what);
  }
});

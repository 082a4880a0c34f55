import { deepStrictEqual, ok } from 'node:assert/strict';
import { it } from 'node:test';
import { objectKey } from '#base/object-ref.ts';
import { bytesOf, meshFixture } from '../support/mesh-fixture.ts';
import { openScratchMesh } from '#main/scratch-mesh.ts';

const WORLD = `apiVersion: v1
kind: Service
metadata: {name: app, namespace: shop}
spec: {selector: {app: app}, ports: [{name: http, port: 80}]}
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: {name: app, namespace: shop}
spec: {labels: {app: app}, command: [app], ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app, namespace: shop}
spec: {hosts: [app], http: [{timeout: 3s, route: [{destination: {host: app}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app, namespace: shop}
spec: {host: app, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
`;

it('a scratch mesh comes to the bytes of its original, tries verdicts out and forgets them', async () => {
  const fixture = meshFixture();
  const [, , virtualService, destinationRule] = fixture.apply(WORLD);
  ok(virtualService !== undefined && destinationRule !== undefined);
  const replica = {
    namespace: 'shop',
    workload: 'app',
    replica: 0,
    address: '127.1.0.1',
    appAddress: '127.1.0.2',
    ready: true,
  };
  fixture.mesh.replicas.set('shop/app-0', replica);
  fixture.configure({ accessLogFile: '/dev/stdout' });
  const proxy = fixture.connect({
    name: 'app-0',
    ip: '127.1.0.1',
    namespace: 'shop',
    labels: { app: 'app' },
  });
  const verdictOn = ({ kind, namespace, name, hash }: typeof virtualService) => {
    return {
      kind,
      namespace,
      name,
      refusedHash: hash,
      envoyVersion: '',
      reason: '',
      since: '',
      lastGood: undefined,
    };
  };
  const held = verdictOn(destinationRule);
  fixture.mesh.heldBack.set(objectKey(held), held);
  const original = fixture.entries('app-0');
  const options = { meshConfig: {}, clusterId: 'Kubernetes', clusterDomain: 'cluster.local' };
  const onError = (_collection: string, _key: string, error: unknown): void => {
    throw error;
  };
  const scratch = openScratchMesh(fixture.mesh, { ...options, onError }, proxy.id);
  ok(scratch !== undefined);
  const entries = [original.clusters, original.endpoints, original.listeners, original.routes].flatMap(
    (part) => [...part.values()],
  );
  const differing = async (...verdicts: Parameters<typeof scratch.resource>[0]): Promise<string[]> => {
    const names: string[] = [];
    for (const { resource } of entries) {
      const now = await scratch.resource(verdicts, resource);
      if (now?.resource.version !== resource.version) names.push(resource.name);
    }
    return names;
  };
  deepStrictEqual(entries.length, bytesOf(original).length);
  deepStrictEqual(await differing(), []);
  deepStrictEqual(await differing(verdictOn(virtualService)), ['80']);
  deepStrictEqual(await differing(), []);
  fixture.disconnect('app-0');
  fixture.settle();
  deepStrictEqual(openScratchMesh(fixture.mesh, { ...options, onError }, proxy.id), undefined);
});

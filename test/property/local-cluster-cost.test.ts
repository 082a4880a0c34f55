/** Proxies that discover themselves: replicas of one workload share one load assignment, and a change of one is encoded once. */
import { ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { meshFixture } from '../support/mesh-fixture.ts';

const REPLICAS = 40;
const ALL = Array.from({ length: REPLICAS }, (_, i) => i);

/** Each replica is a WorkloadEntry in one of two zones. */
function entry(i: number, weight: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: cart-${i}, labels: {service.istio.io/workload-name: cart}}
spec: {address: 10.0.0.${i + 1}, locality: east/${i % 2 === 0 ? 'a' : 'b'}, weight: ${weight}, labels: {app: cart}}
`;
}

const SERVICE = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: cart}
spec:
  hosts: [cart.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: cart}}
`;

test('replicas on nodes of their own share what they are told of themselves', () => {
  const fixture = meshFixture();
  fixture.apply([SERVICE, ...ALL.map((i) => entry(i, 1))].join('---'));
  for (const i of ALL) {
    fixture.connect({
      name: `cart-${i}`,
      ip: `10.0.0.${i + 1}`,
      nodeName: `node-${i}`,
      locality: { region: 'east', zone: i % 2 === 0 ? 'a' : 'b' },
      workloadName: 'cart',
      metadata: { ENABLE_SELF_DISCOVERY: 'true' },
    });
  }
  const local = () => new Set(ALL.map((i) => fixture.entries(`cart-${i}`).endpoints.get('local_cluster')));
  const [before] = local();
  strictEqual(local().size, 1);
  const { interner } = fixture.mesh.graph;
  const encoded = interner.encoded;
  fixture.apply(entry(7, 3));
  strictEqual(local().size, 1);
  ok(![...local()].includes(before));
  ok(interner.encoded - encoded <= 4, `${interner.encoded - encoded} encoded`);
});

/** The spine end to end: a folder of YAML, pilot-discovery, one real gateway Envoy, one real backend. */
import { ok, strictEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ask, type DiscoveryFixture, startDiscovery, waitFor } from './discovery-fixture.ts';

const HOST = 'shop.example.com';
let mesh: DiscoveryFixture;

before(async () => {
  mesh = await startDiscovery();
  const [v1, v2] = [await mesh.backend('v1'), await mesh.backend('v2')];
  mesh.save('gateway.yaml', gateway(mesh.gatewayPort));
  mesh.save('shop.yaml', serviceEntry('shop', mesh.address, { v1, v2 }));
  mesh.save('shop-rule.yaml', destinationRule());
  mesh.save('shop-routes.yaml', virtualService('v1', 'first'));
  await mesh.startGateway();
});

after(() => mesh[Symbol.asyncDispose]());

const look = () => ask(mesh.address, mesh.gatewayPort, '/', HOST);

test('a gateway Envoy sends a request where the folder says', async () => {
  const answer = await waitFor('first answer', look, ({ status }) => status === 200);
  strictEqual(answer.body, 'v1');
  strictEqual(answer.headers['x-mark'], 'first');
  strictEqual((await ask(mesh.address, mesh.gatewayPort, '/', 'other.example.com')).status, 404);
});

test('a saved file is live: subset, header and removal', async () => {
  mesh.save('shop-routes.yaml', virtualService('v2', 'second'));
  strictEqual((await waitFor('v2', look, ({ body }) => body === 'v2')).headers['x-mark'], 'second');
});

test('a file that does not parse keeps what was there', async () => {
  mesh.save('shop-routes.yaml', 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: [');
  mesh.save('other.yaml', serviceEntry('other', mesh.address, { v1: 1, v2: 2 }));
  strictEqual((await look()).body, 'v2');
  mesh.save('shop-routes.yaml', virtualService('v1', 'third'));
  strictEqual((await waitFor('v1', look, ({ body }) => body === 'v1')).headers['x-mark'], 'third');
});

test('from saving a file to the first request that follows it: median under 100 ms', async (context) => {
  for (const services of [0, 1000]) {
    for (let i = 0; i < services; i++)
      mesh.save(`many/s${i}.yaml`, serviceEntry(`s${i}`, mesh.address, { v1: 1, v2: 2 }));
    mesh.save('shop-routes.yaml', virtualService('v1', `loaded-${services}`));
    await waitFor('loaded', look, ({ headers }) => headers['x-mark'] === `loaded-${services}`);
    const times: number[] = [];
    for (let i = 0; i < 20; i++) {
      const mark = `mark-${services}-${i}`;
      const started = performance.now();
      mesh.save('shop-routes.yaml', virtualService('v1', mark));
      await waitFor(mark, look, ({ headers }) => headers['x-mark'] === mark);
      times.push(performance.now() - started);
    }
    times.sort((a, b) => a - b);
    const median = times[10] ?? 0;
    const line = `median ${median.toFixed(1)} ms, worst ${times.at(-1)?.toFixed(1)} ms with ${services} more services`;
    context.diagnostic(`save to effect: ${line}`);
    ok(median < 100, line);
  }
});

function gateway(port: number): string {
  return `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: ${port}, name: http, protocol: HTTP}
    hosts: ["*"]
`;
}

function serviceEntry(name: string, address: string, ports: { v1: number; v2: number }): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec:
  hosts: [${name}.mesh.internal]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: ${address}, ports: {http: ${ports.v1}}, labels: {version: v1}}
  - {address: ${address}, ports: {http: ${ports.v2}}, labels: {version: v2}}
`;
}

function destinationRule(): string {
  return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: default}
spec:
  host: shop.mesh.internal
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
`;
}

function virtualService(subset: string, mark: string): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [${HOST}]
  gateways: [istio-system/front]
  http:
  - route: [{destination: {host: shop.mesh.internal, subset: ${subset}}}]
    headers: {response: {set: {x-mark: ${mark}}}}
`;
}

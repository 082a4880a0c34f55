/** Objects that real Envoys refuse: held back alone, by name, and only on an Envoy's word (law 9, issue "Bad input"). */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ask, waitFor } from './discovery-fixture.ts';
import { ControlPlaneRig, type EnvoyNode, nodeId, startProxy, testFolder } from './held-back-rig.ts';
import { freePort, ownAddress } from './static-envoy.ts';

/** Beyond Envoy's limit by any count. */
const HUGE = 'a{1000}'.repeat(33);
/** Within the limit by characters, beyond it by RE2's own count: only Envoy knows. */
const HUGE_TO_ENVOY = '.{1000}'.repeat(17);
/** Long enough to become a regular expression beyond the limit. */
const HUGE_NAMESPACE = 'x'.repeat(33_000);
/** Twice what a user is promised, since the machine may be busy. */
const LIMIT_MS = 2_000;

const folder = testFolder();
const state = join(folder.path, 'state');
const disposables: AsyncDisposable[] = [];
let controlPlane: ControlPlaneRig;
let gateway: EnvoyNode;
let sidecar: EnvoyNode;
let gatewayPort: number;
let appPort: number;
let backend: Server;

before(async () => {
  const address = ownAddress();
  gateway = {
    type: 'router',
    address,
    name: 'gateway',
    namespace: 'istio-system',
    labels: { istio: 'ingressgateway' },
  };
  sidecar = {
    type: 'sidecar',
    address: ownAddress(),
    name: 'app-0',
    namespace: 'shop',
    labels: { app: 'app' },
  };
  const backendAddress = ownAddress();
  [gatewayPort, appPort] = [await freePort(address), await freePort(backendAddress)];
  backend = createServer((_request, response) => response.end('app'));
  backend.listen(appPort, backendAddress);
  await once(backend, 'listening');
  controlPlane = await ControlPlaneRig.start(state);
  controlPlane.mesh.replicas.set('shop/app-0', {
    namespace: 'shop',
    workload: 'app',
    replica: 0,
    address: sidecar.address,
    appAddress: backendAddress,
    ready: true,
  });
  await controlPlane.apply(world());
  for (const node of [gateway, sidecar])
    disposables.push(await startProxy(node, controlPlane.xdsPort, folder.path));
  await waitFor(
    'the gateway',
    () => look('good'),
    (status) => status === 200,
  );
  await waitFor('the sidecar', lookAtSidecar, (status) => status === 200);
});

after(async () => {
  for (const disposable of disposables) await disposable[Symbol.asyncDispose]();
  await controlPlane?.[Symbol.asyncDispose]();
  backend?.close();
  folder[Symbol.dispose]();
});

const look = async (host: string, path = '/'): Promise<number> =>
  (await ask(gateway.address, gatewayPort, path, `${host}.example.com`)).status;
const lookAtSidecar = async (): Promise<number> => (await ask(sidecar.address, appPort, '/', 'app')).status;
const held = async (): Promise<string> => controlPlane.held().join(', ');

describe('an object that Envoy refuses', { timeout: 60_000 }, () => {
  it('is held back alone before any proxy sees it, where that is known beforehand (T36: program size)', async () => {
    await controlPlane.apply(route('bad', HUGE) + route('other', 'x+'));
    deepStrictEqual(controlPlane.held(), ['VirtualService/shop/bad']);
    match(
      controlPlane.heldBack.list()[0]?.reason ?? '',
      /RE2 program size of at least 33001 > max program size of 32768/,
    );
    await waitFor(
      'the other route',
      () => look('other', '/xx'),
      (status) => status === 200,
    );
    deepStrictEqual(controlPlane.nacks, []);
    strictEqual(await look('bad'), 404);
    await controlPlane.apply(route('bad', 'y+'));
    deepStrictEqual(controlPlane.held(), []);
    await waitFor(
      'the mended route',
      () => look('bad', '/y'),
      (status) => status === 200,
    );
  });

  it('is found by its NACK, keeps its last good form, and others keep flowing', async (context) => {
    const started = performance.now();
    await controlPlane.apply(route('bad', HUGE_TO_ENVOY));
    await waitFor('a verdict', held, (text) => text === 'VirtualService/shop/bad (last good)');
    const foundMs = performance.now() - started;
    context.diagnostic(`held back after ${foundMs.toFixed(0)} ms`);
    ok(foundMs < LIMIT_MS, `${foundMs} ms`);
    await controlPlane.synced();
    strictEqual(await look('bad', '/y'), 200);
    await controlPlane.apply(route('other', 'zz'));
    await waitFor(
      'a later change',
      () => look('other', '/zz'),
      (status) => status === 200,
    );
    const [verdict] = controlPlane.heldBack.list();
    match(verdict?.reason ?? '', /RE2 program size of 3400\d > max program size of 32768/);
    strictEqual(verdict?.envoyVersion, '1.40.0');
    ok(controlPlane.log.some((line) => /\twarn\t.*held back.*VirtualService shop\/bad/.test(line)));
  });

  it('stays held back over a restart, which serves the same bytes', async () => {
    strictEqual(statSync(join(state, 'held-back.json')).mode & 0o777, 0o600);
    const proxies = [gateway, sidecar].map(nodeId);
    await using second = await ControlPlaneRig.start(state);
    for (const [key, replica] of controlPlane.mesh.replicas.all()) second.mesh.replicas.set(key, replica);
    for (const id of proxies) second.mesh.proxies.set(id, controlPlane.mesh.proxies.get(id)!);
    const batch = { set: [...controlPlane.mesh.objects.all()], remove: [] };
    second.heldBack.applying(batch);
    second.mesh.objects.apply(batch);
    await second.mesh.driver.settled();
    deepStrictEqual(second.held(), controlPlane.held());
    for (const id of proxies) deepStrictEqual(second.bytes(id), controlPlane.bytes(id));
  });

  it('is free again with a new spec', async () => {
    await controlPlane.apply(route('bad', 'mended'));
    deepStrictEqual(controlPlane.held(), []);
    await waitFor(
      'the mended route',
      () => look('bad', '/mended'),
      (status) => status === 200,
    );
    const saved = async (): Promise<string> => readFileSync(join(state, 'held-back.json'), 'utf8');
    await waitFor('the file without it', saved, (text) => !text.includes('"bad"'));
  });

  it('is found among several that are bad at once', async () => {
    await controlPlane.apply(
      [1, 2, 3, 4].map((i) => route(`many${i}`, i % 2 === 0 ? `ok${i}` : HUGE_TO_ENVOY)).join(''),
    );
    await waitFor(
      'verdicts',
      held,
      (text) => text === 'VirtualService/shop/many1, VirtualService/shop/many3',
    );
    await waitFor(
      'the good ones',
      () => look('many2', '/ok2'),
      (status) => status === 200,
    );
    const gone = [1, 2, 3, 4].map((i) => ({ kind: 'VirtualService', namespace: 'shop', name: `many${i}` }));
    await controlPlane.apply('', gone);
    deepStrictEqual(controlPlane.held(), []);
  });

  it('fails closed where it restricts: a DENY that never was good denies what it selects', async () => {
    await controlPlane.apply(denyFrom(HUGE_NAMESPACE));
    await waitFor('a verdict', held, (text) => text === 'AuthorizationPolicy/shop/no-strangers');
    await waitFor('a closed workload', lookAtSidecar, (status) => status === 403);
    await controlPlane.apply(denyFrom('strangers'));
    await waitFor('an open workload', lookAtSidecar, (status) => status === 200);
    await controlPlane.apply(denyFrom(HUGE_NAMESPACE));
    await waitFor('a verdict', held, (text) => text === 'AuthorizationPolicy/shop/no-strangers (last good)');
    await controlPlane.synced();
    strictEqual(await lookAtSidecar(), 200);
    await controlPlane.apply('', [{ kind: 'AuthorizationPolicy', namespace: 'shop', name: 'no-strangers' }]);
  });

  it("is never held back on a proxy's word alone", async () => {
    const id = nodeId(gateway);
    const snapshot = controlPlane.mesh.graph.snapshots.get(id);
    controlPlane.heldBack.refused({
      proxyId: id,
      suspects: [...snapshot!.routes.values(), ...snapshot!.listeners.values()],
    });
    await controlPlane.heldBack.idle();
    deepStrictEqual(controlPlane.held(), []);
    ok(controlPlane.log.some((line) => line.includes('a proxy refused what Envoy takes')));
  });
});

function world(): string {
  return `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: ${gatewayPort}, name: http, protocol: HTTP}
    hosts: ["*"]
---
apiVersion: v1
kind: Service
metadata: {name: app, namespace: shop}
spec:
  selector: {app: app}
  ports: [{name: http, port: ${appPort}}]
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: {name: app, namespace: shop, labels: {app: app}}
spec:
  labels: {app: app}
  command: [app]
  ports: [{name: http, port: ${appPort}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: DISABLE}}
${route('good', '.*')}`;
}

function route(name: string, regex: string): string {
  return `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: shop}
spec:
  hosts: [${name}.example.com]
  gateways: [istio-system/front]
  http:
  - match: [{uri: {regex: "/${regex}"}}]
    route: [{destination: {host: app.shop.svc.cluster.local, port: {number: ${appPort}}}}]
`;
}

function denyFrom(namespace: string): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-strangers, namespace: shop}
spec:
  selector: {matchLabels: {app: app}}
  action: DENY
  rules: [{from: [{source: {namespaces: [${namespace}]}}]}]
`;
}

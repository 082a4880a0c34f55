/**
 * A gateway and a sidecar with its application, real Envoys on a control plane in this process, for tests of EnvoyFilters;
 * and a rate limit service that counts requests by descriptor. Stopping leaves neither process nor file.
 */
import { fromBinary, toBinary, create } from '@bufbuild/protobuf';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import {
  RateLimitRequestSchema,
  RateLimitResponse_Code,
  RateLimitResponseSchema,
} from '#proto/envoy/service/ratelimit/v3/rls_pb.ts';
import { type Answer, ask, waitFor } from './discovery-fixture.ts';
import { ControlPlaneRig, type EnvoyNode, startProxy, testFolder } from './held-back-rig.ts';
import { freePort, ownAddress } from './static-envoy.ts';
import { startHttpApp, type TestApp } from './test-apps.ts';

export interface EnvoyFilterRig extends AsyncDisposable {
  readonly controlPlane: ControlPlaneRig;
  readonly gatewayPort: number;
  readonly appPort: number;
  /** A request to the application through its sidecar. */
  callSidecar(path?: string): Promise<Answer>;
  /** A request through the gateway, which goes on to the application's sidecar. */
  callGateway(path?: string): Promise<Answer>;
  /** Applies an EnvoyFilter of the sidecar's namespace (`shop`) or of the gateway's. */
  filter(name: string, namespace: 'shop' | 'istio-system', configPatches: string): Promise<void>;
  remove(name: string, namespace: 'shop' | 'istio-system'): Promise<void>;
  /** Envoy's config_dump of the gateway, as text. */
  gatewayDump(): Promise<string>;
}

/** Starts everything and waits until both proxies serve. */
export async function startEnvoyFilterRig(): Promise<EnvoyFilterRig> {
  const folder = testFolder();
  const [gatewayAddress, sidecarAddress, appAddress] = [ownAddress(), ownAddress(), ownAddress()];
  const app: TestApp = await startHttpApp(appAddress);
  const [gatewayPort, adminPort] = [await freePort(gatewayAddress), await freePort(gatewayAddress)];
  const gateway: EnvoyNode = {
    type: 'router',
    address: gatewayAddress,
    name: 'gateway',
    namespace: 'istio-system',
    labels: { istio: 'ingressgateway' },
    adminPort,
  };
  const sidecar: EnvoyNode = {
    type: 'sidecar',
    address: sidecarAddress,
    name: 'app-0',
    namespace: 'shop',
    labels: { app: 'app' },
  };
  const controlPlane = await ControlPlaneRig.start(folder.path);
  const replica = {
    namespace: 'shop',
    workload: 'app',
    replica: 0,
    address: sidecarAddress,
    appAddress,
    ready: true,
  };
  controlPlane.mesh.replicas.set('shop/app-0', replica);
  await controlPlane.apply(world(gatewayPort, app.port));
  const proxies = await Promise.all(
    [gateway, sidecar].map((node) => startProxy(node, controlPlane.xdsPort, folder.path)),
  );
  const callSidecar = (path = '/'): Promise<Answer> => ask(sidecarAddress, app.port, path, 'app.shop');
  const callGateway = (path = '/'): Promise<Answer> =>
    ask(gatewayAddress, gatewayPort, path, 'app.example.com');
  const isOk = ({ status }: Answer): boolean => status === 200;
  await waitFor('the sidecar', callSidecar, isOk);
  await waitFor('the gateway', callGateway, isOk);
  return {
    controlPlane,
    gatewayPort,
    appPort: app.port,
    callSidecar,
    callGateway,
    filter: (name, namespace, configPatches) =>
      controlPlane.apply(envoyFilter(name, namespace, configPatches)),
    remove: (name, namespace) => controlPlane.apply('', [{ kind: 'EnvoyFilter', namespace, name }]),
    gatewayDump: async () => (await ask(gatewayAddress, adminPort, '/config_dump', 'admin')).body,
    async [Symbol.asyncDispose]() {
      for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
      await controlPlane[Symbol.asyncDispose]();
      await app.close();
      folder[Symbol.dispose]();
    },
  };
}

/** A rate limit service that lets so many requests of each descriptor pass. */
export interface RateLimitServer extends AsyncDisposable {
  readonly port: number;
  /** Descriptors that it was asked about, `key=value,…`. */
  readonly asked: readonly string[];
}

export async function startRateLimitServer(address: string, limit: number): Promise<RateLimitServer> {
  const counts = new Map<string, number>();
  const asked: string[] = [];
  const server = new Server();
  const shouldRateLimit = {
    path: '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit',
    requestStream: false,
    responseStream: false,
    requestDeserialize: (bytes: Buffer) => fromBinary(RateLimitRequestSchema, bytes),
    requestSerialize: () => Buffer.alloc(0),
    responseSerialize: (code: RateLimitResponse_Code) =>
      Buffer.from(toBinary(RateLimitResponseSchema, create(RateLimitResponseSchema, { overallCode: code }))),
    responseDeserialize: (bytes: Buffer) => fromBinary(RateLimitResponseSchema, bytes).overallCode,
  };
  server.addService(
    { shouldRateLimit },
    {
      shouldRateLimit(
        call: { readonly request: ReturnType<typeof shouldRateLimit.requestDeserialize> },
        answer: (error: null, code: RateLimitResponse_Code) => void,
      ) {
        const key = call.request.descriptors
          .map(({ entries }) => entries.map((entry) => `${entry.key}=${entry.value}`).join(','))
          .join(';');
        const count = (counts.get(key) ?? 0) + 1;
        counts.set(key, count);
        asked.push(key);
        answer(null, count > limit ? RateLimitResponse_Code.OVER_LIMIT : RateLimitResponse_Code.OK);
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`${address}:0`, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { port, asked, [Symbol.asyncDispose]: async () => server.forceShutdown() };
}

function envoyFilter(name: string, namespace: string, configPatches: string): string {
  return `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  configPatches:
${configPatches}`;
}

function world(gatewayPort: number, appPort: number): string {
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
metadata: {name: app, namespace: shop}
spec:
  labels: {app: app}
  command: [app]
  ports: [{name: http, port: ${appPort}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: DISABLE}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app, namespace: shop}
spec:
  hosts: [app.example.com]
  gateways: [istio-system/front]
  http:
  - name: all
    route: [{destination: {host: app.shop.svc.cluster.local, port: {number: ${appPort}}}}]
`;
}

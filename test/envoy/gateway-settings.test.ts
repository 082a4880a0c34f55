/** Settings of a gateway's own ProxyConfig, and DestinationRules for byte streams, at a real Envoy. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect as connectHttp2, constants, type Settings } from 'node:http2';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import { type Backend, startBackend, until } from './gateway-clients.ts';
import { type GatewayRig, openGatewayRig } from './gateway-rig.ts';

const LIMIT_MS = 5_000;
const { NGHTTP2_CANCEL } = constants;
let rig: GatewayRig;
let backend: Backend;
const servers: Server[] = [];

before(async () => {
  rig = await openGatewayRig({
    proxyConfig: {
      connectionSettings: { profile: 'EDGE' },
      proxyHeaders: { server: { value: 'front' } },
    },
  });
  backend = await startBackend(rig.address, 'app');
});

after(async () => {
  for (const server of servers) server.close();
  backend[Symbol.dispose]();
  await rig[Symbol.asyncDispose]();
});

async function listening(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, rig.address);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A gateway's port for one host that is reached at a port of this machine. */
function site(name: string, protocol: 'HTTP' | 'TCP', listen: number, to: number): string {
  const kind = protocol.toLowerCase();
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec:
  hosts: [${name}.test]
  ports: [{number: 80, name: main, protocol: ${protocol}}]
  resolution: STATIC
  endpoints: [{address: ${rig.address}, ports: {main: ${to}}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: ${listen}, name: main, protocol: ${protocol}}, hosts: ['*']}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: istio-system}
spec:
  hosts: ['*']
  gateways: [${name}]
  ${kind}: [{route: [{destination: {host: ${name}.test}}]}]
`;
}

function destinationRule(name: string, policy: string): string {
  return `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}, namespace: default}
spec: {host: ${name}.test, trafficPolicy: ${policy}}
`;
}

test('the edge profile refuses header names with underscores (T18); the gateway has the name that it was given', async () => {
  const port = await rig.port();
  await rig.apply(site('web', 'HTTP', port, backend.port));
  const ask = async (headers: Record<string, string>) => {
    const answer = await fetch(`http://${rig.address}:${port}/`, { headers });
    return [answer.status, answer.headers.get('server')];
  };
  await until(
    'a way',
    () => ask({}).catch(() => [0]),
    ([status]) => status === 200,
  );
  deepStrictEqual(await ask({ 'x-plain': 'a' }), [200, 'front']);
  strictEqual((await ask({ x_user: 'a' }))[0], 400);
});

test('the edge profile bounds streams and windows, and a flood of requests taken back does not stop the gateway (T37)', async () => {
  const port = await rig.port();
  await rig.apply(site('flood', 'HTTP', port, backend.port));
  const url = `http://${rig.address}:${port}`;
  const ask = async (): Promise<number> =>
    (await fetch(url, { headers: { connection: 'close' } }).catch(() => undefined))?.status ?? 0;
  await until('a way', ask, (status) => status === 200);
  const session = connectHttp2(url);
  session.on('error', () => session.destroy());
  const [settings] = (await once(session, 'remoteSettings')) as [Settings];
  deepStrictEqual([settings.maxConcurrentStreams, settings.initialWindowSize], [100, 65_536]);
  const ended = once(session, 'close', { signal: AbortSignal.timeout(LIMIT_MS) });
  const flood = setInterval(() => {
    for (let i = 0; i < 200 && !session.destroyed; i++) {
      const stream = session.request({ ':path': '/' });
      stream.on('error', () => {});
      stream.close(NGHTTP2_CANCEL);
    }
  }, 1);
  await ended.finally(() => clearInterval(flood));
  strictEqual(await ask(), 200);
});

test('a stream is ended when it has been open for as long as its DestinationRule allows', async () => {
  const to = await listening(
    createServer((socket) => socket.on('error', () => socket.destroy()).write('open')),
  );
  const port = await rig.port();
  const policy = '{connectionPool: {tcp: {maxConnectionDuration: 0.3s}}}';
  await rig.apply(site('short', 'TCP', port, to) + destinationRule('short', policy));
  const socket = connect({ host: rig.address, port });
  socket.setTimeout(LIMIT_MS, () => socket.destroy(new Error('still open')));
  const [first] = (await once(socket, 'data')) as [Buffer];
  strictEqual(first.toString(), 'open');
  const sinceMs = performance.now();
  await once(socket, 'close');
  const tookMs = performance.now() - sinceMs;
  ok(tookMs > 100 && tookMs < LIMIT_MS, String(tookMs));
});

test('a stream goes through an HTTP proxy where its DestinationRule says so', async () => {
  const asked: (string | undefined)[] = [];
  const proxy = createHttpServer();
  proxy.on('connect', (request, socket) => {
    asked.push(request.url);
    socket.on('error', () => socket.destroy());
    socket.end('HTTP/1.1 200 OK\r\n\r\nthrough');
  });
  const to = await listening(proxy);
  const port = await rig.port();
  const policy = '{tunnel: {protocol: CONNECT, targetHost: far.test, targetPort: 8443}}';
  await rig.apply(site('far', 'TCP', port, to) + destinationRule('far', policy));
  const socket = connect({ host: rig.address, port });
  socket.setTimeout(LIMIT_MS, () => socket.destroy(new Error('still open')));
  const [first] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  deepStrictEqual([first.toString(), asked], ['through', ['far.test:8443']]);
});

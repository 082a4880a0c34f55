/** What mesh config, ProxyConfig and ports say of HTTP connections, at a real Envoy: both ways through a sidecar, and a gateway. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer, request } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { PLAIN_TRAITS } from '#model/proxy.ts';
import { openSidecarRig, type SidecarRig } from './sidecar-rig.ts';
import { callHttp, startHttp2App, startHttpApp, type TestApp } from './test-apps.ts';

const LIMIT_MS = 5_000;
let rig: SidecarRig;
let app: TestApp;
const servers: Server[] = [];

before(async () => {
  rig = await openSidecarRig();
  app = await startHttpApp(rig.own);
});

after(async () => {
  for (const server of servers) server.close();
  await (app as TestApp | undefined)?.close();
  await (rig as SidecarRig | undefined)?.[Symbol.asyncDispose]();
});

/** The workload's port leads to the application; `out.test` leads there by the sidecar's outbound listener on the same port. */
function mesh(port: number, to: number, protocol = 'HTTP'): string {
  return `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: default}
spec:
  ingress:
    - port: {number: ${port}, protocol: ${protocol}, name: main}
      defaultEndpoint: 0.0.0.0:${to}
  egress:
    - {port: {number: ${port}, protocol: ${protocol}, name: main}, captureMode: NONE, bind: ${rig.address}, hosts: [./*]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out, namespace: default}
spec:
  hosts: [out.test]
  resolution: STATIC
  ports: [{name: main, number: ${port}, protocol: ${protocol}}]
  endpoints: [{address: ${rig.own}, ports: {main: ${to}}}]
`;
}

/** All that comes back for these bytes, until the other side ends or `until` was seen. */
async function raw(address: string, port: number, text: string, until?: RegExp): Promise<string> {
  const socket = connect(port, address);
  let got = '';
  socket.setTimeout(LIMIT_MS, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    got += chunk.toString();
    if (until?.test(got) === true) socket.destroy();
  });
  socket.write(text);
  await once(socket, 'close');
  return got;
}

/** A server that answers every connection with this text, and keeps what it was sent. */
async function rawServer(answer: string, seen: string[]): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', (chunk: Buffer) => {
      seen.push(chunk.toString());
      socket.end(answer);
    });
  });
  return listening(server);
}

async function listening(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, rig.own);
  await once(server, 'listening');
  const bound = server.address();
  ok(bound !== null && typeof bound === 'object');
  return bound.port;
}

const BOTH_WAYS = ['inbound', 'outbound'] as const;

describe('both ways', () => {
  test('a WebSocket is opened through the sidecar', async () => {
    const server = createHttpServer();
    server.on('upgrade', (_incoming, socket: Socket) => {
      socket.on('error', () => socket.destroy());
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n');
      socket.pipe(socket);
    });
    const [port, to] = [await rig.port(), await listening(server)];
    await rig.serve(mesh(port, to));
    for (const way of BOTH_WAYS) {
      const outgoing = request({
        host: way === 'inbound' ? rig.own : rig.address,
        port,
        headers: { host: 'out.test', upgrade: 'websocket', connection: 'upgrade' },
        agent: false,
      }).end();
      const [answer, socket] = (await once(outgoing, 'upgrade')) as [{ statusCode: number }, Socket];
      strictEqual(answer.statusCode, 101, way);
      socket.write('hello');
      strictEqual(String((await once(socket, 'data'))[0]), 'hello', way);
      socket.destroy();
    }
  });

  test('header names keep their case when the ProxyConfig asks for it', async () => {
    const seen: string[] = [];
    const to = await rawServer('HTTP/1.1 200 OK\r\nX-From-App: 1\r\nContent-Length: 0\r\n\r\n', seen);
    const port = await rig.port();
    const casing = async (way: (typeof BOTH_WAYS)[number]): Promise<readonly boolean[]> => {
      const address = way === 'inbound' ? rig.own : rig.address;
      const text = 'GET / HTTP/1.1\r\nHost: out.test\r\nX-My-Header: 1\r\nConnection: close\r\n\r\n';
      const answer = await raw(address, port, text);
      match(answer, /^HTTP\/1.1 200 /);
      return [(seen.at(-1) ?? '').includes('\r\nX-My-Header: 1'), answer.includes('\r\nX-From-App: 1')];
    };
    await rig.serve(mesh(port, to), {
      defaultConfig: { proxyHeaders: { preserveHttp1HeaderCase: true } },
    });
    deepStrictEqual(await Promise.all(BOTH_WAYS.map(casing)), [
      [true, true],
      [true, true],
    ]);
    await rig.serve(mesh(port, to));
    deepStrictEqual(await Promise.all(BOTH_WAYS.map(casing)), [
      [false, false],
      [false, false],
    ]);
  });

  test('gRPC of browsers becomes gRPC', async () => {
    const grpc = await startHttp2App(rig.own);
    const port = await rig.port();
    await rig.serve(mesh(port, grpc.port, 'GRPC-WEB'));
    for (const way of BOTH_WAYS) {
      const answer = await callHttp({
        address: way === 'inbound' ? rig.own : rig.address,
        port,
        path: '/pack.Service/Call',
        method: 'POST',
        headers: { host: 'out.test', 'content-type': 'application/grpc-web+proto', 'content-length': '5' },
        body: Buffer.alloc(5),
      });
      strictEqual(answer.status, 200, way);
      match(answer.headers['content-type'] ?? '', /^application\/grpc-web/, way);
      // Trailers come as the last frame of the body.
      match(answer.body, /grpc-status:0/, way);
    }
    await grpc.close();
  });
});

describe('HTTP/1.0', () => {
  const call = async (port: number): Promise<string> => {
    const answer = await raw(rig.own, port, 'GET / HTTP/1.0\r\nHost: out.test\r\n\r\n');
    return answer.split(' ')[1] ?? '';
  };

  test('is refused, and taken from a proxy that asks for it', async () => {
    const port = await rig.port();
    await rig.serve(mesh(port, app.port));
    strictEqual(await call(port), '426');
    await rig.serve(mesh(port, app.port), {}, { traits: { ...PLAIN_TRAITS, http10: true } });
    strictEqual(await call(port), '200');
  });
});

test('headers of the proxy are as the ProxyConfig asks', async () => {
  const port = await rig.port();
  const headers = async (way: (typeof BOTH_WAYS)[number]): Promise<readonly unknown[]> => {
    const address = way === 'inbound' ? rig.own : rig.address;
    const answer = await callHttp({ address, port, headers: { host: 'out.test' } });
    const seen = JSON.parse(answer.body).headers as Record<string, string>;
    return [
      answer.headers['server'],
      'x-request-id' in seen,
      seen['x-envoy-attempt-count'],
      'x-envoy-upstream-service-time' in answer.headers,
    ];
  };
  await rig.serve(mesh(port, app.port));
  deepStrictEqual(await headers('inbound'), ['istio-envoy', true, undefined, true]);
  deepStrictEqual(await headers('outbound'), ['envoy', true, '1', true]);
  await rig.serve(mesh(port, app.port), {
    defaultConfig: {
      proxyHeaders: {
        server: { value: 'ours' },
        requestId: { disabled: true },
        attemptCount: { disabled: true },
        envoyDebugHeaders: { disabled: true },
      },
    },
  });
  deepStrictEqual(await headers('inbound'), ['ours', false, undefined, false]);
  deepStrictEqual(await headers('outbound'), ['ours', false, undefined, false]);
});

describe('X-Forwarded-For at a gateway', () => {
  const gateway = (port: number, to: number): string => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  selector: {istio: edge}
  servers: [{hosts: ['*'], port: {name: http, number: ${port}, protocol: HTTP}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: out, namespace: default}
spec:
  hosts: [out.test]
  gateways: [edge]
  http: [{route: [{destination: {host: app.test}}]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: app, namespace: default}
spec:
  hosts: [app.test]
  resolution: STATIC
  ports: [{name: http, number: 80, protocol: HTTP}]
  endpoints: [{address: ${rig.own}, ports: {http: ${to}}}]
`;
  const FORWARDED = '8.8.8.8, 9.9.9.9';

  for (const [hops, external] of [
    [0, '127.0.0.1'],
    [1, '9.9.9.9'],
    [2, '8.8.8.8'],
  ] as const) {
    test(`${hops} trusted proxies in front: ${external} is the client`, async () => {
      const port = await rig.port();
      const gatewayTopology = { numTrustedProxies: hops };
      const edge = { type: 'router', labels: { istio: 'edge' }, proxyConfig: { gatewayTopology } } as const;
      await rig.serve(gateway(port, app.port), {}, edge);
      const answer = await callHttp({
        address: rig.address,
        port,
        headers: { host: 'out.test', 'x-forwarded-for': FORWARDED },
      });
      strictEqual(answer.status, 200, answer.body);
      const { headers } = JSON.parse(answer.body) as { headers: Record<string, string> };
      strictEqual(headers['x-envoy-external-address'], external);
      ok(headers['x-forwarded-for']?.startsWith(FORWARDED));
    });
  }
});

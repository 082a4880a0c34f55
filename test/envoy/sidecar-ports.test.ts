/** Ports that a Sidecar object asks for, and what becomes of destinations that nobody knows, at a real Envoy. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { waitFor } from './mesh-pair.ts';
import { openSidecarRig, type SidecarRig } from './sidecar-rig.ts';
import { callHttp } from './test-apps.ts';

let rig: SidecarRig;
const folder = mkdtempSync(join(tmpdir(), 'lateen-ports-'));
const servers: Server[] = [];

before(async () => {
  rig = await openSidecarRig();
});

after(async () => {
  for (const server of servers) server.close();
  await (rig as SidecarRig | undefined)?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** An application that answers with its name; at a port of its own, or at a path. */
async function app(
  name: string,
  place: { readonly host: string } | { readonly path: string },
): Promise<number> {
  const server = createServer((_incoming, answer) => answer.end(name));
  servers.push(server);
  if ('path' in place) server.listen(place.path);
  else server.listen(0, place.host);
  await once(server, 'listening');
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : 0;
}

/** Status and body of a request to the HTTP proxy of the sidecar, as an application sends it. */
async function throughProxy(authority: string): Promise<readonly [number, string]> {
  const path = `http://${authority}/`;
  const answer = await callHttp({
    address: rig.own,
    port: rig.proxyPort,
    path,
    headers: { host: authority },
  });
  return [answer.status, answer.body];
}

describe('ingress of a Sidecar', () => {
  test('leads to another port and to a Unix socket', async () => {
    const socket = join(folder, 'app');
    await app('at the socket', { path: socket });
    const behind = await app('at the port', { host: '127.0.0.1' });
    const [one, two] = [await rig.port(), await rig.port()];
    await rig.serve(`
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: default}
spec:
  ingress:
    - port: {number: ${one}, protocol: HTTP, name: http}
      defaultEndpoint: 127.0.0.1:${behind}
    - port: {number: ${two}, protocol: HTTP, name: http-socket}
      defaultEndpoint: unix://${socket}
`);
    const bodies = [one, two].map(async (port) => (await callHttp({ address: rig.own, port })).body);
    deepStrictEqual(await Promise.all(bodies), ['at the port', 'at the socket']);
  });

  test('has a pool of its own: requests beyond it are refused at once', async () => {
    const waiting: (() => void)[] = [];
    const slow = createServer((_incoming, answer) => void waiting.push(() => answer.end('slow')));
    servers.push(slow);
    slow.listen(0, '127.0.0.1');
    await once(slow, 'listening');
    const behind = (slow.address() as AddressInfo).port;
    const port = await rig.port();
    await rig.serve(`
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: default}
spec:
  inboundConnectionPool: {http: {http2MaxRequests: 1}}
  ingress:
    - port: {number: ${port}, protocol: HTTP, name: http}
      defaultEndpoint: 127.0.0.1:${behind}
`);
    const call = () => callHttp({ address: rig.own, port });
    const first = call();
    await waitFor('the first request', () => waiting.length === 1 || undefined);
    strictEqual((await call()).status, 503);
    waiting[0]?.();
    strictEqual((await first).body, 'slow');
  });
});

describe('egress of a Sidecar', () => {
  const entry = (host: string, port: number, to: number): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${host.split('.')[0]}, namespace: default}
spec:
  hosts: [${host}]
  resolution: STATIC
  ports: [{name: http, number: ${port}, protocol: HTTP}]
  endpoints: [{address: ${rig.own}, ports: {http: ${to}}}]
---
`;

  test('listens at the port and at the Unix socket that it names, for the hosts that it names', async () => {
    const [a, b] = [await app('a', { host: rig.own }), await app('b', { host: rig.own })];
    const port = await rig.port();
    const path = join(folder, 'egress');
    await rig.serve(`${entry('a.test', port, a)}${entry('b.test', port, b)}
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: default}
spec:
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  egress:
    - {port: {number: ${port}, protocol: HTTP, name: http}, bind: ${rig.address}, captureMode: NONE, hosts: [./a.test]}
    - {port: {number: 0, protocol: HTTP, name: unix}, bind: 'unix://${path}', captureMode: NONE, hosts: [./b.test]}
    - {hosts: [~/*]}
`);
    const atPort = async (host: string): Promise<readonly [number, string]> => {
      const answer = await callHttp({ address: rig.address, port, headers: { host: `${host}:${port}` } });
      return [answer.status, answer.body];
    };
    deepStrictEqual(await atPort('a.test'), [200, 'a']);
    strictEqual((await atPort('b.test'))[0], 502);
    const outgoing = request({ socketPath: path, headers: { host: `b.test:${port}` }, agent: false }).end();
    const [answer] = await once(outgoing, 'response');
    strictEqual(await text(answer), 'b');
  });

  test('decides whether destinations without a service are reached', async () => {
    const port = await app('unknown', { host: rig.own });
    const policy = (mode: string): string => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: default}
spec:
  outboundTrafficPolicy: {mode: ${mode}}
`;
    await rig.serve(policy('REGISTRY_ONLY'));
    deepStrictEqual(await throughProxy(`${rig.own}:${port}`), [502, '']);
    await rig.serve(policy('ALLOW_ANY'), { outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } });
    deepStrictEqual(await throughProxy(`${rig.own}:${port}`), [200, 'unknown']);
    // It would ask itself for ever.
    deepStrictEqual(await throughProxy(`${rig.own}:${rig.proxyPort}`), [502, '']);
  });

  test('may send what has no service to an egress proxy', async () => {
    const proxy = await app('the egress proxy', { host: rig.own });
    const port = await rig.port();
    await rig.serve(`${entry('exit.test', port, proxy)}
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: default}
spec:
  outboundTrafficPolicy:
    mode: ALLOW_ANY
    egressProxy: {host: exit.test, port: {number: ${port}}}
`);
    deepStrictEqual(await throughProxy('nobody.test'), [200, 'the egress proxy']);
  });
});

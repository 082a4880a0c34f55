/** tcp and tls rules of VirtualServices, and what DestinationRules say of byte streams, at a real Envoy. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { openSidecarRig, type SidecarRig } from './sidecar-rig.ts';
import { createTestAuthority } from './workload-certificates.ts';

const LIMIT_MS = 5_000;
let rig: SidecarRig;
const servers: Server[] = [];

before(async () => {
  rig = await openSidecarRig();
});

after(async () => {
  for (const server of servers) server.close();
  await (rig as SidecarRig | undefined)?.[Symbol.asyncDispose]();
});

/** A port at which every connection is told this name. */
function named(name: string): Promise<number> {
  return listening(
    createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(name);
    }),
  );
}

async function listening(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, rig.own);
  await once(server, 'listening');
  const bound = server.address();
  ok(bound !== null && typeof bound === 'object');
  return bound.port;
}

/** All that a connection is told until it ends. */
async function told(port: number, localAddress?: string): Promise<string> {
  const socket = connect({
    port,
    host: rig.address,
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  return untilEnd(socket);
}

function untilEnd(socket: Socket): Promise<string> {
  let got = '';
  socket.setTimeout(LIMIT_MS, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    got += chunk.toString();
  });
  return new Promise((resolve) => socket.on('close', () => resolve(got)));
}

/** A service of two versions on one port. */
function versions(port: number, v1: number, v2: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: default}
spec:
  hosts: [db.test]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{name: tcp, number: ${port}, protocol: TCP}]
  endpoints:
    - {address: ${rig.own}, ports: {tcp: ${v1}}, labels: {version: v1}}
    - {address: ${rig.own}, ports: {tcp: ${v2}}, labels: {version: v2}}
---
`;
}

/** With a policy that changes nothing, when none is given. */
function destinationRule(policy = '{connectionPool: {tcp: {connectTimeout: 5s}}}'): string {
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: db, namespace: default}
spec:
  host: db.test
  trafficPolicy: ${policy}
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
---
`;
}

describe('tcp rules', () => {
  test('share connections by weight', async () => {
    const [port, v1, v2] = [await rig.port(), await named('v1'), await named('v2')];
    await rig.serve(`${versions(port, v1, v2)}${destinationRule()}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: default}
spec:
  hosts: [db.test]
  tcp:
    - route:
        - {destination: {host: db.test, subset: v1}, weight: 80}
        - {destination: {host: db.test, subset: v2}, weight: 20}
`);
    const counts = { v1: 0, v2: 0 };
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => told(port)));
      for (const answer of answers) counts[answer as 'v1' | 'v2']++;
    }
    strictEqual(counts.v1 + counts.v2, 400);
    // Five standard deviations (8) beside the mean.
    ok(counts.v2 > 40 && counts.v2 < 120, JSON.stringify(counts));
  });

  test('are for the workloads and the ports that they name', async () => {
    const [port, v1, v2] = [await rig.port(), await named('v1'), await named('v2')];
    const rules = (labels: string): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: default}
spec:
  hosts: [db.test]
  tcp:
    - match: [{port: 1}, {sourceLabels: ${labels}}]
      route: [{destination: {host: db.test, subset: v1}}]
    - route: [{destination: {host: db.test, subset: v2}}]
`;
    const common = `${versions(port, v1, v2)}${destinationRule()}`;
    const labels = { labels: { version: 'v1' } };
    await rig.serve(`${common}${rules('{version: v1}')}`, {}, labels);
    strictEqual(await told(port), 'v1');
    await rig.serve(`${common}${rules('{version: v9}')}`, {}, labels);
    strictEqual(await told(port), 'v2');
  });
});

test('tls rules choose by server name, and pass the connection on as it is', async () => {
  const authority = await createTestAuthority();
  const server = async (name: string): Promise<number> => {
    const { key, chain } = await authority.issue(`spiffe://test/${name}`, {});
    return listening(
      createTlsServer({ key, cert: chain }, (socket) => {
        socket.on('error', () => socket.destroy());
        socket.end(`${name} ${socket.servername}`);
      }),
    );
  };
  const [port, one, two] = [await rig.port(), await server('one'), await server('two')];
  const entry = (name: string, hosts: string, to: number): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec:
  hosts: ${hosts}
  resolution: STATIC
  ports: [{name: tls, number: ${port}, protocol: TLS}]
  endpoints: [{address: ${rig.own}, ports: {tls: ${to}}}]
---
`;
  await rig.serve(`${entry('one', '[one.test]', one)}${entry('two', '[two.test, www.two.test]', two)}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: moved, namespace: default}
spec:
  hosts: [two.test]
  tls:
    - match: [{port: ${port}, sniHosts: [two.test]}]
      route: [{destination: {host: one.test, port: {number: ${port}}}}]
`);
  const byName = (servername: string): Promise<string> =>
    untilEnd(connectTls({ port, host: rig.address, servername, rejectUnauthorized: false }));
  deepStrictEqual(await Promise.all(['one.test', 'two.test', 'www.two.test', 'three.test'].map(byName)), [
    'one one.test',
    'one two.test',
    'two www.two.test',
    '',
  ]);
});

describe('a DestinationRule', () => {
  test('ends connections that are idle', async () => {
    const echo = await listening(createServer((socket) => socket.on('error', () => socket.destroy())));
    const port = await rig.port();
    await rig.serve(
      `${versions(port, echo, echo)}${destinationRule('{connectionPool: {tcp: {idleTimeout: 0.3s}}}')}`,
    );
    const start = performance.now();
    strictEqual(await told(port), '');
    const tookMs = performance.now() - start;
    ok(tookMs >= 250 && tookMs < LIMIT_MS, String(tookMs));
  });

  test('keeps a client address at one endpoint by consistent hash', async () => {
    const [port, v1, v2] = [await rig.port(), await named('v1'), await named('v2')];
    const policy = '{loadBalancer: {consistentHash: {useSourceIp: true}}}';
    await rig.serve(`${versions(port, v1, v2)}${destinationRule(policy)}`);
    const clients = Array.from({ length: 16 }, (_, index) => `127.77.1.${index + 1}`);
    const answers = await Promise.all(
      clients.map(async (client) => new Set([await told(port, client), await told(port, client)])),
    );
    deepStrictEqual(
      answers.filter(({ size }) => size !== 1),
      [],
    );
    strictEqual(new Set(answers.flatMap((answer) => [...answer])).size, 2);
  });

  test('opens a tunnel through an HTTP proxy', async () => {
    const asked: (string | undefined)[] = [];
    const proxy = createHttpServer();
    proxy.on('connect', (request, socket) => {
      asked.push(request.url);
      socket.on('error', () => socket.destroy());
      socket.end('HTTP/1.1 200 OK\r\n\r\nthrough');
    });
    const to = await listening(proxy);
    const port = await rig.port();
    await rig.serve(
      `${versions(port, to, to)}${destinationRule('{tunnel: {protocol: CONNECT, targetHost: far.test, targetPort: 8443}}')}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: default}
spec:
  hosts: [db.test]
  tcp: [{route: [{destination: {host: db.test}}]}]
`,
    );
    strictEqual(await told(port), 'through');
    deepStrictEqual(asked, ['far.test:8443']);
  });
});

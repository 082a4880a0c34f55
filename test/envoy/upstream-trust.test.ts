/** Whom a client's sidecar believes, on a real Envoy: names in certificates, and nobody before it knows its roots. */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { createIssuer, type TestIssuer } from '#identity/certificate-rig.ts';
import { ruleFor } from './live-endpoints.ts';
import { LiveSidecar } from './live-sidecar.ts';
import { waitFor } from './mesh-pair.ts';

let issuer: TestIssuer;
const servers: Server[] = [];
let connections = 0;

before(async () => {
  issuer = await createIssuer('servers');
});

after(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

/** A sidecar that believes the issuer. */
function startSidecar(): Promise<LiveSidecar> {
  const authority = { root: issuer.root, issue: (uri: string) => issuer.issue({ uri }) };
  return LiveSidecar.start({ authority });
}

async function startServer(names: {
  readonly dns?: readonly string[];
  readonly uri?: string;
}): Promise<number> {
  const { key, chain } = await issuer.issue(names);
  const server = createServer({ key, cert: chain }, (_request, answer) => void answer.end('believed'));
  server.on('connection', () => connections++);
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function entry(host: string, port: number, location: string, labels = ''): string {
  return `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${host.replaceAll('.', '-')}}
spec:
  hosts: [${host}]
  location: ${location}
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: ${port}}${labels}}]
`;
}

test('T34: names in certificates: a wildcard stands for one label, a name ends where it ends', async () => {
  await using sidecar = await startSidecar();
  const cases: readonly (readonly [shown: string, wanted: string, status: number])[] = [
    ['a.example.com', 'a.example.com', 200],
    ['*.example.com', 'a.example.com', 200],
    ['*.example.com', 'a.b.example.com', 503],
    ['*.example.com', 'example.com', 503],
    ['a.b.example.com', '*.example.com', 503],
    ['a.example.com.evil.test', 'a.example.com', 503],
    ['a.example.com\0.evil.test', 'a.example.com', 503],
    ['*', 'a.example.com', 503],
  ];
  const objects: string[] = [];
  for (const [i, [shown, wanted]] of cases.entries()) {
    const port = await startServer({ dns: [shown] });
    const tls = `{mode: SIMPLE, sni: x, caCertificates: /roots.pem, subjectAltNames: ['${wanted}']}`;
    objects.push(
      entry(`name${i}.test`, port, 'MESH_EXTERNAL'),
      '---',
      ruleFor(`name${i}.test`, `{tls: ${tls}}`),
    );
  }
  await sidecar.apply(objects.join(''));
  const got: (readonly [string, string, number])[] = [];
  for (const [i, [shown, wanted]] of cases.entries())
    got.push([shown, wanted, (await sidecar.call(`name${i}.test`)).status]);
  deepStrictEqual(got, cases);
});

test('T35: without roots nobody is called; the cluster waits for them', async () => {
  await using sidecar = await startSidecar();
  const [plainPort, port] = [
    await startServer({}),
    await startServer({ uri: 'spiffe://cluster.local/ns/default/sa/a' }),
  ];
  const mesh = ', labels: {security.istio.io/tlsMode: istio}';
  await sidecar.apply(entry('before.test', plainPort, 'MESH_EXTERNAL'));
  sidecar.fixture.apply(entry('inner.test', port, 'MESH_INTERNAL', mesh));
  const snapshot = sidecar.fixture.entries('client');
  sidecar.feed.offer(snapshot);
  const name = 'outbound|80||inner.test';
  await waitFor('warming', async () => ((await sidecar.feed.warming()).includes(name) ? true : undefined));
  connections = 0;
  const early = await sidecar.call('inner.test');
  deepStrictEqual([early.status === 200, connections], [false, 0]);
  await sidecar.feed.update(snapshot);
  const answer = await waitFor('an answer', async () => {
    const one = await sidecar.call('inner.test');
    return one.status === 200 ? one : undefined;
  });
  deepStrictEqual(answer.body, 'believed');
  ok(connections > 0);
});

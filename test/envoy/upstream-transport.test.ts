/** How a sidecar reaches endpoints: TLS of all modes, PROXY protocol, Unix sockets, names looked up; seen at the endpoint. */
import { after, before, test } from 'node:test';
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { ruleFor } from './live-endpoints.ts';
import { LiveSidecar } from './live-sidecar.ts';
import { waitFor } from './mesh-pair.ts';
import { NameServer } from './name-server.ts';
import { freePort } from './static-envoy.ts';

const SERVER_ID = 'spiffe://cluster.local/ns/default/sa/server';

let sidecar: LiveSidecar;
let dns: NameServer;
let folder: string;
const closers: (() => void)[] = [];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lateen-transport-'));
  dns = await NameServer.start();
  sidecar = await LiveSidecar.start({ dnsPort: dns.port });
});

after(async () => {
  await sidecar[Symbol.asyncDispose]();
  dns[Symbol.dispose]();
  for (const close of closers) close();
  rmSync(folder, { recursive: true });
});

function entry(host: string, resolution: string, endpoints: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${host.replaceAll('.', '-')}}
spec:
  hosts: [${host}]
  location: MESH_INTERNAL
  resolution: ${resolution}
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [${endpoints}]
`;
}

interface Handshake {
  readonly servername: string | false | null;
  readonly alpn: string | false | null;
  readonly client: string | undefined;
}

/** A server that ends TLS, and what it saw of each handshake. */
async function startTlsServer(asksForCertificate: boolean): Promise<{ port: number; seen: Handshake[] }> {
  const { authority } = sidecar.feed;
  const { key, chain } = await authority.issue(SERVER_ID, { CN: 'server' });
  const seen: Handshake[] = [];
  const http = createServer((_incoming, answer) => void answer.end('secured'));
  const server = createTlsServer(
    {
      key,
      cert: chain,
      ca: authority.root,
      requestCert: asksForCertificate,
      rejectUnauthorized: asksForCertificate,
      ALPNProtocols: ['istio-http/1.1', 'istio', 'http/1.1'],
    },
    (socket: TLSSocket) => {
      const { subjectaltname } = socket.getPeerCertificate();
      seen.push({ servername: socket.servername, alpn: socket.alpnProtocol, client: subjectaltname });
      http.emit('connection', socket);
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  return { port: (server.address() as AddressInfo).port, seen };
}

const TLS_CASES: readonly (readonly [string, string, boolean, Handshake])[] = [
  [
    'SIMPLE checks the server and shows no certificate',
    `{mode: SIMPLE, sni: api.example.com, caCertificates: FOLDER/root.pem, subjectAltNames: ['${SERVER_ID}']}`,
    false,
    { servername: 'api.example.com', alpn: 'http/1.1', client: undefined },
  ],
  [
    'MUTUAL shows a certificate from files',
    `{mode: MUTUAL, sni: api.example.com, caCertificates: FOLDER/root.pem, clientCertificate: FOLDER/c.pem, privateKey: FOLDER/k.pem, subjectAltNames: ['${SERVER_ID}']}`,
    true,
    {
      servername: 'api.example.com',
      alpn: 'http/1.1',
      client: 'URI:spiffe://cluster.local/ns/default/sa/default',
    },
  ],
  [
    'ISTIO_MUTUAL shows the workload and says which cluster it means',
    `{mode: ISTIO_MUTUAL, subjectAltNames: ['${SERVER_ID}']}`,
    true,
    {
      servername: 'outbound_.80_._.HOST',
      alpn: 'istio-http/1.1',
      client: 'URI:spiffe://cluster.local/ns/default/sa/default',
    },
  ],
  [
    'nobody is checked where the rule says so',
    '{mode: SIMPLE, insecureSkipVerify: true, sni: api.example.com}',
    false,
    { servername: 'api.example.com', alpn: 'http/1.1', client: undefined },
  ],
];

for (const [i, [sentence, tls, isMutual, expected]] of TLS_CASES.entries()) {
  test(sentence, async () => {
    const host = `tls${i}.test`;
    const { port, seen } = await startTlsServer(isMutual);
    // Sidecars have the certificates of files from their agent, by name; what is in the files is the rig's business.
    writeFileSync(join(folder, 'root.pem'), sidecar.feed.authority.root);
    const labels =
      isMutual && tls.includes('ISTIO_MUTUAL') ? ', labels: {security.istio.io/tlsMode: istio}' : '';
    const endpoint = `{address: 127.0.0.1, ports: {http: ${port}}${labels}}`;
    const rule = ruleFor(host, `{tls: ${tls.replaceAll('FOLDER', folder)}}`);
    await sidecar.apply(`${entry(host, 'STATIC', endpoint)}---${rule}`);
    const { status, body } = await sidecar.call(host);
    deepStrictEqual([status, body], [200, 'secured']);
    const [handshake] = seen;
    deepStrictEqual(handshake, {
      ...expected,
      servername: String(expected.servername).replace('HOST', host),
    });
  });
}

test('a server with another name is refused', async () => {
  const { port, seen } = await startTlsServer(false);
  const tls = `{mode: SIMPLE, caCertificates: ${folder}/root.pem, sni: x, subjectAltNames: [other.example.com]}`;
  await sidecar.apply(
    `${entry('wrong.test', 'STATIC', `{address: 127.0.0.1, ports: {http: ${port}}}`)}---${ruleFor('wrong.test', `{tls: ${tls}}`)}`,
  );
  strictEqual((await sidecar.call('wrong.test')).status, 503);
  ok((await sidecar.stat('outbound|80||wrong.test', 'ssl.fail_verify_san')) > 0);
  strictEqual(seen.length, 0);
});

for (const version of ['V1', 'V2']) {
  test(`the server learns the client by PROXY protocol ${version}`, async () => {
    const heads: Buffer[] = [];
    const server = createTcpServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.once('data', (head: Buffer) => {
        heads.push(head);
        socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nproxy');
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const host = `proxy-${version.toLowerCase()}.test`;
    await sidecar.apply(
      `${entry(host, 'STATIC', `{address: 127.0.0.1, ports: {http: ${port}}}`)}---${ruleFor(host, `{proxyProtocol: {version: ${version}}}`)}`,
    );
    strictEqual((await sidecar.call(host, { from: '127.7.7.7' })).body, 'proxy');
    const head = heads[0] ?? Buffer.alloc(0);
    if (version === 'V1') match(head.toString('latin1'), /^PROXY TCP4 127\.7\.7\.7 127\./);
    else {
      strictEqual(head.subarray(0, 12).toString('latin1'), '\r\n\r\n\0\r\nQUIT\n');
      deepStrictEqual([...head.subarray(16, 20)], [127, 7, 7, 7]);
    }
  });
}

test('an endpoint may be a Unix socket', async () => {
  const path = join(folder, 'app.sock');
  const server: Server = createServer((_incoming, answer) => void answer.end('socket')).listen(path);
  await once(server, 'listening');
  closers.push(() => server.close());
  await sidecar.apply(entry('unix.test', 'STATIC', `{address: 'unix://${path}'}`));
  strictEqual((await sidecar.call('unix.test')).body, 'socket');
});

/** Servers at two addresses and one port, that say where they are. */
async function startPair(): Promise<number> {
  const port = await freePort('127.0.0.1');
  for (const address of ['127.3.0.1', '127.3.0.2']) {
    const server = createServer((_incoming, answer) => void answer.end(address)).listen(port, address);
    await once(server, 'listening');
    closers.push(() => server.close());
  }
  return port;
}

test('DNS balances over all addresses of a name', async () => {
  const port = await startPair();
  dns.set('both.example', '127.3.0.1', '127.3.0.2');
  await sidecar.apply(entry('dns.test', 'DNS', `{address: both.example, ports: {http: ${port}}}`));
  const counts = await sidecar.count('dns.test', 40);
  deepStrictEqual([...counts.keys()].sort(), ['127.3.0.1', '127.3.0.2']);
});

test('DNS_ROUND_ROBIN goes to the address that the last look-up named first', async () => {
  const port = await startPair();
  dns.set('turn.example', '127.3.0.1', '127.3.0.2');
  await sidecar.apply(
    entry('logical.test', 'DNS_ROUND_ROBIN', `{address: turn.example, ports: {http: ${port}}}`),
  );
  deepStrictEqual([...(await sidecar.count('logical.test', 10))], [['127.3.0.1', 10]]);
  dns.set('turn.example', '127.3.0.2', '127.3.0.1');
  // Records live for a second; a pool goes on with its connection, and each of our calls asks for the newest address.
  await waitFor('the other address', async () => {
    return (await sidecar.call('logical.test')).body === '127.3.0.2' || undefined;
  });
});

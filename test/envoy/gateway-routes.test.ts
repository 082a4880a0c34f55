/** Which VirtualServices a gateway obeys, in which order, and what passes through it besides plain requests: a real Envoy. */
import { deepStrictEqual, match, strictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createIssuer, type TestIssuer } from '#identity/certificate-rig.ts';
import { secretYaml } from '../support/secret-yaml.ts';
import { openTls, until } from './gateway-clients.ts';
import { type GatewayRig, openGatewayRig } from './gateway-rig.ts';
import { createTokens, ISSUER, type TokenSet } from './simulation-tokens.ts';
import { callHttp, startHttp2App, startHttpApp, type TestApp } from './test-apps.ts';

const NAMESPACE = 'istio-system';
let rig: GatewayRig;
let issuer: TestIssuer;
let tokens: TokenSet;
let app: TestApp;
let grpc: TestApp;
/** Plain HTTP, HTTPS, and plain HTTP/2 for gRPC. */
let ports: { readonly http: number; readonly https: number; readonly h2: number };
let generation = 0;

before(async () => {
  rig = await openGatewayRig();
  issuer = await createIssuer('server authority');
  tokens = await createTokens();
  [app, grpc] = await Promise.all([startHttpApp(rig.address), startHttp2App(rig.address)]);
  const [http, https, h2] = await Promise.all([rig.port(), rig.port(), rig.port()]);
  ports = { http, https, h2 };
  const { chain, key } = await issuer.issue({ dns: ['left.test', 'right.test'] });
  const tls = { mode: 'SIMPLE', credentialName: 'web' };
  const server = (name: string, number: number, protocol: string, hosts: readonly string[], more = {}) => ({
    port: { number, name, protocol },
    hosts,
    ...more,
  });
  await rig.apply(
    [
      secretYaml('web', { cert: chain, key }),
      yaml(
        istio('Gateway', 'edge', {
          selector: { istio: 'ingressgateway' },
          servers: [
            server('http', http, 'HTTP', ['*']),
            server('left', https, 'HTTPS', ['left.test'], { tls }),
            server('right', https, 'HTTPS', ['right.test'], { tls }),
            server('grpc', h2, 'GRPC', ['*']),
          ],
        }),
        istio('Gateway', 'picky', {
          selector: { istio: 'ingressgateway' },
          servers: [server('own', http, 'HTTP', ['./own.test', 'shop/theirs.test'])],
        }),
        entry('app', app.port, 'HTTP'),
        entry('grpc', grpc.port, 'GRPC'),
      ),
    ].join('\n---\n'),
  );
});

after(async () => {
  await Promise.all([app.close(), grpc.close()]);
  await rig[Symbol.asyncDispose]();
});

const yaml = (...documents: readonly object[]): string =>
  documents.map((document) => JSON.stringify(document)).join('\n---\n');

function istio(kind: string, name: string, spec: object, namespace = NAMESPACE): object {
  const group = kind === 'RequestAuthentication' ? 'security' : 'networking';
  return { apiVersion: `${group}.istio.io/v1`, kind, metadata: { name, namespace }, spec };
}

function entry(name: string, port: number, protocol: string): object {
  return istio('ServiceEntry', name, {
    hosts: [`${name}.internal`],
    location: 'MESH_INTERNAL',
    resolution: 'STATIC',
    ports: [{ number: 80, name: 'main', protocol }],
    endpoints: [{ address: rig.address, ports: { main: port } }],
  });
}

interface Rule {
  readonly match?: readonly object[];
  readonly delegate?: object;
}

/** A rule that answers with its name. */
const says = (string: string, rule: Rule = {}): object => ({
  ...rule,
  directResponse: { status: 200, body: { string } },
});

const to = (name: string, rule: Rule = {}): object => ({
  ...rule,
  route: [{ destination: { host: `${name}.internal` } }],
});

const virtualService = (
  name: string,
  hosts: readonly string[],
  http: readonly object[],
  more: object = {},
  namespace = NAMESPACE,
): object =>
  istio('VirtualService', name, { hosts, gateways: [`${NAMESPACE}/edge`], http, ...more }, namespace);

/** Applies objects, and waits until a host that came with them answers. */
async function serve(...documents: readonly object[]): Promise<void> {
  const body = `generation ${++generation}`;
  await rig.apply(yaml(...documents, virtualService('marker', ['marker.test'], [says(body)])));
  await until(
    body,
    () => ask('marker.test').catch(() => ''),
    (answer) => answer === body,
  );
}

/** The body, or the status of what is no success. */
async function ask(
  host: string,
  path = '/',
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const answer = await callHttp({
    address: rig.address,
    port: ports.http,
    path,
    headers: { host, ...headers },
  });
  return answer.status === 200 ? answer.body : String(answer.status);
}

describe('VirtualServices', () => {
  test('of one host are one: their rules in the order of the objects, those for all requests last', async () => {
    const prefix = (path: string): Rule => ({ match: [{ uri: { prefix: path } }] });
    await serve(
      virtualService('many-1', ['many.test'], [says('first', prefix('/first')), says('rest')]),
      virtualService(
        'many-2',
        ['many.test', 'other.test'],
        [says('second', prefix('/second')), says('late')],
      ),
      virtualService(
        'many-3',
        ['many.test'],
        [says('too late', prefix('/first/deep')), says('third', prefix('/third'))],
      ),
    );
    const paths = ['/first', '/first/deep', '/second', '/third', '/else'];
    deepStrictEqual(await Promise.all(paths.map((path) => ask('many.test', path))), [
      'first',
      'first',
      'second',
      'third',
      'rest',
    ]);
    strictEqual(await ask('other.test', '/third'), 'late');
  });

  test('for the mesh and the gateway: each side gets its rules', async () => {
    await serve(
      virtualService(
        'both',
        ['both.test'],
        [
          says('mesh', { match: [{ gateways: ['mesh'] }] }),
          says('elsewhere', { match: [{ gateways: [`${NAMESPACE}/picky`] }] }),
          says('port', { match: [{ uri: { exact: '/port' }, port: ports.http }] }),
          says('gateway', { match: [{ gateways: [`${NAMESPACE}/edge`] }] }),
        ],
        { gateways: ['mesh', `${NAMESPACE}/edge`] },
      ),
      virtualService('mesh-only', ['mesh-only.test'], [says('never')], { gateways: ['mesh'] }),
    );
    deepStrictEqual(
      [await ask('both.test'), await ask('both.test', '/port'), await ask('mesh-only.test')],
      ['gateway', 'port', '404'],
    );
  });

  test('the longest name that fits decides, and ports in Host do not', async () => {
    await serve(
      virtualService('any', ['*.wild.test'], [says('any')]),
      virtualService('more', ['*.more.wild.test'], [says('more')]),
      virtualService('exact', ['a.more.wild.test'], [says('exact')]),
    );
    const hosts = [
      'x.wild.test',
      'x.more.wild.test',
      'a.more.wild.test',
      'A.MORE.WILD.TEST',
      'a.more.wild.test:81',
    ];
    deepStrictEqual(await Promise.all(hosts.map((host) => ask(host))), [
      'any',
      'more',
      'exact',
      'exact',
      'exact',
    ]);
  });

  test('come from namespaces that export them, and that the server asks for', async () => {
    const shop = (name: string, more: object): object =>
      virtualService(name, [`${name}.test`], [says(name)], more, 'shop');
    const picky = { gateways: [`${NAMESPACE}/picky`] };
    await serve(
      shop('exported', {}),
      shop('private', { exportTo: ['.'] }),
      shop('given', { exportTo: [NAMESPACE] }),
      shop('theirs', picky),
      shop('own', picky),
    );
    deepStrictEqual(
      await Promise.all(['exported', 'private', 'given', 'theirs', 'own'].map((name) => ask(`${name}.test`))),
      ['exported', '404', 'given', 'theirs', '404'],
    );
  });

  test('delegate to others, also in other namespaces', async () => {
    await serve(
      virtualService(
        'root',
        ['root.test'],
        [
          { match: [{ uri: { prefix: '/shop' } }], delegate: { name: 'part', namespace: 'shop' } },
          says('root'),
        ],
      ),
      istio(
        'VirtualService',
        'part',
        { http: [says('cart', { match: [{ uri: { prefix: '/shop/cart' } }] }), says('shop')] },
        'shop',
      ),
    );
    deepStrictEqual(await Promise.all(['/shop/cart', '/shop', '/'].map((path) => ask('root.test', path))), [
      'cart',
      'shop',
      'root',
    ]);
  });

  test('route by what a valid token claims', async () => {
    const claim = (name: string, value: object): Rule => ({
      match: [{ headers: { [`@request.auth.claims${name}`]: value } }],
    });
    await serve(
      istio('RequestAuthentication', 'tokens', {
        selector: { matchLabels: { istio: 'ingressgateway' } },
        jwtRules: [{ issuer: ISSUER, jwks: tokens.jwks }],
      }),
      virtualService(
        'claims',
        ['claims.test'],
        [
          says('admin', claim('.nested.role', { exact: 'admin' })),
          says('admin', claim('[nested][role]', { prefix: 'adm' })),
          says('ops', claim('.groups', { exact: 'ops' })),
          says('known', claim('.sub', {})),
          says('nobody', {
            match: [{ withoutHeaders: { '@request.auth.claims.sub': {} } }],
          }),
        ],
      ),
    );
    const [alice, bob, carol, stranger] = tokens.tokens.map(({ text }) => ({
      authorization: `Bearer ${text}`,
    }));
    const headers = [alice, bob, carol, stranger, {}];
    deepStrictEqual(await Promise.all(headers.map((each) => ask('claims.test', '/', each ?? {}))), [
      'ops',
      'admin',
      'known',
      '401',
      'nobody',
    ]);
  });
});

test('one HTTP/2 connection for two names: what belongs to another server gets 421, and the connection stays', async () => {
  await serve(
    virtualService('left', ['left.test'], [says('left')]),
    virtualService('right', ['right.test'], [says('right')]),
  );
  const place = { address: rig.address, port: ports.https };
  const socket = await openTls(place, { sni: 'left.test', ca: issuer.root, alpn: ['h2'] });
  const session = connectHttp2('https://left.test', { createConnection: () => socket });
  const status = async (authority: string): Promise<number> => {
    const stream = session.request({ ':path': '/', ':authority': authority });
    stream.resume();
    const [headers] = (await once(stream, 'response')) as [{ ':status'?: number }];
    return headers[':status'] ?? 0;
  };
  deepStrictEqual(
    [await status('left.test'), await status('right.test'), await status('left.test')],
    [200, 421, 200],
  );
  session.destroy();
});

test('gRPC passes with its trailers, over HTTP/2 without TLS', async () => {
  await serve(
    virtualService('calls', ['calls.test'], [to('grpc', { match: [{ uri: { prefix: '/pack.Service/' } }] })]),
  );
  const session = connectHttp2(`http://${rig.address}:${ports.h2}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/pack.Service/Call',
    ':authority': 'calls.test',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.end(Buffer.alloc(5));
  stream.resume();
  const [[headers], [trailers]] = await Promise.all([once(stream, 'response'), once(stream, 'trailers')]);
  deepStrictEqual(
    [headers[':status'], headers['content-type'], trailers['grpc-status']],
    [200, 'application/grpc', '0'],
  );
  session.destroy();
});

test('a WebSocket is opened through the gateway', async () => {
  const server = createServer();
  server.on('upgrade', (_incoming, socket: Socket) => {
    socket.on('error', () => socket.destroy());
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n');
    socket.pipe(socket);
  });
  server.listen(0, rig.address);
  await once(server, 'listening');
  await serve(
    entry('sockets', (server.address() as AddressInfo).port, 'HTTP'),
    virtualService('sockets', ['sockets.test'], [to('sockets')]),
  );
  const headers = { host: 'sockets.test', upgrade: 'websocket', connection: 'upgrade' };
  const outgoing = request({ host: rig.address, port: ports.http, headers, agent: false }).end();
  const [answer, socket] = (await once(outgoing, 'upgrade')) as [{ statusCode: number }, Socket];
  strictEqual(answer.statusCode, 101);
  socket.write('hello');
  strictEqual(String((await once(socket, 'data'))[0]), 'hello');
  socket.destroy();
  server.close();
});

test('the application is told how the gateway was reached', async () => {
  await serve(virtualService('told', ['told.test'], [to('app')]));
  const { headers } = JSON.parse(await ask('told.test')) as { headers: Record<string, string> };
  deepStrictEqual([headers['host'], headers['x-forwarded-proto']], ['told.test', 'http']);
  match(headers['x-request-id'] ?? '', /^[0-9a-f-]{36}$/);
});

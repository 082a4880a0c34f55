/** CUSTOM policies on a real Envoy: authorizers over gRPC and HTTP are asked about what the policies select, and about nothing else. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import type { WorkloadPolicy } from '#model/authorization.ts';
import type { ExternalAuthorizer, HttpAuthorizerSettings } from '#model/external-authorizer.ts';
import { inboundChainFilters } from '#xds/filters/inbound-filters.ts';
import { buildInboundRoutes } from '#xds/listeners/inbound-routes.ts';
import { FACTS, INBOUND, testCluster, testListener, workloadEnvironment } from './mesh-pair.ts';
import { policy, to } from './policy-case.ts';
import { freePort, ownAddress, startStaticEnvoy, type StaticEnvoy } from './static-envoy.ts';
import { callHttp, callTcp, startEchoApp, startHttpApp, type TestApp } from './test-apps.ts';
import { createTestAuthority } from './workload-certificates.ts';

const address = ownAddress();
const GRPC: ExternalAuthorizer = {
  name: 'grpc',
  hostname: 'authz.bookinfo.svc.cluster.local',
  port: 9000,
  timeoutMs: 2_000,
  failOpen: false,
  statusOnError: 503,
};
const HTTP: HttpAuthorizerSettings = {
  pathPrefix: '/check',
  requestHeaders: ['x-user'],
  addedHeaders: [['x-mesh', 'yes']],
  upstreamHeadersOnAllow: ['x-checked-*'],
  downstreamHeadersOnDeny: ['x-why'],
  downstreamHeadersOnAllow: [],
};
const named = (name: string, more: Partial<ExternalAuthorizer> = {}): ExternalAuthorizer => ({
  ...GRPC,
  ...more,
  name,
});
const DOWN = { hostname: 'down.bookinfo.svc.cluster.local' };
const AUTHORIZERS = {
  grpc: GRPC,
  http: named('http', { port: 8000, http: HTTP }),
  open: named('open', { ...DOWN, failOpen: true }),
  closed: named('closed', DOWN),
  absent: named('absent', { hostname: 'absent.bookinfo.svc.cluster.local' }),
  missing: undefined,
  tcp: named('tcp'),
  several: GRPC,
};
type Case = keyof typeof AUTHORIZERS;

const ports = new Map<Case, number>();
/** Paths that the authorizers were asked about. */
const asked: string[] = [];
let isTcpAllowed = true;
let envoy: StaticEnvoy;
let apps: TestApp[] = [];
let grpcServer: GrpcServer;
let httpServer: HttpServer;

/** Two providers for one workload, each for paths of its own and both for some. */
const SEVERAL: WorkloadPolicy[] = [
  policy('ask', 'CUSTOM', [to({ paths: ['/ask/*'] })], { provider: 'grpc' }),
  policy('login', 'CUSTOM', [to({ paths: ['/login/*', '/ask/twice*'] })], { provider: 'http' }),
];

const custom = (provider: string): WorkloadPolicy[] => [
  policy('ask', 'CUSTOM', provider === 'tcp' ? [{}] : [to({ paths: ['/ask/*'] })], { provider }),
];

/** envoy.service.auth.v3.Authorization/Check with messages as bytes: paths that contain `yes` are allowed. */
async function startGrpcAuthorizer(): Promise<number> {
  grpcServer = new GrpcServer();
  const definition = {
    Check: {
      path: '/envoy.service.auth.v3.Authorization/Check',
      requestStream: false,
      responseStream: false,
      requestSerialize: (bytes: Buffer) => bytes,
      requestDeserialize: (bytes: Buffer) => bytes,
      responseSerialize: (bytes: Buffer) => bytes,
      responseDeserialize: (bytes: Buffer) => bytes,
    },
  };
  // CheckResponse{status{code}}: 0 is OK, 7 is PERMISSION_DENIED.
  const answer = (isAllowed: boolean): Buffer =>
    Buffer.from(isAllowed ? [0x0a, 0x00] : [0x0a, 0x02, 0x08, 0x07]);
  grpcServer.addService(definition, {
    Check: (call: { request: Buffer }, done: (error: null, answer: Buffer) => void) => {
      const path = /\/ask\/\w+/.exec(call.request.toString('latin1'))?.[0];
      asked.push(path ?? 'connection');
      done(null, answer(path === undefined ? isTcpAllowed : path.includes('yes')));
    },
  });
  return new Promise((resolve, reject) => {
    grpcServer.bindAsync(`${address}:0`, ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

async function startHttpAuthorizer(): Promise<number> {
  httpServer = createServer((request, response) => {
    const { 'x-user': user, 'x-mesh': mesh, cookie } = request.headers;
    asked.push(`${request.url} ${user} ${mesh} ${cookie}`);
    if (request.url?.includes('yes') === true) {
      response.setHeader('x-checked-user', String(user));
      response.setHeader('x-secret', 'kept');
    } else {
      response.statusCode = 401;
      response.setHeader('x-why', 'because');
    }
    response.end('from the authorizer');
  });
  httpServer.listen(0, address);
  await once(httpServer, 'listening');
  return (httpServer.address() as AddressInfo).port;
}

before(async () => {
  const [httpApp, echoApp] = await Promise.all([startHttpApp(address), startEchoApp(address)]);
  apps = [httpApp, echoApp];
  const [grpcPort, httpPort, deadPort] = [
    await startGrpcAuthorizer(),
    await startHttpAuthorizer(),
    await freePort(address),
  ];
  const { root } = await createTestAuthority();
  const listeners = [];
  for (const name of Object.keys(AUTHORIZERS) as Case[]) {
    const port = await freePort(address);
    ports.set(name, port);
    const authorizer = AUTHORIZERS[name];
    const carries = name === 'tcp' ? 'tcp' : 'http';
    const filters = inboundChainFilters(
      {
        inbound: INBOUND,
        facts: FACTS,
        policies: {
          trustDomains: ['cluster.local'],
          policies: name === 'several' ? SEVERAL : custom(name),
          mayAskSeveral: true,
          authorizers:
            name === 'several' ? [GRPC, AUTHORIZERS.http] : authorizer === undefined ? [] : [authorizer],
          tokenRules: [],
        },
        extensions: [],
      },
      {
        carries,
        mutualTls: false,
        cluster: carries === 'tcp' ? 'echo' : 'app',
        statPrefix: 'inbound',
        port,
        servicePort: port,
        protocol: carries === 'http' ? 'HTTP' : 'TCP',
        routes: () =>
          buildInboundRoutes({ cluster: 'app', label: '80', operation: 'x', retryPolicy: undefined }),
      },
    );
    listeners.push(testListener(`case ${name}`, address, port, root, [{ filters }]));
  }
  envoy = await startStaticEnvoy({
    address,
    environment: workloadEnvironment('reviews', 'bookinfo'),
    listeners,
    clusters: [
      testCluster({ name: 'app', address, port: httpApp.port }),
      testCluster({ name: 'echo', address, port: echoApp.port }),
      testCluster({ name: `outbound|9000||${GRPC.hostname}`, address, port: grpcPort, http2: true }),
      testCluster({ name: `outbound|8000||${GRPC.hostname}`, address, port: httpPort }),
      testCluster({ name: `outbound|9000||${DOWN.hostname}`, address, port: deadPort, http2: true }),
    ],
  });
});

after(async () => {
  await envoy?.stop();
  grpcServer?.forceShutdown();
  httpServer?.closeAllConnections();
  httpServer?.close();
  for (const app of apps) await app.close();
});

async function call(name: Case, path: string, headers: Record<string, string> = {}) {
  asked.length = 0;
  const port = ports.get(name) ?? 0;
  const answer = await callHttp({ address, port, path, headers });
  return { ...answer, asked: [...asked] };
}

describe('external authorization on a real Envoy', { timeout: 60_000 }, () => {
  const statuses: readonly (readonly [Case, string, number, readonly string[]])[] = [
    ['grpc', '/ask/yes', 200, ['/ask/yes']],
    ['grpc', '/ask/no', 403, ['/ask/no']],
    ['grpc', '/other', 200, []],
    ['open', '/ask/no', 200, []],
    ['closed', '/ask/yes', 503, []],
    ['closed', '/other', 200, []],
    ['absent', '/ask/yes', 503, []],
    ['missing', '/ask/yes', 403, []],
    ['missing', '/other', 200, []],
    ['several', '/ask/yes', 200, ['/ask/yes']],
    ['several', '/ask/no', 403, ['/ask/no']],
    ['several', '/login/no', 401, ['/check/login/no undefined yes undefined']],
    ['several', '/login/yes', 200, ['/check/login/yes undefined yes undefined']],
    ['several', '/ask/twiceyes', 200, ['/ask/twiceyes', '/check/ask/twiceyes undefined yes undefined']],
    ['several', '/other', 200, []],
  ];
  for (const [name, path, status, questions] of statuses) {
    it(`${name}: ${path} is answered with ${status}, ${questions.length} asked`, async () => {
      const answer = await call(name, path);
      assert.deepEqual([answer.status, answer.asked], [status, questions], answer.body);
    });
  }

  it('over HTTP: the authorizer sees the headers it is to see, and hands on those it may', async () => {
    const answer = await call('http', '/ask/yes', { 'x-user': 'jason', cookie: 'secret' });
    assert.deepEqual([answer.status, answer.asked], [200, ['/check/ask/yes jason yes undefined']]);
    const { headers } = JSON.parse(answer.body);
    assert.deepEqual([headers['x-checked-user'], headers['x-secret']], ['jason', undefined]);
  });

  it('over HTTP: a refusal is what the authorizer answered', async () => {
    const answer = await call('http', '/ask/no', { 'x-user': 'eve' });
    assert.deepEqual(
      [answer.status, answer.body, answer.headers['x-why']],
      [401, 'from the authorizer', 'because'],
    );
  });

  it('asks about connections where bytes are carried', async () => {
    const ping = 'ping ping';
    assert.equal(await callTcp(address, ports.get('tcp') ?? 0, ping), ping);
    isTcpAllowed = false;
    assert.equal(await callTcp(address, ports.get('tcp') ?? 0, ping), '');
  });
});

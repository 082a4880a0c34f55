/**
 * AuthorizationPolicies enforced by a real Envoy: each policy set has listeners of its own, made with the inbound builders; callers
 * come in plain text or with a workload certificate. Names T1 ... are the security cases that the tests answer.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { WorkloadPolicy } from '#model/authorization.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { inboundChainFilters } from '#xds/filters/inbound-filters.ts';
import { buildInboundRoutes } from '#xds/listeners/inbound-routes.ts';
import { FACTS, INBOUND, testCluster, testListener, waitFor, workloadEnvironment } from './mesh-pair.ts';
import { type Call, type Caller, type PolicyCase, from, policy, to, when } from './policy-case.ts';
import { freePort, ownAddress, startStaticEnvoy, type StaticEnvoy } from './static-envoy.ts';
import { type Answer, callHttp, callTcp, startEchoApp, startHttpApp, type TestApp } from './test-apps.ts';
import { createTestAuthority, type WorkloadCertificate } from './workload-certificates.ts';

/** Longer than a TLS record's head: with less, Envoy waits for more before it knows that this is no TLS. */
const PING = 'ping ping';
const SLEEP = 'spiffe://cluster.local/ns/front/sa/sleep';
const SLEEPY = 'spiffe://cluster.local/ns/front/sa/sleepy';
const DOTTED = 'spiffe://cluster.local/ns/fXront/sa/cert-manager-io';
const OLD_DOMAIN = 'spiffe://old.domain/ns/front/sa/sleep';

const denyPath = (path: string): WorkloadPolicy[] => [policy('deny', 'DENY', [to({ paths: [path] })])];
const paths = (expect: number, ...list: string[]): Call[] => list.map((path) => ({ path, expect }));

const CASES: readonly PolicyCase[] = [
  {
    name: 'no policy allows everything',
    policies: [],
    calls: [{ expect: 200 }, { from: SLEEP, expect: 200 }],
  },
  {
    name: 'an ALLOW policy without rules allows nothing',
    policies: [policy('nothing', 'ALLOW', [])],
    calls: [{ expect: 403 }, { from: SLEEP, expect: 403 }],
  },
  {
    name: 'an ALLOW policy with an empty rule allows everything',
    policies: [policy('all', 'ALLOW', [{}])],
    calls: [{ expect: 200 }],
  },
  {
    name: 'DENY goes before ALLOW',
    policies: [policy('all', 'ALLOW', [{}]), policy('no-post', 'DENY', [to({ methods: ['POST'] })])],
    calls: [{ expect: 200 }, { method: 'POST', expect: 403 }],
  },
  {
    name: 'principals, namespaces and service accounts are literals, anchored at both ends (T9, T10)',
    policies: [
      policy('by-name', 'ALLOW', [
        from({ principals: ['cluster.local/ns/front/sa/sleep'] }),
        from({ serviceAccounts: ['fXront/cert-manager.io'] }),
        from({ namespaces: ['f.ront'] }),
      ]),
    ],
    calls: [
      { from: SLEEP, expect: 200 },
      { from: SLEEPY, expect: 403 },
      { from: DOTTED, expect: 403 },
      { expect: 403 },
    ],
  },
  {
    name: 'a principal by suffix is one of any trust domain, anchored at the end: HTTP (T8)',
    policies: [policy('suffix', 'DENY', [from({ principals: ['*/ns/front/sa/sleep'] })])],
    calls: [{ from: SLEEP, expect: 403 }, { from: SLEEPY, expect: 200 }, { expect: 200 }],
  },
  {
    name: 'a principal by suffix is one of any trust domain, anchored at the end: TCP (T8)',
    carries: 'tcp',
    policies: [policy('tcp-suffix', 'DENY', [from({ principals: ['*/ns/front/sa/sleep'] })])],
    calls: [{ from: SLEEP, expect: 403 }, { from: SLEEPY, expect: 200 }, { expect: 200 }],
  },
  {
    name: 'namespaces, also negated and with wildcards; nobody is in no namespace (T7)',
    policies: [policy('ns', 'ALLOW', [from({ namespaces: ['fr*t'], notPrincipals: ['*/sa/sleepy'] })])],
    calls: [
      { from: SLEEP, expect: 200 },
      { from: SLEEPY, expect: 403 },
      { from: DOTTED, expect: 403 },
      { expect: 403 },
    ],
  },
  {
    name: 'trust domain aliases are one domain',
    trustDomains: ['cluster.local', 'old.domain'],
    policies: [policy('old', 'ALLOW', [from({ principals: ['cluster.local/ns/front/sa/sleep'] })])],
    calls: [
      { from: SLEEP, expect: 200 },
      { from: OLD_DOMAIN, expect: 200 },
      { from: SLEEPY, expect: 403 },
    ],
  },
  {
    name: 'hosts in any case, without their ports (T4, T5)',
    policies: [policy('host', 'DENY', [to({ hosts: ['secret.com'] })])],
    calls: [
      { headers: { host: 'Secret.com' }, expect: 403 },
      { headers: { host: 'secret.com:80' }, expect: 200 },
      { headers: { host: 'other.com' }, expect: 200 },
    ],
  },
  {
    name: 'paths by prefix, suffix and template',
    policies: [
      policy('paths', 'ALLOW', [to({ paths: ['/info*', '*/end', '/foo/{*}/bar', '/all/{**}', '/exact'] })]),
    ],
    calls: [
      ...paths(
        200,
        '/info',
        '/information?x=1',
        '/any/end',
        '/foo/1/bar',
        '/foo/1/bar?q=2',
        '/all/a/b/c',
        '/exact?q',
      ),
      ...paths(403, '/inf', '/endless', '/foo/1/2/bar', '/foo/bar', '/exact/more', '/'),
    ],
  },
  {
    name: 'a denied path is the normalised one: BASE (T1, T2, T3, T6)',
    policies: denyPath('/admin'),
    paths: 'BASE',
    calls: [
      ...paths(
        403,
        '/admin',
        '/admin?x=1',
        '/admin#x',
        '/./admin',
        '/x/../admin',
        '/%61dmin',
        '/%2e%2e/admin',
      ),
      ...paths(
        200,
        '//admin',
        '/%2fadmin',
        '/x%2f..%2fadmin',
        '/admin/',
        '/ADMIN',
        '/admin;v=1',
        '/admin%20',
      ),
      ...paths(400, '/admin%00'),
    ],
  },
  {
    name: 'a denied path is the normalised one: NONE (T1)',
    policies: denyPath('/admin'),
    paths: 'NONE',
    calls: [
      ...paths(403, '/admin', '/admin?x', '/admin#x'),
      ...paths(200, '//admin', '/x/../admin', '/%61dmin'),
    ],
  },
  {
    name: 'a denied path is the normalised one: MERGE_SLASHES (T1)',
    policies: denyPath('/admin'),
    paths: 'MERGE_SLASHES',
    calls: [...paths(403, '//admin', '/%61dmin'), ...paths(200, '/%2fadmin')],
  },
  {
    name: 'a denied path is the normalised one: DECODE_AND_MERGE_SLASHES (T1)',
    policies: denyPath('/admin'),
    paths: 'DECODE_AND_MERGE_SLASHES',
    calls: paths(403, '//admin', '/%2fadmin', '/x%2f..%2fadmin', '/%61dmin'),
  },
  {
    name: 'headers, also given twice (T17)',
    policies: [policy('role', 'DENY', [when('request.headers[x-role]', 'admin', 'root*')])],
    calls: [
      { headers: { 'x-role': 'admin' }, expect: 403 },
      { headers: { 'x-role': ['user', 'admin'] }, expect: 403 },
      { headers: { 'x-role': 'rooted' }, expect: 403 },
      { headers: { 'x-role': 'user,admin' }, expect: 200 },
      { headers: { 'x-role': 'Admin' }, expect: 200 },
      { expect: 200 },
    ],
  },
  {
    name: 'hostile texts in policies stay literals and are never refused by Envoy (T10)',
    policies: [
      policy('hostile', 'DENY', [
        from({ principals: ['*.x[(', '*)|.*'], namespaces: ['a.b[(*\\'], serviceAccounts: ['(/.*'] }),
        to({ paths: ['/\\E.*'], hosts: ['*.['], methods: ['('] }),
      ]),
      policy('hostile-keys', 'AUDIT', [
        to({ paths: ['/{*}/[('] }),
        when('request.headers[bad name]', 'x'),
        when('request.headers[]', 'x'),
        when('experimental.envoy.filters.a.b[c', 'x'),
      ]),
      policy('all', 'ALLOW', [{}]),
    ],
    calls: [{ expect: 200 }, { from: SLEEP, expect: 200 }],
  },
  {
    name: 'a condition that nobody understands makes DENY wider and ALLOW narrower',
    policies: [
      policy('wider', 'DENY', [{ ...to({ methods: ['PUT'] }), ...when('no.such.key', 'x') }]),
      policy('narrow', 'ALLOW', [to({ methods: ['GET', 'PUT'] }), when('request.headers[]', 'x')]),
    ],
    calls: [
      { method: 'PUT', expect: 403 },
      { method: 'GET', expect: 200 },
      { method: 'POST', expect: 403 },
    ],
  },
  {
    name: 'a dry run counts and lets through',
    policies: [policy('dry', 'DENY', [{}], { dryRun: true })],
    calls: [{ expect: 200 }],
  },
  { name: 'AUDIT lets through', policies: [policy('audit', 'AUDIT', [{}])], calls: [{ expect: 200 }] },
  {
    name: 'CUSTOM denies what it selects while nobody calls the authorizer',
    policies: [policy('custom', 'CUSTOM', [to({ paths: ['/ext'] })], { provider: 'opa' })],
    calls: [
      { path: '/ext', expect: 403 },
      { path: '/', expect: 200 },
    ],
  },
  {
    name: 'on TCP a DENY with HTTP fields denies without them (T38)',
    carries: 'tcp',
    policies: [
      policy('tcp', 'DENY', [
        { ...from({ principals: ['*/ns/front/sa/sleep'] }), ...to({ methods: ['GET'] }) },
      ]),
    ],
    calls: [{ from: SLEEP, expect: 403 }, { from: SLEEPY, expect: 200 }, { expect: 200 }],
  },
  {
    name: 'on TCP an ALLOW with HTTP fields never matches (T38)',
    carries: 'tcp',
    policies: [
      policy('tcp', 'ALLOW', [
        { ...from({ namespaces: ['front'] }), ...to({ methods: ['GET'] }) },
        from({ principals: ['*/sleepy'] }),
      ]),
    ],
    calls: [{ from: SLEEP, expect: 403 }, { from: SLEEPY, expect: 200 }, { expect: 403 }],
  },
];

const address = ownAddress();
const certificates = new Map<Caller, WorkloadCertificate>();
const listenPorts = new Map<PolicyCase, number>();
let envoy: StaticEnvoy;
let apps: TestApp[] = [];

before(async () => {
  const authority = await createTestAuthority();
  for (const id of [SLEEP, SLEEPY, DOTTED, OLD_DOMAIN] as const)
    certificates.set(id, await authority.issue(id, {}));
  const server = await authority.issue('spiffe://cluster.local/ns/bookinfo/sa/reviews', {});
  const [httpApp, echoApp] = await Promise.all([startHttpApp(address), startEchoApp(address)]);
  apps = [httpApp, echoApp];
  const listeners: Listener[] = [];
  for (const one of CASES) {
    const port = await freePort(address);
    listenPorts.set(one, port);
    const filters = (mutualTls: boolean) =>
      inboundChainFilters(
        {
          inbound: INBOUND,
          facts: { ...FACTS, http: { ...FACTS.http, pathNormalization: one.paths ?? 'BASE' } },
          policies: {
            trustDomains: one.trustDomains ?? ['cluster.local'],
            policies: one.policies,
            mayAskSeveral: false,
            authorizers: [],
            tokenRules: [],
          },
          extensions: [],
        },
        {
          carries: one.carries ?? 'http',
          mutualTls,
          cluster: one.carries === 'tcp' ? 'echo' : 'app',
          statPrefix: 'inbound',
          port,
          servicePort: port,
          protocol: 'HTTP',
          routes: () =>
            buildInboundRoutes({ cluster: 'app', label: '80', operation: 'x', retryPolicy: undefined }),
        },
      );
    listeners.push(
      testListener(`case ${port}`, address, port, authority.root, [
        { match: { transportProtocol: 'tls' }, filters: filters(true), certificate: server },
        { match: { transportProtocol: 'raw_buffer' }, filters: filters(false) },
      ]),
    );
  }
  envoy = await startStaticEnvoy({
    address,
    environment: workloadEnvironment('reviews', 'bookinfo'),
    listeners,
    clusters: [
      testCluster({ name: 'app', address, port: httpApp.port }),
      testCluster({ name: 'echo', address, port: echoApp.port }),
    ],
  });
});

after(async () => {
  await envoy?.stop();
  for (const app of apps) await app.close();
});

function tlsOptions(certificate: WorkloadCertificate) {
  return { key: certificate.key, cert: certificate.chain, rejectUnauthorized: false, servername: 'reviews' };
}

async function callMutualTls(certificate: WorkloadCertificate, port: number, call: Call): Promise<Answer> {
  const outgoing = httpsRequest({
    host: address,
    port,
    path: call.path ?? '/',
    method: call.method ?? 'GET',
    headers: call.headers as Record<string, string>,
    agent: false,
    timeout: 5_000,
    ...tlsOptions(certificate),
  });
  outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 5 s')));
  outgoing.end();
  const [answer] = await once(outgoing, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  return { status: answer.statusCode, body: Buffer.concat(chunks).toString(), headers: answer.headers };
}

async function callTcpMutualTls(certificate: WorkloadCertificate, port: number): Promise<string> {
  const socket = connectTls({ host: address, port, ...tlsOptions(certificate) });
  socket.setTimeout(5_000, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  let got = '';
  socket.on('data', (chunk: Buffer) => {
    got += chunk.toString();
    socket.end();
  });
  socket.write(PING);
  await once(socket, 'close');
  return got;
}

/** The status that a call got. */
async function statusOf(one: PolicyCase, call: Call): Promise<number> {
  const port = listenPorts.get(one) ?? 0;
  const certificate = certificates.get(call.from ?? 'plain');
  if (one.carries === 'tcp') {
    const echo =
      certificate === undefined
        ? await callTcp(address, port, PING)
        : await callTcpMutualTls(certificate, port);
    return echo === PING ? 200 : 403;
  }
  const { from: _from, expect: _expect, ...plain } = call;
  const answer =
    certificate === undefined
      ? await callHttp({ address, port, ...plain })
      : await callMutualTls(certificate, port, call);
  if (answer.status === 403) assert.equal(answer.body, 'RBAC: access denied');
  return answer.status;
}

describe('authorization filters on a real Envoy', { timeout: 60_000 }, () => {
  for (const one of CASES) {
    it(one.name, async () => {
      const got = [];
      for (const call of one.calls) got.push({ ...call, expect: await statusOf(one, call) });
      assert.deepEqual(got, one.calls);
    });
  }

  it('name the policy of a refusal in the access log, and count dry runs', async () => {
    for (const part of [
      '403 - rbac_access_denied_matched_policy[ns[bookinfo]-policy[no-post]-rule[0]]',
      '403 - rbac_access_denied_matched_policy[none]',
      'rbac_access_denied_matched_policy[ns[bookinfo]-policy[tcp]-rule[0]]',
    ]) {
      await waitFor(part, () => (envoy.output().includes(part) ? true : undefined));
    }
    const stats = await envoy.admin('/stats?filter=istio_dry_run_deny_');
    assert.match(stats, /istio_dry_run_deny_\.?shadow_denied: 1/);
  });
});

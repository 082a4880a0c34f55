/** Tokens on a real Envoy: the filter of RequestAuthentication with the rules behind it, for every way a token can be wrong. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { WorkloadPolicy } from '#model/authorization.ts';
import { inboundChainFilters } from '#xds/filters/inbound-filters.ts';
import { buildInboundRoutes } from '#xds/listeners/inbound-routes.ts';
import { FACTS, INBOUND, testCluster, testListener, workloadEnvironment } from './mesh-pair.ts';
import { policy } from './policy-case.ts';
import { freePort, ownAddress, startStaticEnvoy, type StaticEnvoy } from './static-envoy.ts';
import { callHttp, startHttpApp, type TestApp } from './test-apps.ts';
import { bearer, ISSUER, makeToken, TOKEN_POLICIES, TOKEN_RULES, tokenTable } from './token-table.ts';
import { createTestAuthority } from './workload-certificates.ts';

const address = ownAddress();
const table = await tokenTable();
const ports = new Map<string, number>();
let envoy: StaticEnvoy;
let app: TestApp;

before(async () => {
  app = await startHttpApp(address);
  const { root } = await createTestAuthority();
  const listeners = [];
  for (const [name, tokenRules] of Object.entries(TOKEN_RULES)) {
    const port = await freePort(address);
    ports.set(name, port);
    const rules = TOKEN_POLICIES[name];
    const policies: WorkloadPolicy[] = rules === undefined ? [] : [policy('allow', 'ALLOW', rules)];
    const filters = inboundChainFilters(
      {
        inbound: INBOUND,
        facts: FACTS,
        policies: {
          trustDomains: ['cluster.local'],
          policies,
          mayAskSeveral: false,
          authorizers: [],
          tokenRules,
        },
        extensions: [],
      },
      {
        carries: 'http',
        mutualTls: false,
        cluster: 'app',
        statPrefix: 'inbound',
        port,
        servicePort: port,
        protocol: 'HTTP',
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
    clusters: [testCluster({ name: 'app', address, port: app.port })],
  });
});

after(async () => {
  await envoy?.stop();
  await app?.close();
});

async function status(name: string, headers: Record<string, string> = {}, path = '/'): Promise<number> {
  return (await callHttp({ address, port: ports.get(name) ?? 0, path, headers })).status;
}

describe('tokens on a real Envoy', { timeout: 60_000 }, () => {
  for (const { what, rules, headers, expected } of table) {
    it(`a token ${what} is answered with ${expected}`, async () =>
      assert.equal(await status(rules, headers), expected));
  }

  it('a token is found in the query, whatever else is in it', async () => {
    assert.equal(await status('places', {}, '/?a=b&token=x.y.z'), 401);
    assert.equal(await status('places', {}, `/?a=b&token=${await makeToken()}`), 200);
  });

  it('claims go on as headers, which nobody else can set; the token stays or goes as told', async () => {
    const headers = { 'x-jwt': `JWT ${await makeToken()}`, 'x-sub': 'forged' };
    const answer = await callHttp({ address, port: ports.get('places') ?? 0, path: '/', headers });
    const seen = JSON.parse(answer.body).headers;
    assert.equal(seen['x-sub'], 'jason');
    assert.equal(seen['x-jwt'], headers['x-jwt']);
    const payload = JSON.parse(Buffer.from(seen['x-payload'], 'base64url').toString());
    assert.equal(payload.iss, ISSUER);
    const plain = await callHttp({
      address,
      port: ports.get('plain') ?? 0,
      path: '/',
      headers: bearer(await makeToken()),
    });
    assert.equal(JSON.parse(plain.body).headers.authorization, undefined);
  });

  it('a preflight needs no token', async () => {
    const preflight = { origin: 'https://a', 'access-control-request-method': 'GET', ...bearer('x.y.z') };
    const port = ports.get('plain') ?? 0;
    const answer = await callHttp({ address, port, path: '/', method: 'OPTIONS', headers: preflight });
    assert.equal(answer.status, 200);
  });
});

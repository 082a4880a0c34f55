/** Tokens on a real Envoy: the filter of RequestAuthentication with the rules behind it, for every way a token can be wrong. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { AuthorizationRule } from '#api/authorization-policy.ts';
import type { WorkloadPolicy } from '#model/authorization.ts';
import type { TokenRule } from '#model/request-authentication.ts';
import { inboundChainFilters } from '#xds/filters/inbound-filters.ts';
import { buildInboundRoutes } from '#xds/listeners/inbound-routes.ts';
import { FACTS, INBOUND, testCluster, testListener, workloadEnvironment } from './mesh-pair.ts';
import { from, policy, when } from './policy-case.ts';
import { freePort, ownAddress, startStaticEnvoy, type StaticEnvoy } from './static-envoy.ts';
import { callHttp, startHttpApp, type TestApp } from './test-apps.ts';
import { createTestAuthority } from './workload-certificates.ts';

const address = ownAddress();
const ISSUER = 'https://issuer.example';
const good = await generateKeyPair('RS256');
const stranger = await generateKeyPair('RS256');
const elliptic = await generateKeyPair('ES256');
const KEYS = JSON.stringify({ keys: [{ ...(await exportJWK(good.publicKey)), kid: 'one', alg: 'RS256' }] });

interface TokenOptions {
  readonly issuer?: string;
  readonly audience?: string;
  readonly expires?: string;
  readonly key?: CryptoKey;
  readonly alg?: string;
}

function token(claims: Record<string, unknown> = {}, options: TokenOptions = {}): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: options.alg ?? 'RS256', kid: 'one' })
    .setIssuer(options.issuer ?? ISSUER)
    .setSubject('jason')
    .setAudience(options.audience ?? 'reviews')
    .setExpirationTime(options.expires ?? '1h')
    .sign(options.key ?? good.privateKey);
}

const base64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const unsigned = `${base64({ alg: 'none' })}.${base64({ iss: ISSUER, sub: 'jason', exp: 4_102_444_800 })}.`;
const bearer = (text: string): Record<string, string> => ({ authorization: `Bearer ${text}` });

const RULES: Readonly<Record<string, readonly TokenRule[]>> = {
  plain: [{ rule: { issuer: ISSUER }, keys: KEYS }],
  audience: [{ rule: { issuer: ISSUER, audiences: ['ratings'] }, keys: KEYS }],
  places: [
    {
      rule: {
        issuer: ISSUER,
        fromHeaders: [{ name: 'x-jwt', prefix: 'JWT ' }],
        fromParams: ['token'],
        fromCookies: ['session'],
        forwardOriginalToken: true,
        outputClaimToHeaders: [{ header: 'x-sub', claim: 'sub' }],
        outputPayloadToHeader: 'x-payload',
      },
      keys: KEYS,
    },
  ],
  unfetched: [{ rule: { issuer: ISSUER }, keys: '' }],
  two: [
    { rule: { issuer: ISSUER }, keys: KEYS },
    { rule: { issuer: 'https://other.example' }, keys: KEYS },
  ],
  required: [{ rule: { issuer: ISSUER }, keys: KEYS }],
  claims: [{ rule: { issuer: ISSUER }, keys: KEYS }],
};
const POLICIES: Readonly<Record<string, readonly AuthorizationRule[]>> = {
  required: [from({ requestPrincipals: [`${ISSUER}/*`] })],
  claims: [when('request.auth.claims[groups]', 'admins'), when('request.auth.claims[scope]', 'write')],
};

const ports = new Map<string, number>();
let envoy: StaticEnvoy;
let app: TestApp;

before(async () => {
  app = await startHttpApp(address);
  const { root } = await createTestAuthority();
  const listeners = [];
  for (const [name, tokenRules] of Object.entries(RULES)) {
    const port = await freePort(address);
    ports.set(name, port);
    const rules = POLICIES[name];
    const policies: WorkloadPolicy[] = rules === undefined ? [] : [policy('allow', 'ALLOW', rules)];
    const filters = inboundChainFilters(
      {
        inbound: INBOUND,
        facts: FACTS,
        policies: { trustDomains: ['cluster.local'], policies, authorizers: [], tokenRules },
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
  const table: readonly (readonly [string, string, () => Promise<Record<string, string>>, number])[] = [
    ['no token', 'plain', async () => ({}), 200],
    ['a good one', 'plain', async () => bearer(await token()), 200],
    [
      'of an unknown issuer (T12)',
      'plain',
      async () => bearer(await token({}, { issuer: 'https://evil' })),
      401,
    ],
    ['expired', 'plain', async () => bearer(await token({}, { expires: '-1h' })), 401],
    ['signed by a stranger', 'plain', async () => bearer(await token({}, { key: stranger.privateKey })), 401],
    [
      'ES256 for an RSA key (T16)',
      'plain',
      async () => bearer(await token({}, { key: elliptic.privateKey, alg: 'ES256' })),
      401,
    ],
    ['alg none (T16)', 'plain', async () => bearer(unsigned), 401],
    ['malformed (T16)', 'plain', async () => bearer('a.b'), 401],
    ['for another audience', 'audience', async () => bearer(await token()), 403],
    ['for the audience', 'audience', async () => bearer(await token({}, { audience: 'ratings' })), 200],
    ['while keys are not known (T13)', 'unfetched', async () => bearer(await token()), 401],
    ['no token while keys are not known', 'unfetched', async () => ({}), 200],
    ['of one of two issuers', 'two', async () => bearer(await token()), 200],
    ['of a third issuer', 'two', async () => bearer(await token({}, { issuer: 'https://evil' })), 401],
    ['none where one is required', 'required', async () => ({}), 403],
    ['good where one is required', 'required', async () => bearer(await token()), 200],
    ['with a claim in a list', 'claims', async () => bearer(await token({ groups: ['x', 'admins'] })), 200],
    ['with a claim as text', 'claims', async () => bearer(await token({ groups: 'admins' })), 200],
    ['with a scope among others', 'claims', async () => bearer(await token({ scope: 'read write' })), 200],
    ['without the claim', 'claims', async () => bearer(await token({ groups: ['x'] })), 403],
    ['not where it is looked for', 'places', async () => bearer('nonsense'), 200],
    ['in a header of its own', 'places', async () => ({ 'x-jwt': `JWT ${await token()}` }), 200],
    ['bad in a header of its own', 'places', async () => ({ 'x-jwt': 'JWT x.y.z' }), 401],
    ['bad in a cookie', 'places', async () => ({ cookie: 'session=x.y.z' }), 401],
  ];
  for (const [what, name, headers, expected] of table) {
    it(`a token ${what} is answered with ${expected}`, async () =>
      assert.equal(await status(name, await headers()), expected));
  }

  it('a token is found in the query, whatever else is in it', async () => {
    assert.equal(await status('places', {}, '/?a=b&token=x.y.z'), 401);
    assert.equal(await status('places', {}, `/?a=b&token=${await token()}`), 200);
  });

  it('claims go on as headers, which nobody else can set; the token stays or goes as told', async () => {
    const headers = { 'x-jwt': `JWT ${await token()}`, 'x-sub': 'forged' };
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
      headers: bearer(await token()),
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

/** `lateen jwt check` says of each token what a real Envoy does with it, under the configuration that both get from the same objects. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { TokenVerdict } from '#explain/token-verdict.ts';
import { tokenVerdict } from '#explain/token-verdict.ts';
import { decodeAll, type MeshFixture, meshFixture } from '../support/mesh-fixture.ts';
import { schemaProblems } from './cli-schema-check.ts';
import { SimulationApp } from './simulation-app.ts';
import { simulatedProxy } from './simulation-case.ts';
import { fixedManifests, listenEverywhere, WORKLOAD, WORKLOAD_ADDRESS } from './simulation-mesh.ts';
import { type RigCall, SimulationRig, type Truth } from './simulation-rig.ts';
import { TOKEN_POLICIES, TOKEN_RULES, type TokenCase, tokenTable } from './token-table.ts';

const PORT = 7001;
const SELECTOR = { matchLabels: { app: 'client' } };
const table = await tokenTable();

let rig: SimulationRig;
let app: SimulationApp;

before(async () => {
  rig = await SimulationRig.start();
  app = new SimulationApp();
  await listenEverywhere(app);
});
after(async () => {
  await app[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
});

/** The objects that make the rules of this name. */
function manifests(name: string): readonly object[] {
  const jwtRules = (TOKEN_RULES[name] ?? []).map(({ rule, keys }) =>
    keys === '' ? { ...rule, jwksUri: 'https://issuer.example/keys' } : { ...rule, jwks: keys },
  );
  const security = { apiVersion: 'security.istio.io/v1', metadata: { name, namespace: 'default' } };
  const rules = TOKEN_POLICIES[name];
  const tokens = { ...security, kind: 'RequestAuthentication', spec: { selector: SELECTOR, jwtRules } };
  if (rules === undefined) return [tokens];
  const policy = {
    ...security,
    kind: 'AuthorizationPolicy',
    spec: { selector: SELECTOR, action: 'ALLOW', rules },
  };
  return [tokens, policy];
}

function toCall({ headers }: TokenCase, index: number): RigCall {
  const connection = {
    sourceAddress: '127.0.0.1',
    sourcePort: 3000 + index,
    address: WORKLOAD_ADDRESS,
    port: PORT,
    protocol: 'http/1.1',
    tls: undefined,
  } as const;
  const request = {
    method: 'GET',
    authority: 'client',
    path: '/',
    scheme: '',
    headers: Object.entries(headers),
    claims: undefined,
  };
  return { direction: 'inbound', connection, request, group: index, certificate: undefined };
}

function actualStatus({ answer }: Truth): number {
  return answer.kind === 'answer' ? answer.status : 0;
}

function judge(
  fixture: MeshFixture,
  proxy: Parameters<typeof tokenVerdict>[0]['proxy'],
  token: string,
): Promise<TokenVerdict> {
  const subject = { namespace: 'default', labels: WORKLOAD.labels ?? {} };
  return tokenVerdict(
    { security: fixture.mesh.graph.security, proxy, subject, nowUnixMs: Date.now() },
    { token, address: WORKLOAD_ADDRESS, port: PORT, method: 'GET', path: '/', host: 'client', caller: '' },
  );
}

for (const name of Object.keys(TOKEN_RULES)) {
  test(`tokens under the rules "${name}"`, { timeout: 30_000 }, async () => {
    const fixture = meshFixture();
    fixture.configure(rig.meshConfig());
    for (const manifest of [...fixedManifests(), ...manifests(name)]) fixture.set(...decodeAll(manifest));
    const proxy = simulatedProxy(fixture, WORKLOAD);
    await rig.load(proxy.snapshot, { outbound: 15001, inbound: 15006 });
    const cases = table.filter(
      ({ rules, token, isMisplaced }) => rules === name && token !== '' && isMisplaced !== true,
    );
    ok(cases.length > 0);
    const truths = await rig.run(cases.map(toCall));
    for (const [at, { what, token, expected }] of cases.entries()) {
      const truth = truths[at];
      ok(truth);
      const verdict = await judge(fixture, proxy, token);
      deepStrictEqual(
        [verdict.status, actualStatus(truth)],
        [expected, expected],
        `a token ${what}: ${verdict.reason}`,
      );
      deepStrictEqual(schemaProblems('jwt-check', verdict), []);
      strictEqual(verdict.verdict, expected === 200 ? 'allowed' : 'denied');
      ok(!JSON.stringify(verdict).includes(token), 'the token is in the answer');
    }
  });
}

test('the answer names key, times and the object that decides', async () => {
  const fixture = meshFixture();
  for (const manifest of [...fixedManifests(), ...manifests('claims')]) fixture.set(...decodeAll(manifest));
  const proxy = simulatedProxy(fixture, WORKLOAD);
  const tokenOf = (what: string): string => table.find((one) => one.what === what)?.token ?? '';
  const { expiry, reason, ...allowed } = await judge(fixture, proxy, tokenOf('with a claim as text'));
  match(expiry, /^20\d\d-.*Z$/);
  match(reason, /^the token is good/);
  deepStrictEqual(allowed, {
    verdict: 'allowed',
    status: 200,
    policy: { kind: 'AuthorizationPolicy', namespace: 'default', name: 'claims', path: 'spec.rules[0]' },
    certain: true,
    verified: true,
    issuer: 'https://issuer.example',
    subject: 'jason',
    audience: ['reviews'],
    key: { kid: 'one', alg: 'RS256', kty: 'RSA' },
  });
  const denied = await judge(fixture, proxy, tokenOf('without the claim'));
  deepStrictEqual([denied.verified, denied.policy], [true, null]);
  match(denied.reason, /no ALLOW policy/);
  const expired = await judge(fixture, proxy, tokenOf('that has expired'));
  deepStrictEqual(expired.policy, {
    kind: 'RequestAuthentication',
    namespace: 'default',
    name: 'claims',
    path: 'spec.jwtRules[0]',
  });
  deepStrictEqual([expired.verified, expired.key], [false, null]);
  match(expired.reason, /^the token has expired at 20/);
});

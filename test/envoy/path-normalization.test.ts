/**
 * What a DENY policy catches on a real Envoy, cell by cell: paths as attackers write them under each way of normalising paths, hosts
 * and headers. Policies are the user's YAML, the configuration is what the sidecar gets. T1 ... are security cases.
 */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { meshFixture } from '../support/mesh-fixture.ts';
import { LiveSidecar } from './live-sidecar.ts';
import { waitFor } from './mesh-pair.ts';
import { SecurityApp } from './security-app.ts';
import { CallClient } from './simulation-client.ts';
import { BLOCK } from './simulation-mesh.ts';
import { SimulationRig } from './simulation-rig.ts';

const CLIENT_ADDRESS = `127.73.${BLOCK}.1`;
const SERVER_ADDRESS = `127.73.${BLOCK}.2`;
const PORT = 7001;

const OBJECTS = `
apiVersion: v1
kind: Service
metadata: {name: server, namespace: default}
spec:
  clusterIP: 127.83.0.1
  selector: {app: server}
  ports: [{name: http, port: 80, targetPort: ${PORT}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: server-1, namespace: default, labels: {kubernetes.io/service-name: server}}
addressType: IPv4
ports: [{name: http, port: ${PORT}}]
endpoints: [{addresses: [${SERVER_ADDRESS}], conditions: {ready: true}, targetRef: {kind: Pod, name: server, namespace: default}}]
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: default, labels: {app: server}}
spec: {serviceAccountName: server, containers: []}
status: {podIP: ${SERVER_ADDRESS}, podIPs: [{ip: ${SERVER_ADDRESS}}], phase: Running}
`;

type Normalization = 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';

const deny = (rule: string): string => `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: default}
spec: {action: DENY, rules: [${rule}]}
`;

let rig: SimulationRig;
let app: SecurityApp;

before(async () => {
  rig = await SimulationRig.start('spiffe://cluster.local/ns/default/sa/server');
  app = new SecurityApp(await rig.authority.issue('spiffe://cluster.local/ns/default/sa/app', {}));
  await app.listen(SERVER_ADDRESS, PORT);
});

after(async () => {
  await app[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
});

async function load(objects: string, normalization: Normalization = 'BASE'): Promise<void> {
  const fixture = meshFixture();
  fixture.configure({ ...rig.meshConfig(), pathNormalization: { normalization } });
  fixture.apply(OBJECTS + objects);
  fixture.connect({
    name: 'server',
    ip: SERVER_ADDRESS,
    labels: { app: 'server' },
    serviceAccount: 'server',
  });
  await rig.load(fixture.entries('server'), { outbound: 15001, inbound: 15006 });
}

type Header = readonly [name: string, value: string];
interface Request {
  readonly path?: string;
  readonly host?: string;
  readonly headers?: readonly Header[];
}

/** Status of one request, its bytes as they stand here. */
async function statusOf({ path = '/', host = 'server', headers = [] }: Request): Promise<number> {
  const connection = { sourceAddress: CLIENT_ADDRESS, sourcePort: 3000, address: SERVER_ADDRESS, port: PORT };
  const door = { ...rig.door('inbound'), certificate: undefined };
  const client = new CallClient(door, { ...connection, protocol: 'http/1.1', tls: undefined });
  const answer = await client.send({
    method: 'GET',
    authority: host,
    path,
    scheme: '',
    headers: [...headers],
    claims: undefined,
  });
  await client.close();
  return answer.kind === 'answer' ? answer.status : 0;
}

async function statuses<K extends string>(cases: readonly K[], request: (one: K) => Request) {
  const got: Record<string, number> = {};
  for (const one of cases) got[one] = await statusOf(request(one));
  return got;
}

/** Policies and ways of normalising, as the columns of the table. */
const COLUMNS: readonly (readonly [name: string, normalization: Normalization, path: string])[] = [
  ['NONE', 'NONE', '/admin'],
  ['BASE', 'BASE', '/admin'],
  ['MERGE_SLASHES', 'MERGE_SLASHES', '/admin'],
  ['DECODE_AND_MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES', '/admin'],
  ['BASE with a rule by prefix', 'BASE', '/admin*'],
];

type Row = readonly [testCases: string, statuses: readonly number[], paths: readonly string[]];
/** Measured on Envoy 1.40.0. Source: security-cases, section 2. */
const PATHS: readonly Row[] = [
  ['plain', [403, 403, 403, 403, 403], ['/admin', 'http://server/admin']],
  ['T2, T3: query and fragment', [403, 403, 403, 403, 403], ['/admin?x=1', '/admin#x', '/admin?x#y']],
  ['T1: slashes twice', [200, 200, 403, 403, 200], ['//admin']],
  [
    'T1: dots and escapes',
    [200, 403, 403, 403, 403],
    ['/./admin', '/x/../admin', '/%61dmin', '/%2e%2e/admin', '/x/%2e%2e/admin'],
  ],
  ['T1: escaped slashes', [200, 200, 200, 403, 200], ['/%2fadmin', '/x%2f..%2fadmin']],
  ['T6: a slash behind, decoded', [200, 200, 200, 200, 403], ['/admin/', '/admin//', '/admin%2f']],
  ['T6: more behind', [200, 200, 200, 200, 403], ['/admin;v=1', '/admin%20', '/admin\\']],
  ['T6: other case', [200, 200, 200, 200, 200], ['/ADMIN']],
  ['a zero byte', [200, 400, 400, 400, 400], ['/admin%00']],
  ['no slash before', [400, 400, 400, 400, 400], ['\\admin']],
];

describe('paths denied, by normalisation', { timeout: 60_000 }, () => {
  for (const [column, [name, normalization, path]] of COLUMNS.entries()) {
    it(`${name} (T1, T2, T3, T6)`, async () => {
      await load(deny(`{to: [{operation: {paths: ['${path}']}}]}`), normalization);
      const wanted: Record<string, number> = {};
      for (const [, row, paths] of PATHS) for (const one of paths) wanted[one] = row[column] ?? 0;
      deepStrictEqual(await statuses(Object.keys(wanted), (one) => ({ path: one })), wanted);
    });
  }

  it('T2: a fragment is no part of the path that policies and routes see', async () => {
    await load(deny(`{to: [{operation: {paths: ['/user/profile']}}]}`));
    const wanted = {
      '/user/profile': 403,
      '/user/profile#section1': 403,
      '/user/profile?a#b': 403,
      '/user#/profile': 200,
    };
    deepStrictEqual(await statuses(Object.keys(wanted), (path) => ({ path })), wanted);
  });

  it('T3: a path that needs a token needs it with a query or fragment too', async () => {
    const keys = await generateKeyPair('RS256');
    const jwks = JSON.stringify({
      keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'RS256' }],
    });
    const token = await new SignJWT({})
      .setProtectedHeader({ alg: 'RS256', kid: 'one' })
      .setIssuer('https://issuer.example')
      .setSubject('jason')
      .setExpirationTime('1h')
      .sign(keys.privateKey);
    await load(`---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: default}
spec: {jwtRules: [{issuer: https://issuer.example, jwks: '${jwks}'}]}
${deny(`{from: [{source: {notRequestPrincipals: ['*']}}], to: [{operation: {paths: ['/private']}}]}`)}`);
    const wanted = { '/private': 403, '/private?x': 403, '/private#x': 403, '/open': 200 };
    deepStrictEqual(await statuses(Object.keys(wanted), (path) => ({ path })), wanted);
    const headers: readonly Header[] = [['authorization', `Bearer ${token}`]];
    deepStrictEqual(await statusOf({ path: '/private?x', headers }), 200);
  });
});

describe('hosts and headers denied', { timeout: 60_000 }, () => {
  it('T4: hosts in any case', async () => {
    await load(deny(`{to: [{operation: {hosts: ['secret.com']}}]}`));
    const wanted = { 'secret.com': 403, 'Secret.com': 403, 'SECRET.COM': 403, 'other.com': 200 };
    deepStrictEqual(await statuses(Object.keys(wanted), (host) => ({ host })), wanted);
  });

  it('T5: an exact host is neither the one with a port nor the one with a dot; a rule by prefix is', async () => {
    const hosts = ['secret.com:80', 'SECRET.COM:8080', 'secret.com.'];
    await load(deny(`{to: [{operation: {hosts: ['secret.com']}}]}`));
    deepStrictEqual(Object.values(await statuses(hosts, (host) => ({ host }))), [200, 200, 200]);
    await load(deny(`{to: [{operation: {hosts: ['secret.com:*', 'secret.com.']}}]}`));
    deepStrictEqual(Object.values(await statuses(hosts, (host) => ({ host }))), [403, 403, 403]);
  });

  it('T17: a header given twice is met by each value, two values in one line by none', async () => {
    await load(deny('{when: [{key: "request.headers[x-role]", values: [admin]}]}'));
    const cases: Readonly<Record<string, readonly [readonly string[], number]>> = {
      'the value': [['admin'], 403],
      'the second of two lines': [['user', 'admin'], 403],
      'the first of two lines': [['admin', 'user'], 403],
      'blanks behind': [['admin  '], 403],
      'one line with two values': [['user,admin'], 200],
      'another case': [['Admin'], 200],
    };
    const got = await statuses(Object.keys(cases), (one) => ({
      headers: (cases[one]?.[0] ?? []).map((value) => ['x-role', value] as const),
    }));
    const wanted = Object.fromEntries(Object.entries(cases).map(([name, [, status]]) => [name, status]));
    deepStrictEqual(got, wanted);
  });
});

it('T41: what a request says stays in its own field of a JSON log', async () => {
  await load('');
  const before = rig.logLines().length;
  const hostile = '1","code":"999"},{"call":"2';
  const path = '/a","code":"999';
  deepStrictEqual(await statusOf({ path, headers: [['x-call', hostile]] }), 200);
  const line = await waitFor('a line', () => rig.logLines()[before]);
  deepStrictEqual([line.call, line.code, line.path], [hostile, 200, path.replaceAll('"', '%22')]);
});

describe('T36: large paths and expressions', { timeout: 60_000 }, () => {
  it('a path of 50 KB meets a template in time that does not explode', async () => {
    await load(deny(`{to: [{operation: {paths: ['/a/{**}/b', '/{*}/{*}/{*}/c']}}]}`));
    const long = `/a${'/a'.repeat(25_000)}`;
    const startedMs = performance.now();
    const got = [await statusOf({ path: `${long}/b` }), await statusOf({ path: `${long}/x` })];
    deepStrictEqual(got, [403, 200]);
    ok(performance.now() - startedMs < 2_000, `${performance.now() - startedMs} ms`);
  });

  it('a path of 50 KB meets the expressions of a VirtualService that make others backtrack', async () => {
    await using sidecar = await LiveSidecar.start();
    const regexes = ['/(a+)+b', '/(a|a)*c', '/(.*)(.*)(.*)(.*)d'];
    const rules = regexes.map(
      (regex, i) => `  - {match: [{uri: {regex: '${regex}'}}], directResponse: {status: 41${i}}}`,
    );
    await sidecar.apply(`apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: expressions, namespace: default}
spec:
  hosts: [app.test]
  http:
${rules.join('\n')}
  - {directResponse: {status: 404}}
`);
    const long = `/${'a'.repeat(50_000)}`;
    const startedMs = performance.now();
    const got: number[] = [];
    for (const end of ['b', 'c', 'd', '!'])
      got.push((await sidecar.call('app.test', { path: long + end })).status);
    deepStrictEqual(got, [410, 411, 412, 404]);
    ok(performance.now() - startedMs < 2_000, `${performance.now() - startedMs} ms`);
  });
});

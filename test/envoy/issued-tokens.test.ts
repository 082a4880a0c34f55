/**
 * JWT_RULE with pilot-discovery as a program: callers with tokens of another issuer get certificates for what the token names and
 * nothing else; keys are fetched by a guarded request, which goes to this machine only where that is allowed (T14).
 */
import { deepStrictEqual, match } from 'node:assert';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SignJWT } from 'jose';
import { CertificateClient } from '#agent/certificate-client.ts';
import { ControlPlane } from '#agent/control-plane.ts';
import { systemClock } from '#base/clock.ts';
import { parseCertificates } from '#identity/certificate.ts';
import { makeCsr } from '#identity/csr.ts';
import { generateKeyPair } from '#identity/key-pair.ts';
import { makeFolder, removeFolder, until } from './agent-fixture.ts';
import { freePort } from './static-envoy.ts';

const LIMIT_MS = 30_000;
const PROGRAM = join(import.meta.dirname, '../../src/main/pilot-discovery.ts');
const HOST = '127.0.0.1';
const ISSUER = 'https://issuer.test';
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const issuer = createServer((_request, response) =>
  response.end(JSON.stringify({ keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'k' }] })),
);
const children: ChildProcess[] = [];
let folder = '';
let allowed: Discovery;
let guarded: Discovery;

before(async () => {
  folder = makeFolder();
  issuer.listen(0, HOST);
  await once(issuer, 'listening');
  [allowed, guarded] = await Promise.all([
    startDiscovery('allowed', { LATEEN_ALLOWED_CIDRS_IN_JWKS_URIS: '127.0.0.0/8' }),
    startDiscovery('guarded', {}),
  ]);
});
after(async () => {
  for (const child of children) {
    if (child.exitCode !== null) continue;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  }
  issuer.close();
  removeFolder(folder);
});

interface Discovery {
  readonly securePort: number;
  readonly rootPath: string;
  readonly log: () => string;
}

async function startDiscovery(
  name: string,
  environment: Readonly<Record<string, string>>,
): Promise<Discovery> {
  const state = join(folder, name);
  mkdirSync(join(state, 'mesh'), { recursive: true });
  const [http, secure] = [await freePort(HOST), await freePort(HOST)];
  const args = [
    'discovery',
    '--registries=',
    `--configDir=${join(state, 'mesh')}`,
    '--meshConfig=',
    '--grpcAddr=',
    '--monitoringAddr=',
    `--httpAddr=${HOST}:${http}`,
    `--secureGRPCAddr=${HOST}:${secure}`,
  ];
  const { port } = issuer.address() as AddressInfo;
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: {
      PATH: process.env['PATH'] ?? '',
      LATEEN_STATE_DIR: state,
      JWT_RULE: JSON.stringify({
        issuer: ISSUER,
        jwksUri: `http://${HOST}:${port}/`,
        audiences: ['istio-ca'],
      }),
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  let log = '';
  child.stdout.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  await until('pilot-discovery is ready', LIMIT_MS, () => (log.includes('secureGrpc') ? true : undefined));
  return { securePort: secure, rootPath: join(state, 'ca/ca-cert.pem'), log: () => log };
}

function token(subject: string, audience = 'istio-ca'): Promise<string> {
  return new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', kid: 'k' })
    .setIssuer(ISSUER)
    .setAudience(audience)
    .setSubject(subject)
    .setExpirationTime('5m')
    .sign(keys.privateKey);
}

/** The id in the certificate that a caller with that token gets for a request that names an id; else what it is told. */
async function certify(to: Discovery, bearer: string, spiffeId: string): Promise<string> {
  const tokenPath = join(folder, 'token');
  writeFileSync(tokenPath, bearer);
  const client = new CertificateClient(
    new ControlPlane(
      {
        host: HOST,
        port: to.securePort,
        security: 'tls',
        rootCertPath: to.rootPath,
        serverName: undefined,
        tokenPath,
        clientCertificate: undefined,
        compliance: '',
        clusterId: 'Kubernetes',
        headers: [],
      },
      systemClock(),
    ),
    systemClock(),
  );
  const answer = await client.createCertificate(makeCsr(await generateKeyPair(), spiffeId), 3_600_000);
  if (!answer.ok) return answer.error;
  const [leaf] = answer.value;
  const parsed = parseCertificates(leaf ?? '');
  return parsed.ok ? (parsed.value[0]?.uris.join() ?? '') : parsed.error;
}

const CART = 'spiffe://cluster.local/ns/shop/sa/cart';

test("a token of the issuer is worth its own service account's certificate", async () => {
  const good = await token('system:serviceaccount:shop:cart');
  deepStrictEqual(await certify(allowed, good, CART), CART);
  const refusals = [
    await certify(allowed, good, 'spiffe://cluster.local/ns/shop/sa/other'),
    await certify(allowed, await token('system:serviceaccount:shop:cart', 'api'), CART),
    await certify(allowed, await token('cart'), CART),
  ];
  for (const refusal of refusals) match(refusal, /gRPC status (7|16)/);
});

test('keys on this machine are not fetched unless that is allowed, and no token is taken (T14)', async () => {
  const refusal = await certify(guarded, await token('system:serviceaccount:shop:cart'), CART);
  match(refusal, /gRPC status 16/);
  match(guarded.log(), /issuer's keys could not be fetched.*refused/);
});

/**
 * Where an agent's certificate may come from besides the control plane, with real agents and Envoys: a CA at another address with
 * another root (istio-csr), a certificate that a machine was given and renews by itself, and files that somebody else renews.
 */
import { ok, strictEqual } from 'node:assert';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { openCertificateAuthority } from '#ca/certificate-authority.ts';
import { defaultSignerOptions } from '#ca/signer.ts';
import { parseCertificates } from '#identity/certificate.ts';
import { ownAddress, TestControlPlane, until, writePrivate } from './agent-fixture.ts';
import { AgentMesh, NAMESPACE, type Place } from './agent-mesh.ts';
import { issueWorkload } from './gateway-rig.ts';
import { fetchAgentSecret, type WorkloadSecret } from './workload-secret.ts';

const LIMIT_MS = 10_000;

let mesh: AgentMesh;
let elsewhere: TestControlPlane | undefined;

before(async () => {
  mesh = await AgentMesh.start();
});
after(async () => {
  await mesh[Symbol.asyncDispose]();
  await elsewhere?.stop();
});

/** A CA of its own, that takes the mesh's tokens. */
async function startCa(): Promise<TestControlPlane> {
  const ca = await openCertificateAuthority({
    folder: join(mesh.folder, 'csr'),
    trustDomain: 'cluster.local',
    trustDomainAliases: [],
    signer: defaultSignerOptions,
    tokenVerifiers: [mesh.authority.tokens],
    clock: systemClock(),
    log: silentLogger(),
  });
  if (!ca.ok) throw new Error(ca.error);
  const server = new TestControlPlane(ca.value, ownAddress(), [], []);
  await server.start();
  return server;
}

function serialOf(chain: string): string {
  const parsed = parseCertificates(chain);
  return (parsed.ok ? parsed.value[0]?.serial : undefined) ?? '';
}

function isSignedBy(chain: string, root: string): boolean {
  const [leaf, issuer] = [new X509Certificate(chain), new X509Certificate(root)];
  return leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey);
}

async function secretOf(place: Place): Promise<WorkloadSecret> {
  return until('the certificate', LIMIT_MS, () => fetchAgentSecret(place.folder).catch(() => undefined));
}

test('a CA at another address, known by another root, gives the certificates by which workloads talk', async () => {
  elsewhere = await startCa();
  const root = elsewhere.ca.signer.authority.rootPem;
  const places = await Promise.all([mesh.place('client'), mesh.place('server')]);
  const agents = [];
  for (const place of places) {
    writePrivate(join(place.folder, 'csr-root.pem'), root);
    await mesh.serve(place);
    agents.push(await mesh.startAgent(place, { CA_ADDR: elsewhere.target, CA_ROOT_CA: './csr-root.pem' }));
  }
  for (const [i, place] of places.entries()) await mesh.ready(place, agents[i]!);
  // The CA's own root first, and what the control plane pushed; the file by which the CA is known adds nothing.
  const expected = root + mesh.authority.rotation.rootsPem;
  await until('the roots', LIMIT_MS, async () =>
    (await secretOf(places[0])).roots === expected ? true : undefined,
  );
  ok(isSignedBy((await secretOf(places[0])).chain, root));
  const answer = await until('an answer', LIMIT_MS, async () => {
    const { status, body } = await mesh.call(places[0], 'server:8080');
    return status === 200 ? (JSON.parse(body) as { caller: string }) : undefined;
  });
  ok(answer.caller.includes('URI=spiffe://cluster.local/ns/default/sa/client'));
});

test('a machine shows the certificate that it was given, and keeps the one that it got for it', async () => {
  const place = await mesh.place('machine', false);
  const given = await issueWorkload(mesh.authority, NAMESPACE, 'machine');
  const certs = join(place.folder, 'certs');
  writePrivate(join(certs, 'cert-chain.pem'), given.chain);
  writePrivate(join(certs, 'key.pem'), given.key);
  writePrivate(join(certs, 'root-cert.pem'), mesh.authority.rotation.rootsPem);
  const kept = (): string => serialOf(readFileSync(join(certs, 'cert-chain.pem'), 'utf8'));
  const serials = [kept()];
  for (let start = 0; start < 2; start++) {
    const agent = await mesh.startAgent(place, { PROV_CERT: './certs', OUTPUT_CERTS: 'certs' });
    await mesh.ready(place, agent);
    const served = serialOf((await secretOf(place)).chain);
    await until('the renewed files', LIMIT_MS, () => (kept() === served ? true : undefined));
    serials.push(served);
    strictEqual(await agent.stop(), 0);
    strictEqual(kept(), served);
  }
  strictEqual(new Set(serials).size, 3);
});

test('files that somebody else renews are served as they are', async () => {
  const place = await mesh.place('mounted');
  const given = await issueWorkload(mesh.authority, NAMESPACE, 'mounted');
  writePrivate(join(place.folder, 'etc/certs/cert-chain.pem'), given.chain);
  writePrivate(join(place.folder, 'etc/certs/key.pem'), given.key);
  writePrivate(join(place.folder, 'etc/certs/root-cert.pem'), mesh.authority.rotation.rootsPem);
  // Nobody answers there: no CA is asked.
  const agent = await mesh.startAgent(place, { FILE_MOUNTED_CERTS: 'true', CA_ADDR: '127.0.0.1:1' });
  await mesh.ready(place, agent);
  strictEqual(serialOf((await secretOf(place)).chain), serialOf(given.chain));
  ok(!agent.log.includes('no certificate'));
});

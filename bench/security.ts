/**
 * The CA and policies, on one core: certificates signed, and whole calls of workloads answered, per second of CPU; what one changed
 * policy costs among 10,000 of them and 1,000 connected workloads. Figures go to bench/history.jsonl; beyond the limits fails.
 *   node bench/security.ts [--policies N] [--workloads N] [--no-history]
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { MeshObject } from '#api/mesh-object.ts';
import { systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { openCertificateAuthority } from '#ca/certificate-authority.ts';
import { defaultSignerOptions } from '#ca/signer.ts';
import { encodeCertificateCall } from '#identity/certificate-message.ts';
import { makeCsr } from '#identity/csr.ts';
import { generateKeyPair } from '#identity/key-pair.ts';
import { decodeAll, meshFixture } from '../test/support/mesh-fixture.ts';

const LEAST_PER_SECOND = 1_000;
const MOST_CPU_MS = 5;
const CALLS = 3_000;
const WARM_CALLS = 500;
const CHANGES = 200;
const WARM_CHANGES = 50;
const NAMESPACES = 10;

const { values } = parseArgs({
  options: {
    policies: { type: 'string', default: '10000' },
    workloads: { type: 'string', default: '1000' },
    'no-history': { type: 'boolean', default: false },
  },
});
const size = { policies: Number(values.policies), workloads: Number(values.workloads) };

/** CPU that one call takes, in milliseconds. */
async function cpuMsOf(calls: number, warm: number, call: (i: number) => unknown): Promise<number> {
  for (let i = 0; i < warm; i++) await call(i);
  const before = process.cpuUsage();
  for (let i = 0; i < calls; i++) await call(warm + i);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / calls;
}

async function benchAuthority() {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-bench-'));
  const ca = await openCertificateAuthority({
    folder,
    trustDomain: 'cluster.local',
    trustDomainAliases: [],
    signer: defaultSignerOptions,
    tokenVerifiers: [],
    clock: systemClock(),
    log: silentLogger(),
  });
  if (!ca.ok) throw new Error(ca.error);
  const { signer, service, tokens } = ca.value;
  const keys = await generateKeyPair();
  const identity = { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'app' };
  const facts = { workload: 'app-v1', canonicalService: 'app', canonicalRevision: 'v1' };
  const token = await tokens.issueToken({
    namespace: 'default',
    serviceAccount: 'app',
    facts,
    instance: 'app-0',
  });
  const request = encodeCertificateCall(makeCsr(keys, 'spiffe://cluster.local/ns/default/sa/app'), 0);
  const peer = { authorization: `Bearer ${token.reveal()}`, certificate: undefined };
  const order = { publicKey: keys.publicKey, identity, facts, ttlMs: 0 };
  const signCpuMs = await cpuMsOf(CALLS, WARM_CALLS, () => signer.sign(order));
  const callCpuMs = await cpuMsOf(CALLS, WARM_CALLS, async () => {
    const answer = await service.createCertificate(request, peer);
    if (!answer.ok) throw new Error(answer.error.message);
  });
  ca.value[Symbol.dispose]();
  rmSync(folder, { recursive: true });
  return { signedPerSecond: Math.round(1000 / signCpuMs), callsPerSecond: Math.round(1000 / callCpuMs) };
}

function policy(i: number, path: string): MeshObject {
  const workload = i % size.workloads;
  const [object] = decodeAll({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: `p-${i}`, namespace: `ns-${workload % NAMESPACES}` },
    spec: {
      selector: { matchLabels: { app: `app-${workload}` } },
      rules: [
        {
          from: [{ source: { principals: [`cluster.local/ns/a/sa/caller-${i}`] } }],
          to: [{ operation: { paths: [path], methods: ['GET'] } }],
        },
      ],
    },
  });
  if (object === undefined) throw new Error('nothing was decoded');
  return object;
}

async function benchPolicies() {
  const fixture = meshFixture();
  fixture.set(...Array.from({ length: size.policies }, (_, i) => policy(i, '/a')));
  for (let workload = 0; workload < size.workloads; workload++) {
    fixture.connect({
      name: `app-${workload}`,
      namespace: `ns-${workload % NAMESPACES}`,
      ip: `10.${workload >> 16}.${(workload >> 8) & 255}.${workload & 255}`,
      labels: { app: `app-${workload}`, version: 'v1', 'pod-template-hash': 'a' },
    });
  }
  fixture.settle();
  const changes = Array.from({ length: WARM_CHANGES + CHANGES }, (_, i) =>
    policy((i * 37) % size.policies, `/${i}`),
  );
  const { engine } = fixture.mesh;
  const before = engine.counters.recomputed;
  const cpuMs = await cpuMsOf(CHANGES, WARM_CHANGES, (i) => {
    const change = changes[i];
    if (change !== undefined) fixture.set(change);
    fixture.settle();
  });
  return {
    cpuMs: Math.round(cpuMs * 100) / 100,
    recomputed: Math.round((engine.counters.recomputed - before) / changes.length),
  };
}

const head = {
  date: new Date().toISOString().slice(0, 10),
  commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
  node: process.version,
};
const authority = await benchAuthority();
const policies = await benchPolicies();
for (const figures of [
  { ...head, case: 'certificates', n: CALLS, ...authority },
  { ...head, case: `policies ${size.policies}x${size.workloads}`, n: CHANGES, ...policies },
]) {
  console.log(JSON.stringify(figures));
  if (!values['no-history'])
    appendFileSync(join(import.meta.dirname, 'history.jsonl'), `${JSON.stringify(figures)}\n`);
}
const problems = [
  ...(authority.signedPerSecond < LEAST_PER_SECOND ? [`${authority.signedPerSecond} certificates/s`] : []),
  ...(policies.cpuMs > MOST_CPU_MS ? [`${policies.cpuMs} ms of CPU for one policy`] : []),
];
for (const problem of problems) console.error(`${problem}: beyond the limit`);
process.exitCode = problems.length === 0 ? 0 : 1;

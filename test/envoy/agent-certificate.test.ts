/** The agent's side of a certificate's life against the real CA, on a clock that the test moves. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Clock, TestClock } from '#base/clock.ts';
import { toDisposable } from '#base/disposable.ts';
import { silentLogger } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { seededRng } from '#base/rng.ts';
import { type LocalAuthority, openCertificateAuthority } from '#ca/certificate-authority.ts';
import { defaultSignerOptions } from '#ca/signer.ts';
import { decodeCertificateReply, encodeCertificateCall } from '#identity/certificate-message.ts';
import { makeCsr } from '#identity/csr.ts';
import { generateKeyPair } from '#identity/key-pair.ts';
import { AgentMetrics } from '#agent/agent-metrics.ts';
import {
  type CertificateSource,
  WorkloadCertificate,
  type WorkloadSecrets,
} from '#agent/workload-certificate.ts';

const hourMs = 3_600_000;
const id = 'spiffe://cluster.local/ns/a/sa/b';
let folder = '';

/** Asks a real CA, or fails as a test wants; says when an answer is in. */
class TestSource implements CertificateSource {
  readonly ca: LocalAuthority;
  calls = 0;
  answer: ((csr: string) => Promise<Result<readonly string[], string>>) | undefined;

  constructor(ca: LocalAuthority) {
    this.ca = ca;
  }

  async createCertificate(csr: string, ttlMs: number): Promise<Result<readonly string[], string>> {
    this.calls++;
    return this.answer === undefined ? this.sign(csr, 'b', ttlMs) : this.answer(csr);
  }

  async sign(csr: string, serviceAccount: string, ttlMs = 0): Promise<Result<readonly string[], string>> {
    const token = await this.ca.tokens.issueToken({
      namespace: 'a',
      serviceAccount,
      facts: {},
      instance: 'x',
    });
    const peer = { authorization: `Bearer ${token.reveal()}`, certificate: undefined };
    const reply = await this.ca.service.createCertificate(encodeCertificateCall(csr, ttlMs / 1000), peer);
    return reply.ok ? decodeCertificateReply(reply.value) : fail(reply.error.message);
  }
}

const stillClock: Clock = { nowMs: () => 0, monotonicMs: () => 0, schedule: () => toDisposable(() => {}) };

interface Setup {
  readonly clock: TestClock;
  readonly source: TestSource;
  readonly certificate: WorkloadCertificate;
  readonly metrics: AgentMetrics;
  /** Resolves when the certificate next waits for its clock, with the number of changes seen so far. */
  readonly settled: () => Promise<number>;
}

async function setUp(caName: string, rootsPath?: string): Promise<Setup> {
  const clock = new TestClock(Date.UTC(2026, 0, 1));
  const ca = await openCertificateAuthority({
    folder: join(folder, caName),
    trustDomain: 'cluster.local',
    trustDomainAliases: [],
    signer: defaultSignerOptions,
    tokenVerifiers: [],
    // The CA's own timers don't count among those that the tests wait for.
    clock: { ...stillClock, nowMs: () => clock.nowMs() },
    log: silentLogger(),
  });
  assert.ok(ca.ok);
  const source = new TestSource(ca.value);
  const metrics = new AgentMetrics('1');
  const parts = { clock, rng: seededRng(3), log: silentLogger(), metrics };
  const certificate = new WorkloadCertificate(
    {
      spiffeId: id,
      ttlMs: 24 * hourMs,
      keyKind: 'ecdsa-p256',
      renewal: undefined,
      rootsPath,
      revocationsPath: undefined,
    },
    source,
    parts,
  );
  let changes = 0;
  certificate.watch(() => changes++);
  const timers = rootsPath === undefined ? 1 : 2;
  const settled = async (): Promise<number> => {
    const endMs = performance.now() + 5000;
    while (clock.waitingCount < timers) {
      assert.ok(performance.now() < endMs, 'the certificate does not settle');
      await new Promise((resolve) => setImmediate(resolve));
    }
    return changes;
  };
  return { clock, source, certificate, metrics, settled };
}

describe('keeping a certificate', () => {
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'certificate-'));
  });

  after(() => rmSync(folder, { recursive: true }));

  describe('a workload certificate', () => {
    it('is there after the first answer, and renewed with a new key at half its life', async () => {
      const { clock, source, certificate, settled } = await setUp('renewed');
      certificate.run();
      assert.equal(await settled(), 1);
      const first: WorkloadSecrets | undefined = certificate.current;
      assert.deepEqual(first?.leaf.uris, [id]);
      assert.match(first?.chainPem ?? '', /^-----BEGIN CERTIFICATE-----[^]*-----END CERTIFICATE-----\n$/);
      assert.equal(first?.rootsPem, source.ca.signer.authority.rootPem);
      clock.advance(10.7 * hourMs);
      assert.equal(source.calls, 1);
      clock.advance(2.6 * hourMs);
      assert.equal(await settled(), 2);
      assert.notEqual(certificate.current?.leaf.serial, first?.leaf.serial);
      assert.notEqual(certificate.current?.privateKey.reveal(), first?.privateKey.reveal());
      certificate[Symbol.dispose]();
      assert.equal(clock.waitingCount, 0);
    });

    it('is asked for again and again while the CA fails, slower each time, and the old one stays', async () => {
      const { clock, source, certificate, metrics, settled } = await setUp('retried');
      certificate.run();
      await settled();
      const held = certificate.current;
      source.answer = async () => fail('down');
      clock.advance(14 * hourMs);
      await settled();
      let waitedMs = 0;
      for (let attempt = 0; attempt < 12; attempt++) {
        const { calls } = source;
        while (source.calls === calls) {
          clock.advance(50);
          waitedMs += 50;
          await settled();
        }
      }
      assert.ok(waitedMs > 40_000 && waitedMs < 12 * 30_000, `${waitedMs} ms`);
      assert.equal(certificate.current, held);
      assert.equal(metrics.count('istio_agent_num_failed_outgoing_requests{request_type="csr"}'), 13);
      source.answer = undefined;
      clock.advance(30_000);
      assert.equal(await settled(), 2);
      certificate[Symbol.dispose]();
    });

    it('is not taken when it is for another key, another identity, or without a root', async () => {
      const { source, certificate, settled, metrics, clock } = await setUp('refused');
      const answers = [
        async () => source.sign(makeCsr(await generateKeyPair(), id), 'b'),
        async (csr: string) => {
          const chain = await source.sign(csr, 'b');
          return chain.ok ? ok(chain.value.slice(0, 1)) : chain;
        },
        async () => ok(['nonsense']),
        async () => ok([]),
      ];
      certificate.run();
      source.answer = answers[0];
      await settled();
      for (const [index, answer] of answers.entries()) {
        assert.equal(certificate.current, undefined, `answer ${index}`);
        source.answer = answer;
        clock.advance(30_000);
        await settled();
      }
      assert.equal(metrics.count('istio_agent_num_failed_outgoing_requests{request_type="csr"}') >= 4, true);
      certificate[Symbol.dispose]();
    });

    it('comes with the roots of a file too, and changes when those do', async () => {
      const other = await setUp('other');
      const roots = join(folder, 'roots.pem');
      const { clock, source, certificate, settled } = await setUp('bundle', roots);
      certificate.run();
      assert.equal(await settled(), 1);
      const own = source.ca.signer.authority.rootPem;
      assert.equal(certificate.current?.rootsPem, own);
      writeFileSync(roots, own + other.source.ca.signer.authority.rootPem);
      const changed = Promise.withResolvers<void>();
      certificate.watch(changed.resolve);
      clock.advance(10_000);
      await changed.promise;
      assert.equal(certificate.current?.rootsPem, own + other.source.ca.signer.authority.rootPem);
      assert.equal(source.calls, 1);
      for (const broken of ['nonsense', undefined]) {
        if (broken === undefined) rmSync(roots);
        else writeFileSync(roots, broken);
        clock.advance(10_000);
        await settled();
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
        assert.equal(certificate.current?.rootsPem, own + other.source.ca.signer.authority.rootPem);
      }
      certificate[Symbol.dispose]();
      assert.equal(clock.waitingCount, 0);
    });
  });
});

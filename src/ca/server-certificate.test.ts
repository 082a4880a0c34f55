/** Long lives on the real clock: timers of Node end at 25 days, certificates and roots don't. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, mock, test } from 'node:test';
import { type Clock, systemClock, TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { seededRng } from '#base/rng.ts';
import { parseCertificates } from '#identity/certificate.ts';
import { openCertificateAuthority } from './certificate-authority.ts';
import {
  issueServerCertificate,
  type ServerCertificate,
  ServerCertificateKeeper,
} from './server-certificate.ts';
import { defaultSignerOptions } from './signer.ts';

const START_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 24 * 3_600_000;
const YEAR_MS = 365 * DAY_MS;
const NAMES = [{ type: 'dns', value: 'istiod' }] as const;
const folder = mkdtempSync(join(tmpdir(), 'server-certificate-'));
after(() => rmSync(folder, { recursive: true }));

function lifeDays({ chainPem }: ServerCertificate): number {
  const parsed = parseCertificates(chainPem);
  const [leaf] = parsed.ok ? parsed.value : [];
  return leaf === undefined ? 0 : (leaf.notAfterUnixMs - leaf.notBeforeUnixMs) / DAY_MS;
}

test('a certificate of ninety days under a root of ten years is renewed after forty-five, and not before', async () => {
  const clock = new TestClock(START_MS);
  const ca = await openCertificateAuthority({
    folder,
    trustDomain: 'cluster.local',
    trustDomainAliases: [],
    signer: { ...defaultSignerOptions, defaultTtlMs: 90 * DAY_MS },
    tokenVerifiers: [],
    clock,
    log: silentLogger(),
  });
  ok(ca.ok);
  const root = ca.value.rotation.authority.certificate;
  strictEqual(Math.round((root.notAfterUnixMs - root.notBeforeUnixMs) / YEAR_MS), 10);
  const first = await issueServerCertificate(ca.value, NAMES);
  ok(first.ok);
  strictEqual(lifeDays(first.value), 90);
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: START_MS });
  try {
    const renewed = Promise.withResolvers<ServerCertificate>();
    let renewals = 0;
    let isDue = false;
    const real = systemClock();
    const watched: Clock = {
      nowMs: () => real.nowMs(),
      monotonicMs: () => real.monotonicMs(),
      schedule: (delayMs, run) =>
        real.schedule(delayMs, () => {
          isDue = true;
          run();
        }),
    };
    using _keeper = new ServerCertificateKeeper(
      { ...ca.value, clock: watched, rng: seededRng(1), log: silentLogger() },
      NAMES,
      first.value,
      (certificate) => {
        renewals++;
        renewed.resolve(certificate);
      },
    );
    let counted = 0;
    for (; !isDue && counted < 60; counted++) mock.timers.tick(DAY_MS);
    await renewed.promise;
    deepStrictEqual([counted >= 40 && counted <= 51, renewals], [true, 1], `${counted} days`);
  } finally {
    mock.timers.reset();
    ca.value[Symbol.dispose]();
  }
});

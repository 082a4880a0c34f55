/** What is told of certificates while a root is replaced, over a clock that runs as the test wants. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SecretSpec } from '#api/secret.ts';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { AuthorityRotation } from '#ca/authority-rotation.ts';
import { openRootStore } from '#ca/root-store.ts';
import { certificateReport } from './certificate-status.ts';

const START_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;

function secret(name: string, data: Readonly<Record<string, string>>): MeshObject<SecretSpec> {
  const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    namespace: 'shop',
    name,
    labels: {},
    annotations: {},
    createdAtMs: 0,
    spec: { type: 'kubernetes.io/tls', data: Object.fromEntries(encoded) },
    hash: '',
  };
}

test('a root is introduced, signs, and the old one is believed until nothing of it is left', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'certificates-'));
  try {
    const clock = new TestClock(START_MS);
    const stored = await openRootStore(join(folder, 'ca'), 'cluster.local', clock);
    assert.ok(stored.ok);
    const { store, ...start } = stored.value;
    const options = { ...start, store, clock, log: silentLogger(), overlapMs: 60_000, maxTtlMs: DAY_MS };
    using rotation = new AuthorityRotation(options);
    const report = () => {
      const { rotation: phase, certificates } = certificateReport(rotation, []);
      return [
        phase,
        ...certificates.map(({ kind, state, trustedUntil = '' }) =>
          `${kind} ${state} ${trustedUntil}`.trim(),
        ),
      ];
    };
    assert.deepEqual(report(), ['none', 'root signing']);
    const [root] = certificateReport(rotation, []).certificates;
    assert.equal(Date.parse(root?.notAfter ?? '') - START_MS, 3650 * DAY_MS);

    const next = await store.makeSuccessor();
    assert.ok(next.ok);
    await rotation.introduce(next.value);
    assert.deepEqual(report().toSorted(), ['introducing', 'root introduced', 'root signing']);
    clock.advance(1000);
    await rotation.confirm('acknowledged');
    assert.deepEqual(report(), ['retiring', 'root signing', 'root retired 2026-01-02T00:00:01.000Z']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('certificates of Secrets are told of by their leaf, other Secrets are not', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'certificates-'));
  try {
    const clock = new TestClock(START_MS);
    const stored = await openRootStore(join(folder, 'ca'), 'cluster.local', clock);
    assert.ok(stored.ok);
    const { first } = stored.value;
    using rotation = new AuthorityRotation({
      ...stored.value,
      clock,
      log: silentLogger(),
      overlapMs: 60_000,
      maxTtlMs: DAY_MS,
    });
    const pem = first.authority.certificate.pem;
    const secrets = [
      secret('web', { 'tls.crt': pem, 'tls.key': 'k' }),
      secret('old', { cert: pem, key: 'k' }),
      secret('broken', { 'tls.crt': 'nonsense' }),
      secret('token', { token: 'x' }),
    ];
    const { certificates } = certificateReport(rotation, secrets);
    assert.deepEqual(
      certificates.filter(({ kind }) => kind === 'secret').map(({ name, state }) => [name, state]),
      [
        ['shop/web', 'served'],
        ['shop/old', 'served'],
      ],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

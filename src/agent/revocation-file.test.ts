import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { createIssuer } from '#identity/certificate-rig.ts';
import { AgentMetrics } from './agent-metrics.ts';
import { RevocationFile } from './revocation-file.ts';

const DAY_MS = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'revocations-'));
after(() => rmSync(folder, { recursive: true }));
const [one, other] = await Promise.all(
  ['one', 'other'].map(async (name) => (await createIssuer(name)).revoke([])),
);

function open(name: string) {
  const [path, clock, metrics] = [join(folder, name), new TestClock(Date.now()), new AgentMetrics('test')];
  const file = new RevocationFile(path, { clock, log: silentLogger(), metrics });
  const look = async (text?: string): Promise<string> => {
    if (text !== undefined) writeFileSync(path, text);
    await file.look();
    return file.pem.trim();
  };
  const refused = (): number => metrics.count('lateen_agent_trust_refused_total');
  return { file, path, clock, look, refused };
}

test('mounted lists are followed, and a broken one leaves the last good one', async () => {
  const { file, path, look, refused } = open('followed');
  assert.equal(await look(), '');
  assert.equal(await look(one), one?.trim());
  assert.equal(await look('nonsense'), one?.trim());
  assert.deepEqual([refused(), file.isUnusable], [1, false]);
  assert.equal(await look(other), other?.trim());
  assert.equal(await look(''), '');
  assert.equal(await look(one), one?.trim());
  rmSync(path);
  assert.equal(await look(), '');
});

test('a list that is over takes no good one’s place, but one that ended in use stays', async () => {
  const { clock, look, refused } = open('over');
  await look(one);
  clock.advance(40 * DAY_MS);
  assert.equal(await look(other), one?.trim());
  assert.equal(refused(), 1);
  assert.equal(await look(`${one}\n`), one?.trim());
  assert.equal(refused(), 1);
});

test('where there is none before it, one that is over is used, and one that is broken stops everything: nobody is let through', async () => {
  const late = open('late');
  late.clock.advance(40 * DAY_MS);
  assert.equal(await late.look(one), one?.trim());
  const broken = open('broken');
  assert.equal(await broken.look('nonsense'), '');
  assert.equal(broken.file.isUnusable, true);
  await broken.look(one);
  assert.equal(broken.file.isUnusable, false);
});

import { deepStrictEqual, strictEqual } from 'node:assert';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { seededRng } from '#base/rng.ts';
import { createIssuer } from '#identity/certificate-rig.ts';
import { AgentMetrics } from './agent-metrics.ts';
import { MountedCertificate } from './mounted-certificate.ts';

const folder = mkdtempSync(join(tmpdir(), 'mounted-'));
after(() => rmSync(folder, { recursive: true }));
const issuer = await createIssuer('mounted');
const uri = 'spiffe://cluster.local/ns/a/sa/b';
const [one, two] = await Promise.all([issuer.issue({ uri }), issuer.issue({ uri })]);
const paths = {
  chainPath: join(folder, 'chain'),
  keyPath: join(folder, 'key'),
  rootsPath: join(folder, 'roots'),
};

function write(chain: string, key: string, roots: string): void {
  writeFileSync(paths.chainPath, chain);
  writeFileSync(paths.keyPath, key);
  writeFileSync(paths.rootsPath, roots);
}

test('the certificate of files is followed, and what cannot be used leaves the last good one', () => {
  const clock = new TestClock(Date.now());
  const parts = { clock, rng: seededRng(1), log: silentLogger(), metrics: new AgentMetrics('1') };
  using certificate = new MountedCertificate(paths, parts);
  const seen: (string | undefined)[] = [];
  using _watch = certificate.watch(() => seen.push(certificate.current?.chainPem));
  certificate.run();
  deepStrictEqual(certificate.current === undefined, true);
  write(one.chain, one.key, issuer.root);
  clock.advance(5_000);
  write(two.chain, one.key, issuer.root);
  clock.advance(5_000);
  write(two.chain, two.key, 'nonsense');
  clock.advance(5_000);
  deepStrictEqual([seen, certificate.current?.leaf.uris], [[one.chain], [uri]]);
  write(two.chain, two.key, issuer.root);
  clock.advance(5_000);
  clock.advance(60_000);
  deepStrictEqual([seen, certificate.current?.privateKey.reveal()], [[one.chain, two.chain], two.key]);
});

test('pushed roots are believed beside those of the files, until they are taken back', async () => {
  const clock = new TestClock(Date.now());
  const parts = { clock, rng: seededRng(1), log: silentLogger(), metrics: new AgentMetrics('1') };
  const other = await createIssuer('pushed');
  write(one.chain, one.key, issuer.root);
  using certificate = new MountedCertificate(paths, parts);
  certificate.run();
  const counts = [countOf(certificate)];
  const bundle = { rootsPem: other.root, authorityRootsPem: '', revocationsPem: '', problem: '' };
  await certificate.believe(bundle);
  counts.push(countOf(certificate));
  strictEqual(certificate.current?.authorityRootsPem.includes(other.root.trim()), false);
  await certificate.believe(undefined);
  deepStrictEqual([...counts, countOf(certificate)], [1, 2, 1]);
});

function countOf({ current }: MountedCertificate): number {
  return current?.rootsPem.match(/BEGIN CERTIFICATE/g)?.length ?? 0;
}

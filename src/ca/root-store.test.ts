import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { joinTrustBundle } from '#identity/trust-bundle.ts';
import { openRootStore } from './root-store.ts';

const startMs = Date.UTC(2026, 0, 1, 12);
const dayMs = 24 * 3_600_000;
let folder = '';

describe('the root on disk', () => {
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'root-store-'));
  });

  after(() => rmSync(folder, { recursive: true }));

  describe('the root store', () => {
    it('makes a root as Istio does, keeps it private, and finds it again', async () => {
      const clock = new TestClock(startMs);
      const state = join(folder, 'a', 'root');
      const first = await openRootStore(state, 'cluster.local', clock);
      const second = await openRootStore(state, 'cluster.local', clock);
      assert.ok(first.ok && second.ok);
      assert.equal(second.value.first.rootsPem, first.value.first.rootsPem);
      assert.equal(statSync(state).mode & 0o777, 0o700);
      assert.deepEqual(readdirSync(state).sort(), ['ca-cert.pem', 'ca-key.pem']);
      for (const name of readdirSync(state)) assert.equal(statSync(join(state, name)).mode & 0o777, 0o600);
      const { certificate } = first.value.first.authority;
      assert.deepEqual(
        [
          certificate.issuer,
          certificate.subject,
          (certificate.notAfterUnixMs - startMs) / dayMs,
          certificate.isAuthority,
        ],
        ['O=cluster.local', 'O=cluster.local', 3650, true],
      );
      clock.advance(3650 * dayMs);
      const ended = await openRootStore(state, 'cluster.local', clock);
      assert.match(ended.ok ? '' : ended.error, /ended on 2035-12-30T12:00:00/);
    });

    it('makes a new root when a crash left a key without its certificate', async () => {
      const state = join(folder, 'crashed');
      mkdirSync(state, { mode: 0o700 });
      writeFileSync(join(state, 'ca-key.pem'), 'half', { mode: 0o600 });
      writeFileSync(join(state, '.ca-cert.pem.new'), 'half', { mode: 0o600 });
      assert.ok((await openRootStore(state, 'cluster.local', new TestClock(startMs))).ok);
    });

    const refused: readonly [name: string, prepare: (state: string) => void, reason: RegExp][] = [
      [
        'a folder that others may enter',
        (s) => chmodSync(s, 0o750),
        /may be used by others \(mode 750\): run chmod 700/,
      ],
      [
        'a key that others may read',
        (s) => chmodSync(join(s, 'ca-key.pem'), 0o640),
        /may be read by others: run chmod 600/,
      ],
      ['a key that is a link', (s) => relink(join(s, 'ca-key.pem')), /is not a file/],
      ['a missing key', (s) => rmSync(join(s, 'ca-key.pem')), /ca-key.pem is missing/],
      ['a broken certificate', (s) => writeFileSync(join(s, 'ca-cert.pem'), 'x'), /ca-cert.pem: no PEM/],
      ['a broken key', (s) => writeFileSync(join(s, 'ca-key.pem'), 'x'), /the private key cannot be read/],
    ];
    for (const [name, prepare, reason] of refused) {
      it(`refuses ${name}`, async () => {
        const state = join(folder, `refused ${name}`);
        await openRootStore(state, 'cluster.local', new TestClock(startMs));
        prepare(state);
        const opened = await openRootStore(state, 'cluster.local', new TestClock(startMs));
        assert.match(opened.ok ? '' : opened.error, reason);
      });
    }

    it('refuses a folder that is a link', async () => {
      mkdirSync(join(folder, 'real'), { mode: 0o700 });
      symlinkSync(join(folder, 'real'), join(folder, 'link'));
      const opened = await openRootStore(join(folder, 'link'), 'cluster.local', new TestClock(startMs));
      assert.match(opened.ok ? '' : opened.error, /is not a folder/);
    });

    function relink(path: string): void {
      rmSync(path);
      symlinkSync('/dev/null', path);
    }
  });

  describe('a trust bundle', () => {
    it('holds each root once, in order, without those that have ended', async () => {
      const clock = new TestClock(startMs);
      const pems: string[] = [];
      for (const name of ['one', 'two']) {
        const opened = await openRootStore(join(folder, name), 'cluster.local', clock);
        assert.ok(opened.ok);
        pems.push(opened.value.first.rootsPem);
        clock.advance(dayMs);
      }
      const [one = '', two = ''] = pems;
      const show = (joined: ReturnType<typeof joinTrustBundle>): string =>
        joined.ok ? joined.value.pem : joined.error;
      assert.equal(show(joinTrustBundle([two + one, one], startMs)), two + one);
      assert.equal(show(joinTrustBundle([one, two], startMs + 3650 * dayMs)), two);
      assert.equal(show(joinTrustBundle([one], startMs + 3650 * dayMs)), 'no valid root');
      assert.equal(show(joinTrustBundle([one, 'x'], startMs)), 'no PEM');
    });
  });
});

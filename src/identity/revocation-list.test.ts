import assert from 'node:assert/strict';
import 'reflect-metadata';
import { createPrivateKey } from 'node:crypto';
import { describe, it } from 'node:test';
import { X509Certificate } from '@peculiar/x509';
import { parseCertificates } from './certificate.ts';
import { createIssuer, der, makeRevocationList, type RevocationWish } from './certificate-rig.ts';
import { generateKeyPair } from './key-pair.ts';
import { isIssuedBy, isOver, parseRevocationLists, revokes } from './revocation-list.ts';

const NOW_MS = Date.UTC(2026, 5, 1);
const HOUR_MS = 3_600_000;
const [one, other] = [await createIssuer('one'), await createIssuer('other')];
const [bad, good] = [await one.issue({ dns: ['bad.test'] }), await one.issue({ dns: ['good.test'] })];
const list = await one.revoke([bad]);

function certificate(pem: string) {
  const parsed = parseCertificates(pem);
  const [first] = parsed.ok ? parsed.value : [];
  if (first === undefined) throw new Error('no certificate');
  return first;
}

function read(pem: string) {
  const parsed = parseRevocationLists(pem);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error);
  const [first] = parsed.value;
  if (first === undefined) throw new Error('no list');
  return first;
}

/** A list of an issuer that is nobody's, with whatever a test wants. */
async function listWith(change: Partial<RevocationWish>): Promise<string> {
  const { privateKey } = await generateKeyPair();
  const key = createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const issuer = Buffer.from(new X509Certificate(one.root).subjectName.toArrayBuffer());
  return makeRevocationList({ issuer, key, serials: [], thisUpdate: new Date(NOW_MS), ...change });
}

/** An extension: identifier in hex, critical or not. */
function extension(oid: string, isCritical: boolean): Buffer {
  const critical = isCritical ? [der(0x01, Buffer.from([0xff]))] : [];
  return der(
    0x30,
    der(0x06, Buffer.from(oid, 'hex')),
    ...critical,
    der(0x04, Buffer.from([0x02, 0x01, 0x01])),
  );
}

describe('a revocation list', () => {
  it('is refused when its issuer is no name', async () => {
    const issuer = der(0x30, der(0x00, Buffer.from([1])));
    assert.equal(parseRevocationLists(await listWith({ issuer })).ok, false);
  });

  it('names certificates of its issuer, and is known by that signature alone', () => {
    const found = read(list);
    assert.deepEqual(
      [certificate(bad.chain), certificate(good.chain)].map((leaf) => revokes(found, leaf)),
      [true, false],
    );
    assert.deepEqual(
      [one.root, other.root, good.chain].map((pem) => isIssuedBy(found, certificate(pem))),
      [true, false, false],
    );
  });

  it('names nobody of another issuer, whatever the serial', async () => {
    const stranger = await other.issue({ dns: ['bad.test'] });
    const found = read(await one.revoke([stranger]));
    assert.equal(found.serials.has(certificate(stranger.chain).serial), true);
    assert.equal(revokes(found, certificate(stranger.chain)), false);
  });

  it('under the name of an authority but of another key is not its own', async () => {
    assert.equal(isIssuedBy(read(await listWith({})), certificate(one.root)), false);
  });

  it('is over when it says so, and never when it does not say', async () => {
    const ends = read(await listWith({ nextUpdate: new Date(NOW_MS + HOUR_MS) }));
    const stays = read(await listWith({}));
    assert.deepEqual(
      [isOver(ends, NOW_MS), isOver(ends, NOW_MS + HOUR_MS), isOver(stays, NOW_MS + 10 * HOUR_MS)],
      [false, true, false],
    );
    assert.equal(ends.thisUpdateUnixMs, NOW_MS);
  });

  it('is printed again as it was, and read from among others', () => {
    const parsed = parseRevocationLists(`comment\n${list}\n${list}`);
    assert.equal(parsed.ok && parsed.value.length, 2);
    assert.equal(read(list).pem.trim(), list.trim());
  });

  it('may have a number and a key id, but nothing that makes it one for a part', async () => {
    const outcomes = await Promise.all(
      [
        [extension('551d14', false), extension('551d23', false)],
        [extension('551d14', true)],
        [extension('551d1c', false)],
        [extension('551d1c', true)],
        [extension('551d1b', false)],
      ].map(async (extensions) => parseRevocationLists(await listWith({ extensions })).ok),
    );
    assert.deepEqual(outcomes, [true, true, true, false, false]);
  });

  const refusals: readonly (readonly [string, string, string])[] = [
    ['nothing', '', 'no PEM'],
    ['a certificate', one.root, 'not a revocation list'],
    ['a list and a certificate', list + one.root, 'not a revocation list'],
    ['a list that is cut off', list.replace(/\n[^\n]+\n-----END/, '\n-----END'), 'not a revocation list'],
    ['too many', list.repeat(51), 'too many revocation lists'],
    ['too much', 'x'.repeat((1 << 20) + 1), 'no PEM'],
  ];
  for (const [what, text, error] of refusals) {
    it(`is not ${what}`, () => {
      const parsed = parseRevocationLists(text);
      assert.deepEqual(parsed.ok || parsed.error, error);
    });
  }
});

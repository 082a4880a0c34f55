import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import 'reflect-metadata';
import { after, before, describe, it } from 'node:test';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { Secret } from '#base/secret.ts';
import { makeRevocationList } from '#identity/certificate-rig.ts';
import { generateKeyPair, type KeyKind, type KeyPair, printPrivateKey } from '#identity/key-pair.ts';
import type { AuthorityMaterial } from './authority-material.ts';
import { AuthorityRotation, NOTHING_KEPT, type RotationOptions } from './authority-rotation.ts';
import { PluggedInWatch, readPluggedIn, readPluggedInSecret } from './plugged-in-authority.ts';

const START_MS = Date.UTC(2026, 0, 1);
const YEAR_MS = 365 * 24 * 3_600_000;
let folder = '';
let serial = 1;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'plugged-in-'));
});
after(() => rmSync(folder, { recursive: true }));

interface Issued {
  readonly certificate: X509Certificate;
  readonly keys: KeyPair;
  readonly kind: KeyKind;
}

/** A CA certificate, signed by `issuer` or by itself. */
async function authority(
  name: string,
  issuer?: Issued,
  kind: KeyKind = 'ecdsa-p256',
  years = 1,
  usage = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign,
): Promise<Issued> {
  const keys = await generateKeyPair(kind);
  const algorithmOf = (of: KeyKind) =>
    of === 'rsa-2048'
      ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
      : { name: 'ECDSA', namedCurve: 'P-256' };
  const signer = issuer ?? { keys, kind };
  const signingAlgorithm =
    signer.kind === 'rsa-2048' ? algorithmOf('rsa-2048') : { name: 'ECDSA', hash: 'SHA-256' };
  const certificate = await X509CertificateGenerator.create({
    serialNumber: String(serial++).padStart(2, '0'),
    subject: `CN=${name}`,
    issuer: issuer?.certificate.subject ?? `CN=${name}`,
    notBefore: new Date(START_MS),
    notAfter: new Date(START_MS + years * YEAR_MS),
    publicKey: keys.publicKey.toCryptoKey(algorithmOf(kind), true, ['verify']),
    signingKey: signer.keys.privateKey.toCryptoKey(algorithmOf(signer.kind), false, ['sign']),
    signingAlgorithm,
    extensions: [new BasicConstraintsExtension(true, undefined, true), new KeyUsagesExtension(usage, true)],
  });
  return { certificate, keys, kind };
}

/** A revocation list of an authority, for a month. */
function revocationsOf({ certificate, keys }: Issued, startMs = START_MS): string {
  return makeRevocationList({
    issuer: Buffer.from(certificate.subjectName.toArrayBuffer()),
    key: keys.privateKey,
    serials: ['2a'],
    thisUpdate: new Date(startMs),
    nextUpdate: new Date(startMs + YEAR_MS / 12),
  });
}

const pem = (...list: Issued[]): string =>
  list.map(({ certificate }) => `${certificate.toString('pem')}\n`).join('');

function write(name: string, files: Readonly<Record<string, string>>): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text);
  return path;
}

async function read(path: string, nowMs = START_MS + 1_000): Promise<string> {
  const found = await readPluggedIn(path, { nowUnixMs: nowMs });
  if (found === undefined) return 'none';
  if (!found.ok) return found.error;
  const { authority: made } = found.value;
  return [made.certificate.subject, `${made.intermediatePems.length} below the root`].join(', ');
}

describe('a CA that is plugged in', async () => {
  const root = await authority('root');
  const upper = await authority('upper', root);
  const lower = await authority('lower', upper);
  const rsa = await authority('rsa', undefined, 'rsa-2048');
  const short = await authority('short', root, 'ecdsa-p256', 0.1);
  const files = (signing: Issued, chain: string, roots: string): Record<string, string> => ({
    'ca-cert.pem': pem(signing),
    'ca-key.pem': printPrivateKey(signing.keys).reveal(),
    'cert-chain.pem': chain,
    'root-cert.pem': roots,
  });

  const cases: readonly (readonly [string, Record<string, string>, RegExp, number?])[] = [
    ['a root that signs', files(root, '', pem(root)), /^CN=root, 0 below/],
    ['an RSA root', files(rsa, '', pem(rsa)), /^CN=rsa, 0 below/],
    ['an intermediate', files(upper, pem(upper), pem(root)), /^CN=upper, 1 below/],
    [
      'two intermediates, chain in any order',
      files(lower, pem(upper, lower), pem(root)),
      /^CN=lower, 2 below/,
    ],
    ['several roots', files(upper, pem(upper), pem(rsa, root)), /^CN=upper, 1 below/],
    [
      'a TLS Secret',
      {
        'tls.crt': pem(lower, upper),
        'tls.key': printPrivateKey(lower.keys).reveal(),
        'ca.crt': pem(root),
      },
      /^CN=lower, 2 below/,
    ],
    ['no files', {}, /^none$/],
    ['a gap in the chain', files(lower, pem(lower), pem(root)), /no path leads/],
    ['another root', files(upper, pem(upper), pem(rsa)), /no path leads/],
    ['no key', { 'ca-cert.pem': pem(root), 'root-cert.pem': pem(root) }, /the key or the root/],
    [
      'a key of another',
      { ...files(root, '', pem(root)), 'ca-key.pem': printPrivateKey(rsa.keys).reveal() },
      /does not belong/,
    ],
    [
      'a key that is none',
      { ...files(root, '', pem(root)), 'ca-key.pem': 'x' },
      /private key cannot be read/,
    ],
    ['a broken root', files(upper, pem(upper), 'x'), /root-cert.pem: no PEM/],
    [
      'a certificate that has ended',
      files(short, '', pem(root)),
      /CN=short ended on/,
      START_MS + YEAR_MS / 2,
    ],
    ['a certificate of the future', files(root, '', pem(root)), /CN=root begins on/, START_MS - 1],
  ];
  for (const [name, content, expected, nowMs] of cases) {
    it(`is read: ${name}`, async () => {
      assert.match(await read(write(name, content), nowMs), expected);
    });
  }

  it('is read from the entries of a Secret as from files', async () => {
    const read = async (entries: Readonly<Record<string, string>>): Promise<string> => {
      const secrets = new Map(Object.entries(entries).map(([name, text]) => [name, new Secret(text)]));
      const found = await readPluggedInSecret('Secret cacerts', secrets, { nowUnixMs: START_MS + 1_000 });
      return found === undefined
        ? 'nothing'
        : found.ok
          ? found.value.authority.certificate.subject
          : found.error;
    };
    assert.deepEqual(
      [
        await read(files(upper, pem(upper), pem(root))),
        await read({ 'root-cert.pem': pem(root) }),
        await read({ 'ca-cert.pem': pem(root) }),
      ],
      ['CN=upper', 'nothing', 'Secret cacerts: the key or the root certificate is missing'],
    );
  });

  it('is followed; what is broken changes nothing', async () => {
    const clock = new TestClock(START_MS + 1_000);
    const path = write('followed', files(root, '', pem(root)));
    const first = await readPluggedIn(path, { nowUnixMs: clock.nowMs() });
    assert.ok(first?.ok === true);
    const seen: AuthorityMaterial[] = [];
    let told = Promise.withResolvers<void>();
    const parts = { clock, log: silentLogger() };
    const look = () => readPluggedIn(path, { nowUnixMs: clock.nowMs() });
    using _watch = new PluggedInWatch(look, first.value, parts, async (material) => {
      seen.push(material);
      told.resolve();
    });
    write('followed', { 'ca-cert.pem': 'half' });
    clock.advance(5_000);
    write('followed', files(upper, pem(upper), pem(root)));
    clock.advance(5_000);
    await told.promise;
    told = Promise.withResolvers();
    assert.deepEqual(
      seen.map(({ authority: made }) => made.certificate.subject),
      ['CN=upper'],
    );
  });
});

describe('the revocation lists of a CA that is plugged in', async () => {
  const root = await authority('root');
  const [one, two] = [await authority('one', root), await authority('two', root)];
  const mute = await authority('mute', root, 'ecdsa-p256', 1, KeyUsageFlags.keyCertSign);
  const stranger = await authority('stranger');
  const files = (signing: Issued, ...lists: readonly string[]): Record<string, string> => ({
    'ca-cert.pem': pem(signing),
    'ca-key.pem': printPrivateKey(signing.keys).reveal(),
    'cert-chain.pem': pem(signing),
    'root-cert.pem': pem(root),
    'ca-crl.pem': lists.join(''),
  });
  const entriesOf = (content: Readonly<Record<string, string>>) =>
    new Map(Object.entries(content).map(([name, text]) => [name, new Secret(text)]));
  const material = async (signing: Issued, ...lists: readonly string[]): Promise<AuthorityMaterial> => {
    const reading = { nowUnixMs: START_MS + 1_000 };
    const found = await readPluggedInSecret('cacerts', entriesOf(files(signing, ...lists)), reading);
    if (found?.ok !== true) throw new Error(found?.error);
    return found.value;
  };

  const cases: readonly (readonly [string, readonly string[], RegExp, number?])[] = [
    ['of each authority on the path', [revocationsOf(root), revocationsOf(one)], /^CN=one/],
    ['of others too', [revocationsOf(root), revocationsOf(stranger), revocationsOf(one)], /^CN=one/],
    ['with none of the root', [revocationsOf(one)], /ca-crl.pem: there is no revocation list of CN=root/],
    ['with none of the intermediate', [revocationsOf(root)], /there is no revocation list of CN=one/],
    ['broken', [revocationsOf(root), revocationsOf(one), 'x', pem(one)], /ca-crl.pem: not a revocation list/],
    [
      'over',
      [revocationsOf(root), revocationsOf(one)],
      /the revocation list of CN=(one|root) is over/,
      START_MS + YEAR_MS / 6,
    ],
  ];
  for (const [name, lists, expected, nowMs] of cases) {
    it(`are read: ${name}`, async () => {
      assert.match(await read(write(`lists ${name}`, files(one, ...lists)), nowMs), expected);
    });
  }

  it('are refused of an authority that may sign none: Envoy would', async () => {
    const content = files(mute, revocationsOf(root), revocationsOf(mute));
    assert.match(await read(write('mute', content)), /CN=mute may not sign revocation lists/);
  });

  it('do not count where that is switched off', async () => {
    const path = write('switched off', files(one, 'nonsense'));
    const found = await readPluggedIn(path, { nowUnixMs: START_MS + 1_000, hasRevocations: false });
    assert.deepEqual(found?.ok === true && found.value.revocations, []);
  });

  const open = (first: AuthorityMaterial, clock: TestClock, more: Partial<RotationOptions> = {}) =>
    new AuthorityRotation({
      first,
      retired: [],
      store: NOTHING_KEPT,
      clock,
      log: silentLogger(),
      overlapMs: 60_000,
      maxTtlMs: 3_600_000,
      ...more,
    });
  const inForce = (rotation: AuthorityRotation): string[] =>
    rotation.revocations.map((list) => list.pem.trim());
  const trimmed = (...lists: readonly string[]): string[] => lists.map((list) => list.trim());

  it('change without another authority', async () => {
    const clock = new TestClock(START_MS + 1_000);
    using rotation = open(await material(one), clock);
    let changes = 0;
    rotation.watch(() => changes++);
    const lists = [revocationsOf(one), revocationsOf(root)];
    await rotation.introduce(await material(one, ...lists));
    assert.deepEqual([inForce(rotation), rotation.isPending, changes], [trimmed(...lists), false, 1]);
    const later = revocationsOf(one, START_MS + 500_000);
    await rotation.introduce(await material(one, later, revocationsOf(root)));
    assert.equal(inForce(rotation)[0], later.trim());
    await rotation.introduce(await material(one));
    assert.deepEqual(inForce(rotation), []);
  });

  it('of a new intermediate are with everybody before it signs, and those of the old one stay as long as its certificates', async () => {
    const clock = new TestClock(START_MS + 1_000);
    const [rootList, listOne, listTwo] = [revocationsOf(root), revocationsOf(one), revocationsOf(two)];
    using rotation = open(await material(one, rootList, listOne), clock);
    const next = await material(two, rootList, listTwo);
    await rotation.introduce(next);
    const signsNow = (): string => rotation.authority.certificate.subject;
    assert.deepEqual([rotation.isPending, signsNow()], [true, 'CN=one']);
    assert.deepEqual(inForce(rotation).toSorted(), trimmed(rootList, listOne, listTwo).toSorted());
    await rotation.confirm('acknowledged');
    assert.equal(signsNow(), 'CN=two');
    assert.ok(inForce(rotation).includes(listOne.trim()));
    clock.advance(3_600_000);
    await rotation.introduce({ ...next });
    assert.deepEqual(inForce(rotation).toSorted(), trimmed(rootList, listTwo).toSorted());
  });

  it('wait while an authority without one is still in use', async () => {
    const clock = new TestClock(START_MS + 1_000);
    const untilUnixMs = START_MS + 3_600_000;
    const retired = [{ pem: pem(stranger), untilUnixMs }];
    using rotation = open(await material(one, revocationsOf(root), revocationsOf(one)), clock, { retired });
    assert.deepEqual(inForce(rotation), []);
    assert.match(rotation.revocationProblem, /no revocation list of CN=stranger/);
    clock.advance(2 * 3_600_000);
    await rotation.confirm('limit');
    assert.deepEqual([inForce(rotation).length, rotation.revocationProblem], [2, '']);
  });
});

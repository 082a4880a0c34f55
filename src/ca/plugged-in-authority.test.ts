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
import { generateKeyPair, type KeyKind, type KeyPair, printPrivateKey } from '#identity/key-pair.ts';
import type { AuthorityMaterial } from './authority-material.ts';
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
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
    ],
  });
  return { certificate, keys, kind };
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

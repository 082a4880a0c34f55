/** Requests of other programs: what they ask is read as a library reads it, whatever else stands in them; and DER is read strictly. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { webcrypto } from 'node:crypto';
import { describe, it } from 'node:test';
import {
  ChallengePasswordAttribute,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from '@peculiar/x509';
import { parseCertificateRequest } from './certificate-request.ts';
import { contentsOf, DerError, readElements, readOid } from './der-reader.ts';
import { encodePem, parsePem } from './pem.ts';

const EC = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' } as const;
const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-512',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
} as const;
const NAMES: readonly JsonGeneralName[] = [
  { type: 'url', value: 'spiffe://cluster.local/ns/a/sa/b' },
  { type: 'dns', value: 'a.test' },
  { type: 'ip', value: '10.0.0.1' },
  { type: 'email', value: 'a@b.test' },
];

async function request(
  algorithm: typeof EC | typeof RSA,
  names: readonly JsonGeneralName[],
): Promise<string> {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
  const made = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=a, O=Ünï',
    keys,
    signingAlgorithm: algorithm,
    attributes: [new ChallengePasswordAttribute('secret')],
    extensions: [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature),
      ...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension([...names])]),
    ],
  });
  return made.toString('pem');
}

describe('a plain request', () => {
  const id: JsonGeneralName = { type: 'url', value: 'spiffe://a/ns/b/sa/c' };
  const san = new SubjectAlternativeNameExtension([id], true);
  const usage = new KeyUsagesExtension(KeyUsageFlags.keyCertSign);
  const cases: readonly (readonly [string, object, boolean])[] = [
    ['names alone', { extensions: [san] }, true],
    ["Istio's empty organization", { name: [{ O: [{ printableString: '' }] }], extensions: [san] }, true],
    ['nothing', {}, true],
    ['a subject', { name: 'O=system:masters', extensions: [san] }, false],
    ['a usage', { extensions: [san, usage] }, false],
    ['an attribute', { extensions: [san], attributes: [new ChallengePasswordAttribute('x')] }, false],
  ];
  for (const [title, wish, isPlain] of cases) {
    it(`asks for nothing but names: ${title}`, async () => {
      const keys = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
      const made = await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: EC, ...wish });
      const read = parseCertificateRequest(made.toString('pem'));
      assert.equal(read.ok && read.value.isPlain, isPlain);
    });
  }
});

describe('a request of another program', () => {
  for (const [name, algorithm] of [
    ['P-384', EC],
    ['RSA with SHA-512', RSA],
  ] as const) {
    it(`is read with all its names: ${name}`, async () => {
      const pem = await request(algorithm, NAMES);
      const read = parseCertificateRequest(pem);
      assert.ok(read.ok, read.ok ? '' : read.error);
      assert.deepEqual(
        read.value.names.map(({ kind, value }) => `${kind} ${value}`),
        ['url spiffe://cluster.local/ns/a/sa/b', 'dns a.test', 'ip 0a000001', 'email a@b.test'],
      );
      const library = new Pkcs10CertificateRequest(pem);
      assert.deepEqual(
        read.value.publicKey.export({ format: 'der', type: 'spki' }),
        Buffer.from(library.publicKey.rawData),
      );
    });
  }

  it('may ask for nothing', async () => {
    const read = parseCertificateRequest(await request(EC, []));
    assert.ok(read.ok);
    assert.deepEqual(read.value.names, []);
  });

  it('of openssl is read', (context) => {
    const line = ['req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', '/dev/null', '-subj', '/CN=a'];
    let pem: string;
    try {
      pem = execFileSync('openssl', [...line, '-addext', 'subjectAltName=URI:spiffe://a/ns/b/sa/c'], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    } catch {
      return context.skip('there is no openssl on this machine');
    }
    const read = parseCertificateRequest(pem);
    assert.ok(read.ok, read.ok ? '' : read.error);
    assert.deepEqual(read.value.names, [{ kind: 'url', value: 'spiffe://a/ns/b/sa/c' }]);
  });

  it('is refused with something behind it', async () => {
    const blocks = parsePem(await request(EC, []));
    const bytes = blocks.ok ? (blocks.value[0]?.bytes ?? Buffer.alloc(0)) : Buffer.alloc(0);
    const read = parseCertificateRequest(encodePem('CERTIFICATE REQUEST', Buffer.concat([bytes, bytes])));
    assert.equal(read.ok ? '' : read.error, 'not a certificate request');
  });
});

describe('DER', () => {
  const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
  for (const [what, hex] of [
    ['without a length', '30'],
    ['of no definite length', '30800000'],
    ['with a length in more bytes than it needs', '308101ff'],
    ['with a length that begins with zero', `30820010${'00'.repeat(16)}`],
    ['with a length of four bytes', '308400000001ff'],
    ['longer than what there is', '3003ffff'],
    ['with a tag in several bytes', '1f8101ff'],
  ] as const) {
    it(`${what} is refused`, () => assert.throws(() => readElements(bytes(hex), 10), DerError));
  }

  it('is read in its longer form where that is needed', () => {
    const [element] = readElements(bytes(`3081c8${'00'.repeat(200)}`), 1);
    assert.equal(contentsOf(element, 0x30).length, 200);
  });

  it('has no more elements than allowed', () =>
    assert.throws(() => readElements(bytes('05000500'), 1), DerError));

  for (const [hex, oid] of [
    ['06032a0304', '1.2.3.4'],
    ['0603551d11', '2.5.29.17'],
    ['06092a864886f70d01090e', '1.2.840.113549.1.9.14'],
    ['0600', undefined],
    ['06022a80', undefined],
    [`060b2a${'ff'.repeat(9)}7f`, undefined],
  ] as const) {
    it(`${hex} is ${oid ?? 'no object identifier'}`, () => {
      const [element] = readElements(bytes(hex), 1);
      if (oid === undefined) assert.throws(() => readOid(element), DerError);
      else assert.equal(readOid(element), oid);
    });
  }
});

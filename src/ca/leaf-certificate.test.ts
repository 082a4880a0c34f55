/** Certificates written by hand are those that a library writes, byte for byte but for the signature, for all kinds of keys. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { KeyObject, X509Certificate } from 'node:crypto';
import { it } from 'node:test';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate as LibraryCertificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { generateKeyPair as generate } from 'node:crypto';
import { promisify } from 'node:util';
import { Secret } from '#base/secret.ts';
import { generateKeyPair } from '#identity/key-pair.ts';
import { type LeafContent, type LeafName, signLeaf } from './leaf-certificate.ts';
import { makeSigningAuthority, type SigningAuthority } from './signing-authority.ts';

const START_MS = Date.UTC(2026, 0, 1, 12, 34, 56, 789);
const DAY_MS = 86_400_000;
const WORKLOAD_SUBJECT: LeafContent['subject'] = [
  { name: 'O', oid: '2.5.4.10', value: 'bookinfo' },
  { name: 'UID', oid: '0.9.2342.19200300.100.1.1', value: 'reviews-1.x' },
];

const KEYS = {
  'P-256': { type: 'ec', options: { namedCurve: 'P-256' }, sign: { name: 'ECDSA', hash: 'SHA-256' } },
  'P-384': { type: 'ec', options: { namedCurve: 'P-384' }, sign: { name: 'ECDSA', hash: 'SHA-384' } },
  RSA: {
    type: 'rsa',
    options: { modulusLength: 2048 },
    sign: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  },
} as const;
type KeyName = keyof typeof KEYS;

interface Issuer {
  readonly authority: SigningAuthority;
  readonly library: LibraryCertificate;
  readonly key: CryptoKey;
}

async function makeIssuer(name: KeyName, hasKeyId: boolean): Promise<Issuer> {
  const { type, options, sign } = KEYS[name];
  const make = promisify(generate) as (
    type: string,
    options: object,
  ) => Promise<{
    readonly publicKey: KeyObject;
    readonly privateKey: KeyObject;
  }>;
  const { publicKey, privateKey } = await make(type, options);
  const algorithm = type === 'ec' ? { name: 'ECDSA', ...options } : sign;
  const keys = {
    publicKey: publicKey.toCryptoKey(algorithm, true, ['verify']),
    privateKey: privateKey.toCryptoKey(algorithm, false, ['sign']),
  };
  const library = await X509CertificateGenerator.createSelfSigned({
    name: 'O=Ünï Corp, CN=root',
    keys,
    signingAlgorithm: sign,
    notBefore: new Date(START_MS),
    notAfter: new Date(START_MS + 365 * DAY_MS),
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      ...(hasKeyId ? [await SubjectKeyIdentifierExtension.create(keys.publicKey)] : []),
    ],
  });
  const pem = library.toString('pem');
  const key = new Secret(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
  const authority = makeSigningAuthority(pem, key, pem);
  assert.ok(authority.ok);
  return { authority: authority.value, library, key: keys.privateKey };
}

async function byLibrary(content: LeafContent, issuer: Issuer, sign: object): Promise<Buffer> {
  const names = content.names.map(({ type, value }): JsonGeneralName => {
    return { type: type === 'uri' ? 'url' : type, value };
  });
  const keyId = issuer.library.getExtension(SubjectKeyIdentifierExtension)?.keyId;
  const certificate = await X509CertificateGenerator.create({
    serialNumber: Buffer.from(content.serial).toString('hex'),
    subject: content.subject.map(({ oid, value }) => ({ [oid]: [value] })),
    issuer: issuer.library.subjectName,
    notBefore: new Date(content.notBeforeUnixMs),
    notAfter: new Date(content.notAfterUnixMs),
    publicKey: new Uint8Array(content.publicKey.export({ format: 'der', type: 'spki' })),
    signingKey: issuer.key,
    signingAlgorithm: sign as { name: string; hash: string },
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      keyId === undefined
        ? await AuthorityKeyIdentifierExtension.create(issuer.library.publicKey)
        : new AuthorityKeyIdentifierExtension(keyId),
      new SubjectAlternativeNameExtension(names, true),
    ],
  });
  return Buffer.from(certificate.rawData);
}

/** Without the head, whose length depends on the signature's, and without the signature. */
function signedPart(certificate: Uint8Array): string {
  const bytes = Buffer.from(certificate).subarray(4);
  return bytes.subarray(0, 4 + bytes.readUInt16BE(2)).toString('hex');
}

const WORKLOAD: readonly LeafName[] = [
  { type: 'uri', value: 'spiffe://cluster.local/ns/bookinfo/sa/reviews' },
];
const SERVER: readonly LeafName[] = [
  { type: 'dns', value: 'istiod.istio-system.svc' },
  { type: 'ip', value: '127.0.0.1' },
  { type: 'ip', value: 'fd00::1' },
];
const CASES: readonly (readonly [string, KeyName, boolean, Partial<LeafContent>])[] = [
  ['of a workload, ECDSA', 'P-256', true, { subject: WORKLOAD_SUBJECT }],
  ['without a subject', 'P-256', true, {}],
  ['under an issuer without a key id', 'P-256', false, {}],
  ['under P-384', 'P-384', false, { subject: WORKLOAD_SUBJECT }],
  ['under RSA', 'RSA', false, { subject: WORKLOAD_SUBJECT }],
  ['of a server', 'P-256', true, { names: SERVER }],
  ['that ends after 2050', 'P-256', true, { notAfterUnixMs: Date.UTC(2051, 1, 3, 4, 5, 6) }],
];

for (const [name, keyName, hasKeyId, more] of CASES) {
  it(`a certificate ${name}`, async () => {
    const issuer = await makeIssuer(keyName, hasKeyId);
    const { publicKey } = await generateKeyPair(keyName === 'RSA' ? 'rsa-2048' : 'ecdsa-p256');
    const content: LeafContent = {
      serial: Buffer.from('4102030405060708090a0b0c0d0e0f10', 'hex'),
      notBeforeUnixMs: START_MS,
      notAfterUnixMs: START_MS + DAY_MS,
      subject: [],
      publicKey,
      names: WORKLOAD,
      ...more,
    };
    const made = await signLeaf(content, issuer.authority.issuer);
    const expected = await byLibrary(content, issuer, KEYS[keyName].sign);
    assert.equal(signedPart(made), signedPart(expected));
    const root = issuer.authority.certificate.x509;
    const read = new X509Certificate(made);
    assert.ok(read.checkIssued(root) && read.verify(root.publicKey));
  });
}

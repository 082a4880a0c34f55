/**
 * For tests: throw-away authorities that issue certificates for DNS names or SPIFFE ids, and revocation lists. Nothing of it is
 * in a program.
 */
import 'reflect-metadata';
import { createPrivateKey, KeyObject, sign, webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;

/** Key and chain in PEM, and how a revocation list names it. */
export interface TestCertificate {
  readonly key: string;
  readonly chain: string;
  readonly serialNumber: string;
}

export interface CertificateWish {
  readonly dns?: readonly string[];
  readonly uri?: string;
  readonly endMs?: number;
  /** RSA with so many bits instead of ECDSA. */
  readonly rsaBits?: number;
}

export interface TestIssuer {
  readonly root: string;
  issue(wish: CertificateWish): Promise<TestCertificate>;
  /** A revocation list of the authority, in PEM. */
  revoke(certificates: readonly TestCertificate[]): Promise<string>;
}

/** Makes an authority of its own. */
export async function createIssuer(name: string): Promise<TestIssuer> {
  const keys = await webcrypto.subtle.generateKey(ECDSA, true, ['sign', 'verify']);
  const notBefore = new Date(Date.now() - 10 * DAY_MS);
  const notAfter = new Date(Date.now() + 30 * DAY_MS);
  const root = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: ECDSA,
    notBefore,
    notAfter,
    extensions: [new BasicConstraintsExtension(true, undefined, true)],
  });
  return {
    root: root.toString('pem'),
    async issue({ dns = [], uri, endMs, rsaBits }) {
      const leaf = await leafKeys(rsaBits);
      const names = dns.map((value) => ({ type: 'dns' as const, value }));
      const ids = uri === undefined ? [] : [{ type: 'url' as const, value: uri }];
      const certificate = await X509CertificateGenerator.create({
        subject: `CN=${dns[0] ?? 'client'}`,
        issuer: root.subjectName,
        notBefore,
        notAfter: endMs === undefined ? notAfter : new Date(endMs),
        publicKey: leaf.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: ECDSA,
        extensions: [new SubjectAlternativeNameExtension([...names, ...ids])],
      });
      const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', leaf.privateKey));
      const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
      return {
        key: key.export({ format: 'pem', type: 'pkcs8' }).toString(),
        chain: certificate.toString('pem'),
        serialNumber: certificate.serialNumber,
      };
    },
    async revoke(certificates) {
      return makeRevocationList({
        issuer: Buffer.from(root.subjectName.toArrayBuffer()),
        key: KeyObject.from(keys.privateKey),
        serials: certificates.map(({ serialNumber }) => serialNumber),
        thisUpdate: notBefore,
        nextUpdate: notAfter,
      });
    },
  };
}

export interface RevocationWish {
  /** DER of its name. */
  readonly issuer: Buffer;
  /** ECDSA. */
  readonly key: KeyObject;
  /** Hex. */
  readonly serials: readonly string[];
  readonly thisUpdate: Date;
  readonly nextUpdate?: Date;
  /** DER of extensions. */
  readonly extensions?: readonly Buffer[];
}

/** A revocation list in PEM. */
export function makeRevocationList(wish: RevocationWish): string {
  const { issuer, key, serials, thisUpdate, nextUpdate, extensions = [] } = wish;
  const entries = serials.map((one) => der(0x30, der(0x02, serial(one)), utcTime(thisUpdate)));
  const parts = [
    der(0x02, Buffer.from([1])),
    ECDSA_SHA256,
    issuer,
    utcTime(thisUpdate),
    ...(nextUpdate === undefined ? [] : [utcTime(nextUpdate)]),
    ...(entries.length === 0 ? [] : [der(0x30, ...entries)]),
    ...(extensions.length === 0 ? [] : [der(0xa0, der(0x30, ...extensions))]),
  ];
  const list = der(0x30, ...parts);
  const signature = der(0x03, Buffer.from([0]), sign('sha256', list, key));
  const base64 = der(0x30, list, ECDSA_SHA256, signature).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return ['-----BEGIN X509 CRL-----', ...lines, '-----END X509 CRL-----', ''].join('\n');
}

/** ecdsa-with-SHA256 as an AlgorithmIdentifier. */
const ECDSA_SHA256 = der(0x30, der(0x06, Buffer.from('2a8648ce3d040302', 'hex')));

/** One value in DER; lengths below 64 KiB. */
export function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

/** A serial number as a positive INTEGER. */
function serial(hex: string): Buffer {
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return (bytes[0] ?? 0) < 0x80 ? bytes : Buffer.concat([Buffer.from([0]), bytes]);
}

function utcTime(date: Date): Buffer {
  const text = date.toISOString().replaceAll(/[-:T]/g, '').slice(2, 14);
  return der(0x17, Buffer.from(`${text}Z`));
}

async function leafKeys(rsaBits: number | undefined): Promise<webcrypto.CryptoKeyPair> {
  if (rsaBits === undefined) return webcrypto.subtle.generateKey(ECDSA, true, ['sign', 'verify']);
  const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]) };
  return webcrypto.subtle.generateKey({ ...rsa, modulusLength: rsaBits }, true, ['sign', 'verify']);
}

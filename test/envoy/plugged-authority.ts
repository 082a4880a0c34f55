/** A CA as an operator brings it: roots and intermediates made by hand, and written as the files of a mounted Secret. */
import 'reflect-metadata';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { makeRevocationList } from '#identity/certificate-rig.ts';
import { generateKeyPair, type KeyPair, printPrivateKey } from '#identity/key-pair.ts';
import { makeSerial } from '#ca/signer.ts';

const WEEK_MS = 7 * 24 * 3_600_000;
const YEAR_MS = 365 * 24 * 3_600_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface OperatorsAuthority {
  readonly name: string;
  readonly certificate: X509Certificate;
  readonly keys: KeyPair;
}

/** A CA certificate of ten years, signed by `issuer` or by itself. */
export async function makeOperatorsAuthority(
  name: string,
  issuer?: OperatorsAuthority,
): Promise<OperatorsAuthority> {
  const keys = await generateKeyPair();
  const certificate = await X509CertificateGenerator.create({
    serialNumber: makeSerial(),
    subject: `CN=${name}`,
    issuer: issuer?.certificate.subject ?? `CN=${name}`,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 10 * YEAR_MS),
    publicKey: keys.publicKey.toCryptoKey(ALGORITHM, true, ['verify']),
    signingKey: (issuer?.keys ?? keys).privateKey.toCryptoKey(ALGORITHM, false, ['sign']),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return { name, certificate, keys };
}

export function authorityPem({ certificate }: OperatorsAuthority): string {
  return `${certificate.toString('pem')}\n`;
}

/** A revocation list of an authority, for a week unless said otherwise. */
export function revocationListOf(
  { certificate, keys }: OperatorsAuthority,
  serials: readonly string[] = [],
  endMs: number = Date.now() + WEEK_MS,
): string {
  return makeRevocationList({
    issuer: Buffer.from(certificate.subjectName.toArrayBuffer()),
    key: keys.privateKey,
    serials,
    thisUpdate: new Date(Math.min(Date.now(), endMs) - 60_000),
    nextUpdate: new Date(endMs),
  });
}

/** Puts revocation lists beside the authority; undefined: takes them away. */
export function plugInRevocations(folder: string, pem: string | undefined): void {
  const path = join(folder, 'ca-crl.pem');
  if (pem === undefined) return rmSync(path);
  writeFileSync(`${path}.new`, pem, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Puts an intermediate and its root into the folder of the plugged-in CA, file by file, as a person would. */
export function plugIn(folder: string, signing: OperatorsAuthority, root: OperatorsAuthority): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const files: Readonly<Record<string, string>> = {
    'ca-key.pem': printPrivateKey(signing.keys).reveal(),
    'ca-cert.pem': authorityPem(signing),
    'cert-chain.pem': authorityPem(signing) + authorityPem(root),
    'root-cert.pem': authorityPem(root),
  };
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
}

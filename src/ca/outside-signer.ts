/**
 * For tests: a signer elsewhere, with an authority of its own and an intermediate, that signs the key of any request for whatever it
 * is told, right or wrong. Nothing of it is in a program.
 */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;

/** What is signed; without anything, what an honest signer signs for `uri`. */
export interface SigningWish {
  readonly uri: string;
  readonly dns?: string;
  readonly lifeMs?: number;
  readonly startsInMs?: number;
  readonly isAuthority?: boolean;
  /** Signs a key of its own instead of the request's. */
  readonly signsOwnKey?: boolean;
}

export interface OutsideSigner {
  readonly rootPem: string;
  readonly intermediatePem: string;
  /** Leaf and intermediate. */
  sign(csrPem: string, wish: SigningWish): Promise<string>;
}

/** Makes a signer whose certificates hold from now on. */
export async function createOutsideSigner(name: string, nowMs: number): Promise<OutsideSigner> {
  const [rootKeys, keys, ownKeys] = await Promise.all([makeKeys(), makeKeys(), makeKeys()]);
  const life = { notBefore: new Date(nowMs - DAY_MS), notAfter: new Date(nowMs + 365 * DAY_MS) };
  const root = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys: rootKeys,
    signingAlgorithm: ECDSA,
    ...life,
    extensions: [new BasicConstraintsExtension(true, undefined, true)],
  });
  const intermediate = await X509CertificateGenerator.create({
    subject: `CN=${name} intermediate`,
    issuer: root.subjectName,
    ...life,
    publicKey: keys.publicKey,
    signingKey: rootKeys.privateKey,
    signingAlgorithm: ECDSA,
    extensions: [new BasicConstraintsExtension(true, 0, true)],
  });
  const signLeaf = async (csrPem: string, wish: SigningWish): Promise<X509Certificate> => {
    const { uri, dns, lifeMs = DAY_MS, startsInMs = 0, isAuthority = false, signsOwnKey = false } = wish;
    const names = [
      { type: 'url' as const, value: uri },
      ...(dns === undefined ? [] : [{ type: 'dns' as const, value: dns }]),
    ];
    return X509CertificateGenerator.create({
      issuer: intermediate.subjectName,
      notBefore: new Date(nowMs + startsInMs),
      notAfter: new Date(nowMs + lifeMs),
      publicKey: signsOwnKey ? ownKeys.publicKey : new Pkcs10CertificateRequest(csrPem).publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: ECDSA,
      extensions: [
        new SubjectAlternativeNameExtension(names, true),
        new BasicConstraintsExtension(isAuthority, undefined, true),
      ],
    });
  };
  return {
    rootPem: `${root.toString('pem')}\n`,
    intermediatePem: `${intermediate.toString('pem')}\n`,
    sign: async (csrPem, wish) =>
      `${(await signLeaf(csrPem, wish)).toString('pem')}\n${intermediate.toString('pem')}\n`,
  };
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ECDSA, true, ['sign', 'verify']);
}

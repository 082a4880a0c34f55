/**
 * Makes a self-signed root as Istio's CA does: `O=<trust domain>`, ten years, allowed to sign certificates and
 * nothing else. Runs once in the life of a mesh.
 */
import 'reflect-metadata';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { Secret } from '#base/secret.ts';
import { generateKeyPair, printPrivateKey } from '#identity/key-pair.ts';
import { makeSerial } from './signer.ts';

/** A root as it goes to disk. */
export interface RootMaterial {
  readonly certificatePem: string;
  readonly privateKey: Secret;
}

/** Ten years of 365 days. Source: Istio CITADEL_SELF_SIGNED_CA_CERT_TTL. */
const lifetimeMs = 3650 * 24 * 3_600_000;

/** Makes a root and its key. */
export async function makeRoot(trustDomain: string, nowUnixMs: number): Promise<RootMaterial> {
  const keyPair = await generateKeyPair();
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const privateKey = keyPair.privateKey.toCryptoKey(algorithm, false, ['sign']);
  const publicKey = keyPair.publicKey.toCryptoKey(algorithm, true, ['verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: makeSerial(),
    name: [{ O: [trustDomain] }],
    notBefore: new Date(nowUnixMs),
    notAfter: new Date(nowUnixMs + lifetimeMs),
    keys: { privateKey, publicKey },
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return { certificatePem: `${certificate.toString('pem')}\n`, privateKey: printPrivateKey(keyPair) };
}

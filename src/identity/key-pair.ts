/**
 * Private keys of workloads and of the CA: made here, printed here, nowhere else. A printed key is a `Secret`,
 * so that no log line or error can show it. ECDSA P-256 by default: made in under a millisecond, RSA 2048 in about
 * a hundred (made off the main thread).
 */
import { createPrivateKey, createPublicKey, generateKeyPair as generate, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { fail, ok, type Result } from '#base/result.ts';
import { Secret } from '#base/secret.ts';

export type KeyKind = 'ecdsa-p256' | 'ecdsa-p384' | 'rsa-2048' | 'rsa-3072' | 'rsa-4096';

/** Both halves of a key. */
export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

const generateAsync = promisify(generate);
const curves = ['prime256v1', 'secp384r1'];

/** Makes a fresh key. */
export async function generateKeyPair(kind: KeyKind = 'ecdsa-p256'): Promise<KeyPair> {
  if (kind.startsWith('rsa-'))
    return generateAsync('rsa', { modulusLength: Number(kind.slice('rsa-'.length)) });
  return generateAsync('ec', { namedCurve: kind === 'ecdsa-p384' ? 'P-384' : 'P-256' });
}

/** Prints the private half as PKCS#8 PEM. */
export function printPrivateKey(keyPair: KeyPair): Secret {
  return new Secret(keyPair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
}

/** Reads an unencrypted private key (PKCS#8, SEC1 or PKCS#1 PEM). The error never quotes the text. */
export function parsePrivateKey(pem: Secret): Result<KeyPair, 'not a private key' | 'unsupported key'> {
  try {
    const privateKey = createPrivateKey(pem.reveal());
    if (!isSupported(privateKey)) return fail('unsupported key');
    return ok({ privateKey, publicKey: createPublicKey(privateKey) });
  } catch {
    return fail('not a private key');
  }
}

function isSupported(key: KeyObject): boolean {
  if (key.asymmetricKeyType === 'ec') return curves.includes(key.asymmetricKeyDetails?.namedCurve ?? '');
  return key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048;
}

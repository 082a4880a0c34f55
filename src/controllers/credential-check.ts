/**
 * Looks at certificates, keys and revocation lists in Secrets and ConfigMaps before any proxy gets them: what Envoy would refuse,
 * or no client accept, is held back, so that the pair before it stays in use (law 9). Texts never hold values.
 * Cost: some tens of microseconds per certificate, at the time an object arrives.
 * Source of the limits: Envoy context_impl.cc (RSA from 2048 bits, P-256, P-384 and P-521).
 */
import 'reflect-metadata';
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { X509Crl } from '@peculiar/x509';
import type { ConfigMapSpec } from '#api/config-map.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SecretSpec } from '#api/secret.ts';

type Values = ReadonlyMap<string, string>;

const TLS_TYPE = 'kubernetes.io/tls';
/** Certificate and key, in the order in which they are looked for. */
const PAIRS: readonly (readonly [certificate: string, key: string])[] = [
  ['cert', 'key'],
  ['tls.crt', 'tls.key'],
];
const ROOTS: readonly string[] = ['cacert', 'ca.crt'];
const REVOCATIONS: readonly string[] = ['crl', 'ca.crl'];
/** Everything else in a Secret is left alone. */
const LOOKED_AT: readonly string[] = [...PAIRS.flat(), ...ROOTS, ...REVOCATIONS];
const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g;
const PEM_MARK = '-----BEGIN ';
const MIN_RSA_BITS = 2048;
const CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);

/** What is wrong with an object's credentials; undefined when nothing is, or when it holds none. */
export function credentialProblem(object: MeshObject, nowMs: number): string | undefined {
  if (object.kind === 'ConfigMap') {
    const { data } = object.spec as ConfigMapSpec;
    return authorityProblem(new Map(Object.entries(data)));
  }
  if (object.kind !== 'Secret') return undefined;
  const { type, data } = object.spec as SecretSpec;
  const values = new Map(
    LOOKED_AT.filter((key) => Object.hasOwn(data, key)).map((key) => [
      key,
      Buffer.from(data[key] ?? '', 'base64').toString('latin1'),
    ]),
  );
  return pairProblem(type, values, nowMs) ?? authorityProblem(values);
}

/** Secrets of other programs may use the same names: without a PEM block they are none of ours. */
function pairProblem(type: string, values: Values, nowMs: number): string | undefined {
  for (const [certificateName, keyName] of PAIRS) {
    const [certificate = '', key = ''] = [values.get(certificateName), values.get(keyName)];
    const isOurs = certificate.includes(PEM_MARK) || key.includes(PEM_MARK);
    if (certificate !== '' && key !== '' && (isOurs || type === TLS_TYPE))
      return checkPair({ certificateName, certificate, keyName, key }, nowMs);
  }
  return type === TLS_TYPE ? 'tls.crt or tls.key is missing or empty' : undefined;
}

interface Pair {
  readonly certificateName: string;
  readonly certificate: string;
  readonly keyName: string;
  readonly key: string;
}

function checkPair(pair: Pair, nowMs: number): string | undefined {
  const chain = readCertificates(pair.certificate);
  const [leaf] = chain ?? [];
  if (leaf === undefined) return `${pair.certificateName} is no certificate in PEM`;
  const key = readKey(pair.key);
  if (key === undefined) return `${pair.keyName} is no private key in PEM without a password`;
  if (!leaf.checkPrivateKey(key))
    return `${pair.keyName} does not belong to the certificate in ${pair.certificateName}`;
  return keyProblem(pair.keyName, key) ?? expiryProblem(pair.certificateName, leaf, nowMs);
}

function keyProblem(name: string, key: KeyObject): string | undefined {
  const { modulusLength = MIN_RSA_BITS, namedCurve = 'prime256v1' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return modulusLength < MIN_RSA_BITS
        ? `${name} is an RSA key of ${modulusLength} bits; Envoy takes ${MIN_RSA_BITS} and more`
        : undefined;
    case 'ec':
      return CURVES.has(namedCurve)
        ? undefined
        : `${name} is on the curve ${namedCurve}, which Envoy does not take`;
    default:
      return `${name} is neither an RSA nor an ECDSA key`;
  }
}

function expiryProblem(name: string, leaf: X509Certificate, nowMs: number): string | undefined {
  const endMs = leaf.validToDate.getTime();
  return endMs < nowMs
    ? `the certificate in ${name} has expired at ${new Date(endMs).toISOString()}`
    : undefined;
}

function authorityProblem(values: Values): string | undefined {
  for (const name of ROOTS) {
    const roots = values.get(name) ?? '';
    if (roots.includes(PEM_MARK) && readCertificates(roots) === undefined)
      return `${name} is no certificate in PEM`;
  }
  for (const name of REVOCATIONS) {
    const list = values.get(name) ?? '';
    if (list.includes(PEM_MARK) && !isRevocationList(list)) return `${name} is no revocation list in PEM`;
  }
  return undefined;
}

/** All certificates of a text; undefined when there is none, or one cannot be read. */
function readCertificates(pem: string): readonly X509Certificate[] | undefined {
  try {
    const blocks = Array.from(pem.matchAll(BLOCK), ([block]) => new X509Certificate(block));
    return blocks.length === 0 ? undefined : blocks;
  } catch {
    return undefined;
  }
}

function readKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

function isRevocationList(pem: string): boolean {
  try {
    const blocks = Array.from(pem.matchAll(BLOCK));
    for (const [block] of blocks) new X509Crl(block);
    return blocks.length > 0 && blocks.every(([, label]) => label === 'X509 CRL');
  } catch {
    return false;
  }
}

/**
 * Makes the PKCS#10 request that a workload sends to the CA: an empty subject, the key, and the SPIFFE id as a
 * critical SAN, as Istio's agent sends it. Light on purpose (node:crypto and der.ts), since every sidecar's agent
 * carries it; requests are read in certificate-request.ts, by the control plane only.
 */
import { sign } from 'node:crypto';
import { derBitString, derOctetString, derOid, derSequence, derSet, der } from './der.ts';
import type { KeyPair } from './key-pair.ts';
import { encodePem } from './pem.ts';

const oids = {
  extensionRequest: '1.2.840.113549.1.9.14',
  subjectAltName: '2.5.29.17',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  sha256WithRsa: '1.2.840.113549.1.1.11',
};
const tags = { boolean: 0x01, integer: 0x02, null: 0x05, uri: 0x86, attributes: 0xa0 };

/** Makes a signed request in PEM for one SPIFFE id. Source: RFC 2986; SAN marked critical since the subject is empty. */
export function makeCsr(keyPair: KeyPair, spiffeId: string): string {
  const version = der(tags.integer, Uint8Array.of(0));
  const publicKey = keyPair.publicKey.export({ format: 'der', type: 'spki' });
  const info = derSequence(version, derSequence(), publicKey, der(tags.attributes, sanRequest(spiffeId)));
  const signature = sign('sha256', info, keyPair.privateKey);
  const request = derSequence(info, signatureAlgorithm(keyPair), derBitString(signature));
  return encodePem('CERTIFICATE REQUEST', request);
}

function sanRequest(spiffeId: string): Uint8Array {
  const names = derSequence(der(tags.uri, Buffer.from(spiffeId, 'ascii')));
  const critical = der(tags.boolean, Uint8Array.of(0xff));
  const extension = derSequence(derOid(oids.subjectAltName), critical, derOctetString(names));
  return derSequence(derOid(oids.extensionRequest), derSet(derSequence(extension)));
}

function signatureAlgorithm(keyPair: KeyPair): Uint8Array {
  if (keyPair.privateKey.asymmetricKeyType === 'ec') return derSequence(derOid(oids.ecdsaWithSha256));
  return derSequence(derOid(oids.sha256WithRsa), der(tags.null));
}

/** Throw-away authorities for tests of gateways: certificates for DNS names or SPIFFE ids, and revocation lists. */
import 'reflect-metadata';
import { createPrivateKey, webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  X509CrlGenerator,
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
      const list = await X509CrlGenerator.create({
        issuer: root.subjectName,
        thisUpdate: notBefore,
        nextUpdate: notAfter,
        signingKey: keys.privateKey,
        signingAlgorithm: ECDSA,
        entries: certificates.map(({ serialNumber }) => ({ serialNumber, revocationDate: notBefore })),
      });
      return list.toString('pem');
    },
  };
}

async function leafKeys(rsaBits: number | undefined): Promise<webcrypto.CryptoKeyPair> {
  if (rsaBits === undefined) return webcrypto.subtle.generateKey(ECDSA, true, ['sign', 'verify']);
  const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]) };
  return webcrypto.subtle.generateKey({ ...rsa, modulusLength: rsaBits }, true, ['sign', 'verify']);
}

/** A Secret as YAML; values are written as they are. */
export function secretYaml(
  name: string,
  values: Readonly<Record<string, string>>,
  {
    namespace = 'istio-system',
    type = 'Opaque',
  }: { readonly namespace?: string; readonly type?: string } = {},
): string {
  const data = Object.entries(values).map(
    ([key, value]) => `  ${key}: ${Buffer.from(value).toString('base64')}`,
  );
  const head = `apiVersion: v1\nkind: Secret\nmetadata: {name: ${name}, namespace: ${namespace}}\ntype: ${type}\n`;
  return `${head}data:\n${data.join('\n')}\n`;
}

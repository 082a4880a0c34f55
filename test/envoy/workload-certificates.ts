/** A throw-away mesh CA for tests: workload certificates with SPIFFE ids and subjects as our CA writes them. */
import 'reflect-metadata';
import { createPrivateKey, webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  type JsonName,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** Key and chain in PEM. */
export interface WorkloadCertificate {
  readonly key: string;
  readonly chain: string;
}

/** A CA that signs workloads. */
export interface TestAuthority {
  readonly root: string;
  /** Good for an hour unless it `ends` at another time, Unix milliseconds. */
  issue(
    spiffeId: string,
    subject: Readonly<Record<string, string>>,
    endsUnixMs?: number,
  ): Promise<WorkloadCertificate>;
}

/** Object identifiers of the subject's attributes (docs/decisions/003), in the order in which they are written. */
const ATTRIBUTES: readonly (readonly [name: string, oid: string])[] = [
  ['O', '2.5.4.10'],
  ['OU', '2.5.4.11'],
  ['L', '2.5.4.7'],
  ['UID', '0.9.2342.19200300.100.1.1'],
  ['CN', '2.5.4.3'],
];

export async function createTestAuthority(): Promise<TestAuthority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) };
  const root = await X509CertificateGenerator.createSelfSigned({
    name: 'O=cluster.local',
    keys,
    signingAlgorithm: ALGORITHM,
    ...validity,
    extensions: [new BasicConstraintsExtension(true, undefined, true)],
  });
  const issue = async (
    spiffeId: string,
    subject: Readonly<Record<string, string>>,
    endsUnixMs: number = validity.notAfter.getTime(),
  ): Promise<WorkloadCertificate> => {
    const leaf = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const name: JsonName = ATTRIBUTES.flatMap(([attribute, oid]) => {
      const value = subject[attribute];
      return value === undefined ? [] : [{ [oid]: [value] }];
    });
    const certificate = await X509CertificateGenerator.create({
      subject: name,
      issuer: root.subjectName,
      notBefore: validity.notBefore,
      notAfter: new Date(endsUnixMs),
      publicKey: leaf.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: spiffeId }], true)],
    });
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', leaf.privateKey));
    const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
    return {
      key: key.export({ format: 'pem', type: 'pkcs8' }).toString(),
      chain: certificate.toString('pem'),
    };
  };
  return { root: root.toString('pem'), issue };
}

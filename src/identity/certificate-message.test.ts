import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { decodeCertificateCall, encodeCertificateCall } from './certificate-message.ts';

const CASES: readonly (readonly [Parameters<typeof encodeCertificateCall>, readonly [string, string][]])[] = [
  [['csr', 60], []],
  [['csr', 60, 'vault'], [['CertSigner', 'vault']]],
];
for (const [call, metadata] of CASES) {
  test(`a call comes over as it was made: ${call.join(' ')}`, () => {
    deepStrictEqual(decodeCertificateCall(encodeCertificateCall(...call)), {
      ok: true,
      value: { csrPem: 'csr', validitySeconds: 60, metadata: new Map(metadata) },
    });
  });
}

import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { type CertificateOptions, readCertificateOptions } from './certificate-options.ts';

function read(
  variables: Readonly<Record<string, string>>,
): CertificateOptions & { readonly problems: readonly string[] } {
  const problems: string[] = [];
  const options = readCertificateOptions({
    text: (name) => variables[name],
    problem: (name) => problems.push(name),
  });
  return { ...options, problems };
}

test('keys are elliptic unless somebody asks for RSA', () => {
  const kinds = [
    {},
    { ECC_CURVE: 'P384' },
    { WORKLOAD_RSA_KEY_SIZE: '2048' },
    { WORKLOAD_RSA_KEY_SIZE: '4096' },
    { WORKLOAD_RSA_KEY_SIZE: '4096', ECC_SIGNATURE_ALGORITHM: 'ECDSA' },
  ].map((variables) => read(variables as Record<string, string>).keyKind);
  deepStrictEqual(kinds, ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-4096', 'ecdsa-p256']);
  deepStrictEqual(read({ WORKLOAD_RSA_KEY_SIZE: '77' }).problems, ['WORKLOAD_RSA_KEY_SIZE']);
});

test('the time of renewal is ours unless it is set', () => {
  deepStrictEqual(
    [read({}).renewal, read({ SECRET_GRACE_PERIOD_RATIO: '0.2' }).renewal],
    [undefined, { ratio: 0.2, jitter: 0.01 }],
  );
  deepStrictEqual(read({ SECRET_GRACE_PERIOD_RATIO: '2' }).problems, ['SECRET_GRACE_PERIOD_RATIO']);
});

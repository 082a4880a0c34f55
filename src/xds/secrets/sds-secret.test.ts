import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { SdsSecretConfig } from '#proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import {
  credentialSecret,
  externalSecretClusters,
  fileCertificateSecret,
  fileRootSecret,
  type SecretPlaces,
  servedCredentials,
} from './sds-secret.ts';

/** Name, and where it is asked for. */
function outline({ name, sdsConfig }: SdsSecretConfig): string {
  const source = sdsConfig?.configSourceSpecifier;
  if (source?.case !== 'apiConfigSource') return `${name} from ${source?.case}`;
  const target = source.value.grpcServices[0]?.targetSpecifier;
  if (target?.case !== 'envoyGrpc') return name;
  return `${name} from ${target.value.clusterName} ${target.value.authority}`.trim();
}

const AGENT: SecretPlaces = { credentials: false, files: false };
const IN_POD: SecretPlaces = { credentials: true, files: false };
const PROVIDER: SecretPlaces = { ...AGENT, provider: { hostname: 'sds.example', port: 8080 } };
const LOST: SecretPlaces = { ...AGENT, provider: { hostname: '', port: 8080 } };

/** Name in an object, who is there, the reference, what the control plane serves, clusters of others. */
const CASES: readonly (readonly [string, SecretPlaces, string, string[], string[]])[] = [
  ['cert', AGENT, 'kubernetes://cert from ads', ['kubernetes://cert'], []],
  ['cert', IN_POD, 'kubernetes://cert from ads', ['kubernetes://cert'], []],
  ['sds://cert', AGENT, 'kubernetes://cert from ads', ['kubernetes://cert'], []],
  ['sds://cert', IN_POD, 'sds://cert from sds-external', [], ['sds-external']],
  [
    'sds://cert',
    PROVIDER,
    'cert from outbound|8080||sds.example sds.example',
    [],
    ['outbound|8080||sds.example'],
  ],
  ['sds://cert', { ...PROVIDER, credentials: true }, 'sds://cert from sds-external', [], ['sds-external']],
  ['sds://cert', LOST, 'invalid:// from ads', ['invalid://'], []],
  ['cert', LOST, 'kubernetes://cert from ads', ['kubernetes://cert'], []],
  ['builtin://', IN_POD, 'default from sds-grpc', [], []],
];
for (const [name, places, reference, served, clusters] of CASES) {
  test(`${name} with ${JSON.stringify(places)}`, () => {
    deepStrictEqual(
      [
        outline(credentialSecret(name, places)),
        servedCredentials([name], places),
        externalSecretClusters([name, name], places),
      ],
      [reference, served, clusters],
    );
  });
}

test("files come from the agent's second socket where another agent has the first", () => {
  deepStrictEqual(
    [AGENT, { credentials: false, files: true }].map((servers) => [
      outline(fileCertificateSecret('/c', '/k', servers)),
      outline(fileRootSecret('/r', servers)),
    ]),
    [
      ['file-cert:/c~/k from sds-grpc', 'file-root:/r from sds-grpc'],
      ['file-cert:/c~/k from sds-files-grpc', 'file-root:/r from sds-files-grpc'],
    ],
  );
});

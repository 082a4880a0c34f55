import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { fromBinary, toJson } from '@bufbuild/protobuf';
import type { MeshObject } from '#api/mesh-object.ts';
import { createEngine } from '#collections/engine.ts';
import { Interner } from '#collections/interner.ts';
import { object, READER } from '#model/service-model-rig.ts';
import { SecretSchema } from '#proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { type CredentialClient, createCredentials } from './credentials.ts';
import { credentialResourceName } from './sds-secret.ts';

const PEM = 'LS0tLQ==';
const OTHER = 'b3RoZXI=';

function secret(name: string, data: Record<string, string>): MeshObject {
  return object('Secret', name, { type: 'Opaque', data });
}

const OBJECTS = [
  secret('web', { 'tls.crt': PEM, 'tls.key': OTHER, 'ca.crt': PEM }),
  secret('old', { cert: PEM, key: OTHER, cacert: OTHER, crl: PEM }),
  secret('split', { 'tls.crt': PEM, 'tls.key': OTHER }),
  secret('split-cacert', { 'ca.crt': OTHER }),
  secret('empty', { 'tls.crt': PEM, 'tls.key': '' }),
  object('ConfigMap', 'roots', { data: { 'ca.crt': 'other' }, binaryData: {} }),
];

const GATEWAY: CredentialClient = { namespace: 'default', mayReadKeys: true, granted: new Set() };
const SIDECAR: CredentialClient = { ...GATEWAY, mayReadKeys: false };
const STRANGER: CredentialClient = { ...GATEWAY, namespace: 'other' };

function found(names: readonly string[], client: CredentialClient): readonly string[] {
  return Object.keys(messages(names, client));
}

function messages(names: readonly string[], client: CredentialClient): Record<string, unknown> {
  const engine = createEngine();
  const secrets = engine.source<never>('secrets');
  const configMaps = engine.source<never>('configMaps');
  for (const each of OBJECTS) {
    (each.kind === 'Secret' ? secrets : configMaps).set(`${each.namespace}/${each.name}`, each as never);
  }
  engine.settle();
  const { credentialsFor } = createCredentials({ interner: new Interner(), secrets, configMaps });
  const entries = [...credentialsFor(READER, names, client)];
  return Object.fromEntries(
    entries.map(([name, { resource }]) => [
      name,
      toJson(SecretSchema, fromBinary(SecretSchema, resource.bytes)),
    ]),
  );
}

test('certificates of both kinds of Secret are found', () => {
  deepStrictEqual(messages(['kubernetes://web', 'kubernetes://old'], GATEWAY), {
    'kubernetes://old': {
      name: 'kubernetes://old',
      tlsCertificate: { certificateChain: { inlineBytes: PEM }, privateKey: { inlineBytes: OTHER } },
    },
    'kubernetes://web': {
      name: 'kubernetes://web',
      tlsCertificate: { certificateChain: { inlineBytes: PEM }, privateKey: { inlineBytes: OTHER } },
    },
  });
});

test('CA certificates lie beside the certificate, in a Secret of their own, or in a ConfigMap', () => {
  const names = ['kubernetes://old-cacert', 'kubernetes://split-cacert', 'configmap://default/roots-cacert'];
  deepStrictEqual(messages(names, GATEWAY), {
    'configmap://default/roots-cacert': {
      name: 'configmap://default/roots-cacert',
      validationContext: { trustedCa: { inlineBytes: OTHER } },
    },
    'kubernetes://old-cacert': {
      name: 'kubernetes://old-cacert',
      validationContext: { trustedCa: { inlineBytes: OTHER }, crl: { inlineBytes: PEM } },
    },
    'kubernetes://split-cacert': {
      name: 'kubernetes://split-cacert',
      validationContext: { trustedCa: { inlineBytes: OTHER } },
    },
  });
});

test('what is missing, empty or no credential is left out', () => {
  const names = [
    'kubernetes://none',
    'kubernetes://empty',
    'invalid://',
    'configmap://roots',
    'file-cert:/a~/b',
    'kubernetes://a/b/c',
  ];
  deepStrictEqual(found(names, GATEWAY), []);
});

test('keys are for those who may read them, CA certificates for the namespace, ConfigMaps for all', () => {
  const names = [
    'kubernetes://web',
    'kubernetes://default/web',
    'kubernetes://default/web-cacert',
    'configmap://default/roots',
  ];
  deepStrictEqual(found(names, GATEWAY), [...names].sort());
  deepStrictEqual(found(names, SIDECAR), ['configmap://default/roots', 'kubernetes://default/web-cacert']);
  deepStrictEqual(found(names, STRANGER), ['configmap://default/roots']);
});

test('a granted reference reaches into another namespace', () => {
  const name = 'kubernetes-gateway://default/web';
  deepStrictEqual(found([name], { ...STRANGER, granted: new Set([name]) }), [name]);
  deepStrictEqual(found([name], STRANGER), []);
});

const NAMES: readonly (readonly [string, string])[] = [
  ['web', 'kubernetes://web'],
  ['kubernetes://ns/web', 'kubernetes://ns/web'],
  ['configmap://ns/web', 'configmap://ns/web'],
  ['sds://web', 'kubernetes://web'],
  ['builtin://', 'default'],
  ['builtin://-cacert', 'ROOTCA'],
  ['invalid://x', 'invalid://'],
];

for (const [credentialName, expected] of NAMES) {
  test(`credentialName ${credentialName} is asked for as ${expected}`, () => {
    deepStrictEqual(credentialResourceName(credentialName), expected);
  });
}

import { strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { generateKeyPairSync } from 'node:crypto';
import type { MeshObject } from '#api/mesh-object.ts';
import { createIssuer } from '#identity/certificate-rig.ts';
import { credentialProblem } from './credential-check.ts';

const NOW_MS = Date.now();
const issuer = await createIssuer('test');
const [good, other, expired, small] = await Promise.all([
  issuer.issue({ dns: ['a.com'] }),
  issuer.issue({ dns: ['b.com'] }),
  issuer.issue({ dns: ['a.com'], endMs: NOW_MS - 1000 }),
  issuer.issue({ dns: ['a.com'], rsaBits: 1024 }),
]);
const list = await issuer.revoke([other]);
const edwards = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();

function object(kind: string, spec: object): MeshObject {
  const head = { apiVersion: 'v1', kind, namespace: 'n', name: 'c', labels: {}, annotations: {} };
  return { ...head, createdAtMs: 0, spec, hash: '' };
}

function secret(type: string, values: Readonly<Record<string, string>>): MeshObject {
  const data = Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  return object('Secret', { type, data: Object.fromEntries(data) });
}

const TLS = 'kubernetes.io/tls';
const CUT = good.chain.replace('MII', '');
const CASES: readonly (readonly [string, MeshObject, string | undefined])[] = [
  ['a pair', secret(TLS, { 'tls.crt': good.chain, 'tls.key': good.key }), undefined],
  ['a chain', secret(TLS, { 'tls.crt': good.chain + issuer.root, 'tls.key': good.key }), undefined],
  [
    'a pair with roots and a list',
    secret('Opaque', { cert: good.chain, key: good.key, cacert: issuer.root, crl: list }),
    undefined,
  ],
  ['roots alone', secret('Opaque', { cacert: issuer.root }), undefined],
  ['what other programs call cert and key', secret('Opaque', { cert: 'x', key: 'y' }), undefined],
  [
    'a half-made Secret',
    secret(TLS, { 'tls.crt': '', 'tls.key': '' }),
    'tls.crt or tls.key is missing or empty',
  ],
  [
    'a text in place of a certificate',
    secret(TLS, { 'tls.crt': 'x', 'tls.key': good.key }),
    'tls.crt is no certificate in PEM',
  ],
  ['a cut certificate', secret('Opaque', { cert: CUT, key: good.key }), 'cert is no certificate in PEM'],
  [
    'a chain with a cut link',
    secret(TLS, { 'tls.crt': good.chain + CUT, 'tls.key': good.key }),
    'tls.crt is no certificate in PEM',
  ],
  [
    'a text in place of a key',
    secret(TLS, { 'tls.crt': good.chain, 'tls.key': 'x' }),
    'tls.key is no private key in PEM without a password',
  ],
  [
    'another key',
    secret(TLS, { 'tls.crt': good.chain, 'tls.key': other.key }),
    'tls.key does not belong to the certificate in tls.crt',
  ],
  [
    'a key of another kind',
    secret(TLS, { 'tls.crt': good.chain, 'tls.key': edwards }),
    'tls.key does not belong to the certificate in tls.crt',
  ],
  [
    'a small key',
    secret(TLS, { 'tls.crt': small.chain, 'tls.key': small.key }),
    'tls.key is an RSA key of 1024 bits; Envoy takes 2048 and more',
  ],
  [
    'an expired certificate',
    secret(TLS, { 'tls.crt': expired.chain, 'tls.key': expired.key }),
    `the certificate in tls.crt has expired at ${new Date(Math.floor((NOW_MS - 1000) / 1000) * 1000).toISOString()}`,
  ],
  ['broken roots', secret('Opaque', { cacert: CUT }), 'cacert is no certificate in PEM'],
  ['a broken list', secret('Opaque', { cacert: issuer.root, crl: CUT }), 'crl is no revocation list in PEM'],
  [
    'roots in a ConfigMap',
    object('ConfigMap', { data: { 'ca.crt': issuer.root }, binaryData: {} }),
    undefined,
  ],
  [
    'broken roots in a ConfigMap',
    object('ConfigMap', { data: { 'ca.crt': CUT }, binaryData: {} }),
    'ca.crt is no certificate in PEM',
  ],
  ['another kind', object('Service', {}), undefined],
];
for (const [title, credential, problem] of CASES) {
  test(`${title}: ${problem ?? 'nothing is wrong'}`, () => {
    strictEqual(credentialProblem(credential, NOW_MS), problem);
  });
}

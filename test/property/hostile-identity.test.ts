/** Readers of what proves who somebody is, and of keys and certificates: requests to the CA, tokens, PEM, key sets, users' Secrets. */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import 'reflect-metadata';
import { Pkcs10CertificateRequest, SubjectAlternativeNameExtension, X509Crl } from '@peculiar/x509';
import { exportJWK, generateKeyPair as generateJwtKeys } from 'jose';
import { decodeObjects } from '#api/decode-object.ts';
import { systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { Secret } from '#base/secret.ts';
import { openCertificateAuthority } from '#ca/certificate-authority.ts';
import { defaultSignerOptions } from '#ca/signer.ts';
import { readSubject } from '#ca/workload-facts.ts';
import { credentialProblem } from '#controllers/credential-check.ts';
import { keysOf } from '#controllers/key-sets.ts';
import { createIssuer } from '#identity/certificate-rig.ts';
import { parseCertificateRequest } from '#identity/certificate-request.ts';
import {
  decodeCertificateCall,
  decodeCertificateReply,
  encodeCertificateCall,
  encodeCertificateReply,
} from '#identity/certificate-message.ts';
import { parseCertificates, readCertificate } from '#identity/certificate.ts';
import { makeCsr } from '#identity/csr.ts';
import { generateKeyPair, parsePrivateKey, printPrivateKey } from '#identity/key-pair.ts';
import { encodePem, parsePem } from '#identity/pem.ts';
import { parseRevocationLists } from '#identity/revocation-list.ts';
import { parseWorkloadIdentity, printWorkloadIdentity } from '#identity/spiffe.ts';
import { joinTrustBundle } from '#identity/trust-bundle.ts';
import { hasUsableKey } from '#model/jwt-key-set.ts';
import { testHostileBytes } from './hostile-bytes.ts';

const OWN_ID = 'spiffe://cluster.local/ns/default/sa/own';
const folder = mkdtempSync(join(tmpdir(), 'hostile-'));
const opened = await openCertificateAuthority({
  folder,
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
  signer: defaultSignerOptions,
  tokenVerifiers: [],
  clock: systemClock(),
  log: silentLogger(),
});
if (!opened.ok) throw new Error(opened.error);
const ca = opened.value;
after(() => {
  ca[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

const keyPairs = [await generateKeyPair(), await generateKeyPair('rsa-2048')];
const csrs = keyPairs.map((keys) => makeCsr(keys, OWN_ID));
const subject = {
  namespace: 'default',
  serviceAccount: 'own',
  facts: { workload: 'own' },
  instance: 'own-0',
};
const token = (await ca.tokens.issueToken(subject)).reveal();
const issuer = await createIssuer('hostile');
const leaf = await issuer.issue({ dns: ['a.test', '*.b.test'], uri: OWN_ID });
const revocations = await issuer.revoke([leaf]);
const text = (...texts: readonly string[]): Buffer[] => texts.map((one) => Buffer.from(one));
const derOf = (pem: string): Buffer => {
  const blocks = parsePem(pem);
  return blocks.ok ? (blocks.value[0]?.bytes ?? Buffer.alloc(0)) : Buffer.alloc(0);
};

testHostileBytes({
  name: 'a request for a certificate, in PEM',
  seeds: text(...csrs),
  read: (bytes) => parseCertificateRequest(bytes.toString('latin1')),
});

testHostileBytes({
  name: 'a request for a certificate, in DER: what is taken is what a library reads',
  seeds: csrs.map(derOf),
  read(bytes) {
    const read = parseCertificateRequest(encodePem('CERTIFICATE REQUEST', bytes));
    if (!read.ok) return;
    const library = new Pkcs10CertificateRequest(new Uint8Array(bytes));
    const sans = [...library.getExtensions('2.5.29.17')].map(
      ({ rawData }) => new SubjectAlternativeNameExtension(rawData),
    );
    deepStrictEqual(
      read.value.names.map(({ value }) => value),
      sans.flatMap(({ names }) => names.items.map(({ value }) => value)),
    );
  },
});

const replies = await Promise.all([0, 3_600].map((seconds) => encodeCertificateCall(csrs[0] ?? '', seconds)));
testHostileBytes({
  name: 'a call to the CA: nobody gets a certificate for anything but himself',
  seeds: replies,
  async read(bytes) {
    const peer = { authorization: `Bearer ${token}`, certificate: undefined };
    const answer = await ca.service.createCertificate(bytes, peer);
    if (!answer.ok) return;
    const chain = decodeCertificateReply(answer.value);
    const parsed = parseCertificates(chain.ok ? (chain.value[0] ?? '') : '');
    deepStrictEqual(parsed.ok ? parsed.value.map(({ uris, isAuthority }) => [uris, isAuthority]) : [], [
      [[OWN_ID], false],
    ]);
  },
});

testHostileBytes({
  name: "the CA's messages",
  seeds: [...replies, encodeCertificateReply([leaf.chain, issuer.root])],
  read: (bytes) => [decodeCertificateCall(bytes), decodeCertificateReply(bytes)],
});

testHostileBytes({
  name: 'a token: what is accepted says what was signed',
  seeds: text(token),
  async read(bytes) {
    const claims = await ca.tokens.verifyToken(bytes.toString('latin1'));
    if (claims.ok) deepStrictEqual([claims.value.namespace, claims.value.serviceAccount], ['default', 'own']);
  },
});

testHostileBytes({
  name: 'the Authorization header of a caller',
  seeds: text(`Bearer ${token}`),
  async read(bytes) {
    const peer = { authorization: bytes.toString('latin1'), certificate: undefined };
    const caller = await ca.authenticator.authenticate(peer);
    if (caller.ok) deepStrictEqual(caller.value.identity.serviceAccount, 'own');
  },
});

testHostileBytes({
  name: 'a revocation list, in PEM',
  seeds: text(revocations, revocations + revocations),
  read: (bytes) => parseRevocationLists(bytes.toString('latin1')),
});

testHostileBytes({
  name: 'a revocation list, in DER: what is taken is what a library reads',
  seeds: [derOf(revocations), derOf(await issuer.revoke([]))],
  read(bytes) {
    const read = parseRevocationLists(encodePem('X509 CRL', bytes));
    const [list] = read.ok ? read.value : [];
    if (list === undefined) return;
    const library = new X509Crl(new Uint8Array(bytes));
    deepStrictEqual(
      [...list.serials].sort(),
      [...new Set(library.entries.map(({ serialNumber }) => serialNumber.replace(/^0+(?=.)/, '')))].sort(),
    );
    deepStrictEqual(list.issuer, Buffer.from(library.issuerName.toArrayBuffer()));
    deepStrictEqual(list.thisUpdateUnixMs, library.thisUpdate.getTime());
  },
});

testHostileBytes({
  name: 'PEM: certificates, roots and keys',
  seeds: text(
    leaf.chain,
    leaf.chain + issuer.root,
    leaf.key,
    ...keyPairs.map((keys) => printPrivateKey(keys).reveal()),
  ),
  read(bytes) {
    const pem = bytes.toString('latin1');
    return [
      parsePem(pem),
      parseCertificates(pem),
      joinTrustBundle([pem, issuer.root], 0),
      parsePrivateKey(new Secret(pem)),
    ];
  },
});

testHostileBytes({
  name: 'a certificate that a client shows, in DER',
  seeds: [derOf(leaf.chain), derOf(issuer.root)],
  async read(bytes) {
    const certificate = readCertificate(bytes);
    if (certificate !== undefined) readSubject(certificate.subject);
    // Whether it is signed by the mesh was seen in the handshake; here it is about the name in it.
    const caller = await ca.authenticator.authenticate({ authorization: undefined, certificate: bytes });
    if (caller.ok) deepStrictEqual(certificate?.uris, [printWorkloadIdentity(caller.value.identity)]);
  },
});

testHostileBytes({
  name: 'a SPIFFE id: what is read prints the same',
  seeds: text(OWN_ID),
  read(bytes) {
    const id = bytes.toString('latin1');
    const parsed = parseWorkloadIdentity(id);
    if (parsed.ok) deepStrictEqual(printWorkloadIdentity(parsed.value), id);
  },
});

const jwks = JSON.stringify({
  keys: await Promise.all(
    ['RS256', 'ES256'].map(async (alg) => ({
      ...(await exportJWK((await generateJwtKeys(alg, { extractable: true })).publicKey)),
      kid: alg,
      alg,
    })),
  ),
});
testHostileBytes({
  name: 'a key set: what goes on is JSON with keys in it',
  seeds: text(jwks),
  read(bytes) {
    const document = bytes.toString('utf8');
    hasUsableKey(document);
    const keys = keysOf(document);
    if (keys.ok) ok((JSON.parse(keys.value) as { keys: unknown[] }).keys.length > 0);
  },
});

testHostileBytes({
  name: 'key sets in a RequestAuthentication',
  seeds: text(jwks),
  read: (bytes) =>
    decodeObjects(
      {
        apiVersion: 'security.istio.io/v1',
        kind: 'RequestAuthentication',
        metadata: { name: 'a' },
        spec: { jwtRules: [{ issuer: 'a', jwks: bytes.toString('utf8') }] },
      },
      { defaultNamespace: 'default' },
    ),
});

testHostileBytes({
  name: "certificates in users' Secrets",
  seeds: text(leaf.chain, leaf.key, issuer.root, revocations),
  read(bytes) {
    for (const place of ['cert', 'key', 'cacert', 'crl']) {
      const values = { cert: leaf.chain, key: leaf.key, cacert: issuer.root, crl: revocations };
      const data = Object.fromEntries(
        Object.entries({ ...values, [place]: bytes.toString('latin1') }).map(([key, value]) => [
          key,
          Buffer.from(value, 'latin1').toString('base64'),
        ]),
      );
      const [decoded] = decodeObjects(
        { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' }, type: 'Opaque', data },
        { defaultNamespace: 'default' },
      );
      if (decoded?.object !== undefined) credentialProblem(decoded.object, Date.now());
    }
  },
});

import 'reflect-metadata';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509';
import { TestClock } from '#base/clock.ts';
import {
  GRPC_INVALID_ARGUMENT,
  GRPC_PERMISSION_DENIED,
  GRPC_RESOURCE_EXHAUSTED,
  GRPC_UNAUTHENTICATED,
} from '#base/grpc-frame.ts';
import { silentLogger } from '#base/logger.ts';
import { WireWriter } from '#base/proto-wire.ts';
import { ok } from '#base/result.ts';
import { decodeCertificateReply, encodeCertificateCall } from '#identity/certificate-message.ts';
import { type Certificate, parseCertificates } from '#identity/certificate.ts';
import { makeCsr } from '#identity/csr.ts';
import { generateKeyPair, type KeyPair } from '#identity/key-pair.ts';
import type { CallPeer } from './caller.ts';
import {
  type AuthoritySettings,
  type LocalAuthority,
  openCertificateAuthority,
} from './certificate-authority.ts';
import { NodeImpersonation, type NodePod } from './node-impersonation.ts';
import { defaultSignerOptions, type SignerOptions } from './signer.ts';
import { buildSubject, readSubject } from './workload-facts.ts';

const startMs = Date.UTC(2026, 0, 1, 12);
const dayMs = 24 * 3_600_000;
const reviews = 'spiffe://cluster.local/ns/bookinfo/sa/reviews';
const facts = {
  workload: 'reviews-v1',
  canonicalService: 'reviews',
  canonicalRevision: 'v1',
  cluster: 'Kubernetes',
};
const subject = { namespace: 'bookinfo', serviceAccount: 'reviews', facts, instance: 'reviews-v1-0' };

interface Ca extends LocalAuthority {
  readonly clock: TestClock;
}

let folder = '';
let keyPair: KeyPair;

async function makeCa(
  signer: SignerOptions = defaultSignerOptions,
  more: Partial<AuthoritySettings> = {},
): Promise<Ca> {
  const clock = new TestClock(startMs);
  const ca = await openCertificateAuthority({
    folder: join(folder, 'shared'),
    trustDomain: 'cluster.local',
    trustDomainAliases: [],
    signer,
    tokenVerifiers: [],
    clock,
    log: silentLogger(),
    ...more,
  });
  assert.ok(ca.ok);
  return { ...ca.value, clock };
}

async function withToken(ca: Ca): Promise<CallPeer> {
  const token = await ca.tokens.issueToken(subject);
  return { authorization: `Bearer ${token.reveal()}`, certificate: undefined };
}

async function issue(ca: Ca, peer: CallPeer, ttlSeconds = 0): Promise<readonly Certificate[]> {
  const answer = await ca.service.createCertificate(
    encodeCertificateCall(makeCsr(keyPair, reviews), ttlSeconds),
    peer,
  );
  assert.ok(answer.ok, answer.ok ? '' : answer.error.message);
  const chain = decodeCertificateReply(answer.value);
  assert.ok(chain.ok);
  const certificates = parseCertificates(chain.value.join(''));
  assert.ok(certificates.ok);
  return certificates.value;
}

describe('the CA', () => {
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ca-'));
    keyPair = await generateKeyPair();
  });

  after(() => rmSync(folder, { recursive: true }));

  describe('a workload certificate', () => {
    it('shows under openssl what the documents show', async () => {
      const ca = await makeCa();
      const chain = await issue(ca, await withToken(ca));
      const [leaf, root] = chain;
      assert.ok(leaf !== undefined && root !== undefined && chain.length === 2);
      const text = execFileSync('openssl', ['x509', '-noout', '-text'], {
        input: leaf.pem,
        encoding: 'utf8',
      });
      assert.match(
        text,
        /X509v3 Subject Alternative Name: critical\n\s+URI:spiffe:\/\/cluster\.local\/ns\/bookinfo\/sa\/reviews\n/,
      );
      assert.match(text, /Issuer: O ?= ?cluster\.local\n/);
      assert.match(text, /X509v3 Basic Constraints: critical\n\s+CA:FALSE/);
      assert.match(text, /X509v3 Key Usage: critical\n\s+Digital Signature, Key Encipherment\n/);
      assert.match(
        text,
        /X509v3 Extended Key Usage: \n\s+TLS Web Server Authentication, TLS Web Client Authentication\n/,
      );
      assert.equal(leaf.notAfterUnixMs - leaf.notBeforeUnixMs, dayMs);
      assert.equal(leaf.notBeforeUnixMs, startMs - 120_000);
      writeFileSync(join(folder, 'leaf.pem'), leaf.pem);
      writeFileSync(join(folder, 'root.pem'), root.pem);
      const verified = execFileSync(
        'openssl',
        [
          'verify',
          '-x509_strict',
          '-attime',
          String(startMs / 1000),
          '-CAfile',
          join(folder, 'root.pem'),
          join(folder, 'leaf.pem'),
        ],
        { encoding: 'utf8' },
      );
      assert.match(verified, /leaf\.pem: OK/);
    });

    it('carries the facts of the token in its subject, or nothing when the mesh wants so', async () => {
      const full = await makeCa();
      const empty = await makeCa({ ...defaultSignerOptions, subject: 'empty' });
      const subjects = [full, empty].map(async (ca) => (await issue(ca, await withToken(ca)))[0]?.subject);
      assert.deepEqual(await Promise.all(subjects), [
        'O=bookinfo\nOU=v1\nL=Kubernetes\nUID=reviews\nCN=reviews-v1',
        '',
      ]);
    });

    it('is renewed with the certificate alone, facts and all', async () => {
      const ca = await makeCa();
      const [leaf] = await issue(ca, await withToken(ca));
      assert.ok(leaf !== undefined);
      ca.clock.advance(dayMs / 2);
      const [renewed] = await issue(ca, { authorization: undefined, certificate: leaf.x509.raw });
      assert.equal(renewed?.subject, leaf.subject);
      assert.notEqual(renewed?.serial, leaf.serial);
      ca.clock.advance(dayMs);
      const late = await ca.service.createCertificate(new Uint8Array(), {
        authorization: undefined,
        certificate: leaf.x509.raw,
      });
      assert.equal(late.ok ? 0 : late.error.code, GRPC_UNAUTHENTICATED);
    });

    it('lives as long as asked up to 90 days, never longer than the root', async () => {
      const ca = await makeCa();
      const peer = await withToken(ca);
      const lifetimes = [60, 3600, 90 * 86_400].map(async (ttl) => {
        const [leaf] = await issue(ca, peer, ttl);
        return ((leaf?.notAfterUnixMs ?? 0) - (leaf?.notBeforeUnixMs ?? 0)) / 1000;
      });
      assert.deepEqual(await Promise.all(lifetimes), [60, 3600, 90 * 86_400]);
      ca.clock.advance(3650 * dayMs - 3_600_000);
      const [last, root] = await issue(ca, await withToken(ca));
      assert.equal(last?.notAfterUnixMs, root?.notAfterUnixMs);
    });
  });

  describe('hostile names', () => {
    const identity = { trustDomain: 'td', namespace: 'ns', serviceAccount: 'sa' };
    it('never stand in a subject', () => {
      const hostile = [
        'a,CN=admin',
        'a+OU=v9',
        'a"b',
        'a\\',
        'a\nCN=b',
        ' a',
        'a ',
        '#61',
        'ä',
        'a;b',
        '<a>',
        '',
        'a\0',
        'x'.repeat(64),
        '-a',
        '.',
      ];
      assert.deepEqual(
        hostile.flatMap((workload) => buildSubject(identity, { workload })),
        [],
      );
      const longest = 'x'.repeat(63);
      assert.deepEqual(
        buildSubject(identity, { workload: longest }).map((a) => `${a.name}=${a.value}`),
        ['O=ns', `CN=${longest}`],
      );
    });

    it('read from a subject are held to the same alphabet', () => {
      assert.deepEqual(readSubject('O=x\nCN=a b\nOU=v1\nUID=__proto__\nL=constructor'), {
        canonicalRevision: 'v1',
        cluster: 'constructor',
      });
    });
  });

  describe('the certificate service refuses', () => {
    const other = 'spiffe://cluster.local/ns/bookinfo/sa/ratings';

    async function statusOf(
      request: Uint8Array,
      change: (peer: CallPeer) => CallPeer = (peer) => peer,
    ): Promise<number> {
      const ca = await makeCa();
      const answer = await ca.service.createCertificate(request, change(await withToken(ca)));
      return answer.ok ? 0 : answer.error.code;
    }

    it('T25: a request for another identity, for more names, or on behalf of another', async () => {
      const own = makeCsr(keyPair, reviews);
      const requests = [
        encodeCertificateCall(makeCsr(keyPair, other), 0),
        encodeCertificateCall(await manyNames([reviews, other]), 0),
        encodeCertificateCall(await manyNames([reviews, reviews]), 0),
        encodeCertificateCall(await dnsName('reviews.bookinfo'), 0),
      ];
      const codes = await Promise.all(requests.map((request) => statusOf(request)));
      assert.deepEqual(
        codes,
        requests.map(() => GRPC_PERMISSION_DENIED),
      );
      assert.equal(
        await statusOf(encodeCertificateCall(await manyNames(Array(9).fill(reviews)), 0)),
        GRPC_INVALID_ARGUMENT,
      );
      // Without trusted node accounts, for whomever, and whether or not the metadata make sense.
      for (const asked of [other, reviews, 'nonsense', undefined]) {
        const call = encodeCertificateCall(own, 0);
        assert.equal(await statusOf(onBehalfOf(call, asked)), GRPC_UNAUTHENTICATED, String(asked));
      }
    });

    /** A call with ImpersonatedIdentity in its metadata, with or without a text. */
    function onBehalfOf(call: Uint8Array, asked: string | undefined): Uint8Array {
      const entry = new WireWriter().string(1, 'ImpersonatedIdentity');
      if (asked !== undefined) entry.bytes(2, new WireWriter().string(3, asked).finish());
      const struct = new WireWriter().bytes(1, entry.finish()).finish();
      return new WireWriter().raw(call).bytes(4, struct).finish();
    }

    it('T25: a node proxy that asks for workloads elsewhere, and gives it those on its node', async () => {
      const pod: NodePod = { uid: 'u', serviceAccount: 'ztunnel', nodeName: 'node-1' };
      const impersonation = new NodeImpersonation({
        trustedAccounts: new Set(['istio-system/ztunnel']),
        podOf: (namespace, name) => (`${namespace}/${name}` === 'istio-system/z-1' ? pod : undefined),
        runsOn: (node, { serviceAccount }) => node === 'node-1' && serviceAccount === 'ratings',
      });
      const claims = { namespace: 'istio-system', serviceAccount: 'ztunnel', facts };
      const verifier = {
        verifyToken: async () => ok({ ...claims, pod: { name: 'z-1', uid: 'u' } }),
      };
      const ca = await makeCa(defaultSignerOptions, { impersonation, tokenVerifiers: [verifier] });
      const peer: CallPeer = { authorization: 'Bearer z', certificate: undefined };
      const ask = async (asked: string, named: string): Promise<number | readonly string[]> => {
        const call = onBehalfOf(encodeCertificateCall(makeCsr(keyPair, named), 0), asked);
        const answer = await ca.service.createCertificate(call, peer);
        if (!answer.ok) return answer.error.code;
        const chain = decodeCertificateReply(answer.value);
        const [leaf] = (chain.ok && parsedOf(chain.value)) || [];
        return [leaf?.uris.join() ?? '', leaf?.subject ?? ''];
      };
      assert.deepEqual(
        [
          await ask(other, other),
          await ask(reviews, reviews),
          await ask(other, reviews),
          await ask('spiffe://cluster.local/ns/istio-system/sa/ztunnel', reviews),
        ],
        [[other, ''], GRPC_UNAUTHENTICATED, GRPC_PERMISSION_DENIED, GRPC_UNAUTHENTICATED],
      );
      assert.equal(ca.metrics.count('authenticationFailures'), 2);
    });

    function parsedOf(chain: readonly string[]): readonly Certificate[] {
      const parsed = parseCertificates(chain.join(''));
      return parsed.ok ? parsed.value : [];
    }

    it('T25: a lifetime above the maximum, or a negative one, instead of clamping it', async () => {
      const csr = makeCsr(keyPair, reviews);
      const negative = new WireWriter()
        .string(1, csr)
        .raw(Buffer.from([0x18, ...Array(9).fill(0xff), 1]))
        .finish();
      assert.deepEqual(
        [
          await statusOf(encodeCertificateCall(csr, 90 * 86_400 + 1)),
          await statusOf(negative),
          await statusOf(encodeCertificateCall(csr, 0)),
        ],
        [GRPC_INVALID_ARGUMENT, GRPC_INVALID_ARGUMENT, 0],
      );
    });

    it('T24, T26: callers without credentials before it reads their bytes', async () => {
      const garbage = Buffer.alloc(60_000, 0xff);
      const nobody = (): CallPeer => ({ authorization: undefined, certificate: undefined });
      assert.equal(await statusOf(garbage, nobody), GRPC_UNAUTHENTICATED);
      assert.equal(await statusOf(garbage), GRPC_INVALID_ARGUMENT);
      assert.equal(await statusOf(Buffer.alloc(70_000), nobody), GRPC_RESOURCE_EXHAUSTED);
      for (const authorization of [
        '',
        'Bearer',
        'Bearer a b',
        'Basic eDp5',
        'Bearer x.y.z',
        `Bearer ${'x'.repeat(20_000)}`,
      ]) {
        assert.equal(
          await statusOf(garbage, () => ({ authorization, certificate: undefined })),
          GRPC_UNAUTHENTICATED,
          authorization,
        );
      }
      for (const certificate of [new Uint8Array(), garbage]) {
        assert.equal(
          await statusOf(garbage, () => ({ authorization: undefined, certificate })),
          GRPC_UNAUTHENTICATED,
        );
      }
    });

    it('a request without names gets the own identity', async () => {
      const ca = await makeCa();
      const answer = await ca.service.createCertificate(
        encodeCertificateCall(await noName(), 0),
        await withToken(ca),
      );
      const chain = decodeCertificateReply(answer.ok ? answer.value : new Uint8Array());
      const leaf = parseCertificates(chain.ok ? (chain.value[0] ?? '') : '');
      assert.deepEqual(leaf.ok && leaf.value[0]?.uris, [reviews]);
      assert.deepEqual(
        [...ca.metrics.collect(ca.signer.authority, startMs)].map(([name, value]) => `${name} ${value}`),
        [
          'citadel_server_csr_count 1',
          'citadel_server_success_cert_issuance_count 1',
          'citadel_server_authentication_failure_count 0',
          'citadel_server_csr_parsing_err_count 0',
          'citadel_server_csr_sign_err_count 0',
          'citadel_server_id_extraction_err_count 0',
          `citadel_server_root_cert_expiry_timestamp ${startMs / 1000 + 3650 * 86_400}`,
          `citadel_server_root_cert_expiry_seconds ${3650 * 86_400}`,
          `citadel_server_cert_chain_expiry_timestamp ${startMs / 1000 + 3650 * 86_400}`,
          `citadel_server_cert_chain_expiry_seconds ${3650 * 86_400}`,
        ],
      );
    });

    async function makeRequest(extension: SubjectAlternativeNameExtension | undefined): Promise<string> {
      const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
      const request = await Pkcs10CertificateRequestGenerator.create({
        keys: {
          privateKey: keyPair.privateKey.toCryptoKey(algorithm, false, ['sign']),
          publicKey: keyPair.publicKey.toCryptoKey(algorithm, true, ['verify']),
        },
        signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
        extensions: extension === undefined ? [] : [extension],
      });
      return request.toString('pem');
    }
    const manyNames = (ids: string[]) =>
      makeRequest(
        new SubjectAlternativeNameExtension(
          ids.map((value) => ({ type: 'url', value }) as const),
          true,
        ),
      );
    const dnsName = (value: string) =>
      makeRequest(new SubjectAlternativeNameExtension([{ type: 'dns', value }]));
    const noName = () => makeRequest(undefined);
  });
});

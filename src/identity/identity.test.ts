import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededRng } from '#base/rng.ts';
import { Secret } from '#base/secret.ts';
import {
  decodeCertificateCall,
  decodeCertificateReply,
  encodeCertificateCall,
  encodeCertificateReply,
} from './certificate-message.ts';
import { parseCertificateRequest } from './certificate-request.ts';
import { parseCertificates } from './certificate.ts';
import { makeCsr } from './csr.ts';
import { findRenewalTime } from './expiry.ts';
import { generateKeyPair, parsePrivateKey, printPrivateKey } from './key-pair.ts';
import { encodePem, parsePem } from './pem.ts';
import { isTrustDomain, parseSpiffeId, parseWorkloadIdentity, printWorkloadIdentity } from './spiffe.ts';

describe('SPIFFE ids', () => {
  const workloads: readonly [text: string, expected: string][] = [
    ['spiffe://cluster.local/ns/default/sa/reviews', 'ok'],
    ['spiffe://td-1_x.y/ns/a.b/sa/C_d-e', 'ok'],
    ['spiffe://cluster.local', 'not of the form /ns/<namespace>/sa/<service account>'],
    [
      'spiffe://cluster.local/ns/default/sa/reviews/x',
      'not of the form /ns/<namespace>/sa/<service account>',
    ],
    ['spiffe://cluster.local/sa/reviews/ns/default', 'not of the form /ns/<namespace>/sa/<service account>'],
    ['SPIFFE://cluster.local/ns/a/sa/b', 'scheme is not spiffe://'],
    ['https://cluster.local/ns/a/sa/b', 'scheme is not spiffe://'],
    ['spiffe:///ns/a/sa/b', 'bad trust domain'],
    ['spiffe://Cluster.local/ns/a/sa/b', 'bad trust domain'],
    ['spiffe://user@td/ns/a/sa/b', 'bad trust domain'],
    ['spiffe://td:80/ns/a/sa/b', 'bad trust domain'],
    ['spiffe://td/ns//sa/b', 'bad path'],
    ['spiffe://td/ns/a/sa/b/', 'bad path'],
    ['spiffe://td/ns/../sa/b', 'bad path'],
    ['spiffe://td/ns/a/sa/b%2f', 'bad path'],
    ['spiffe://td/ns/a/sa/b\n', 'bad path'],
    ['spiffe://td/ns/a/sa/b\0', 'bad path'],
    [`spiffe://td/ns/a/sa/${'b'.repeat(2048)}`, 'too long'],
    [`spiffe://${'t'.repeat(256)}/ns/a/sa/b`, 'bad trust domain'],
  ];
  for (const [text, expected] of workloads) {
    it(`reads ${JSON.stringify(text.slice(0, 60))} as ${expected}`, () => {
      const parsed = parseWorkloadIdentity(text);
      assert.equal(parsed.ok ? 'ok' : parsed.error, expected);
      if (parsed.ok) assert.equal(printWorkloadIdentity(parsed.value), text);
    });
  }

  it('keeps any path of an id that is not a workload in the form of Istio', () => {
    assert.deepEqual(parseSpiffeId('spiffe://td/a/b'), {
      ok: true,
      value: { trustDomain: 'td', path: 'a/b' },
    });
  });

  it('knows what may be a trust domain', () => {
    assert.deepEqual(['cluster.local', 'a', '', 'A', 'a/b', 'ä'].map(isTrustDomain), [
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe('PEM', () => {
  it('reads what it wrote, with text between the blocks', () => {
    const bytes = Buffer.from(Array.from({ length: 100 }, (_, i) => i));
    const text = `note\n${encodePem('A', bytes)}\n# other\n${encodePem('B', bytes)}`;
    assert.deepEqual(parsePem(text), {
      ok: true,
      value: [
        { label: 'A', bytes },
        { label: 'B', bytes },
      ],
    });
  });

  const broken: readonly [text: string, expected: string][] = [
    ['', 'no block'],
    ['-----BEGIN A-----\nAAAA\n', 'broken block'],
    ['-----BEGIN A', 'broken block'],
    ['-----BEGIN A-----\nAAAA\n-----END B-----', 'broken block'],
    ['-----BEGIN A-----\n?!\n-----END A-----', 'broken block'],
    ['-----BEGIN A-----\nAAAA\n-----END A-----\n'.repeat(101), 'too many blocks'],
    ['A'.repeat(256 * 1024 + 1), 'too large'],
  ];
  for (const [text, expected] of broken) {
    it(`refuses ${JSON.stringify(text.slice(0, 40))}: ${expected}`, () => {
      assert.deepEqual(parsePem(text), { ok: false, error: expected });
    });
  }
});

describe('keys and requests', () => {
  const id = 'spiffe://cluster.local/ns/default/sa/reviews';
  for (const kind of ['ecdsa-p256', 'rsa-2048'] as const) {
    it(`makes a request with an ${kind} key that the control plane reads`, async () => {
      const keyPair = await generateKeyPair(kind);
      const request = parseCertificateRequest(makeCsr(keyPair, id));
      assert.ok(request.ok);
      assert.deepEqual(request.value.names, [{ kind: 'url', value: id }]);
      const spki = keyPair.publicKey.export({ format: 'der', type: 'spki' });
      assert.deepEqual(request.value.publicKey.export({ format: 'der', type: 'spki' }), spki);
    });
  }

  it('prints a key that it can read, and never by accident', async () => {
    const printed = printPrivateKey(await generateKeyPair());
    assert.match(printed.reveal(), /^-----BEGIN PRIVATE KEY-----/);
    assert.equal(`${printed}`, '[redacted]');
    assert.ok(parsePrivateKey(printed).ok);
    assert.deepEqual(parsePrivateKey(new Secret('nonsense')), { ok: false, error: 'not a private key' });
  });

  it('refuses requests that are too large, broken, nested deeply, or several', async () => {
    const good = makeCsr(await generateKeyPair(), id);
    const nested = Buffer.alloc(8000, Buffer.from([0x30, 0x80]));
    const flipped = parsePem(good);
    assert.ok(flipped.ok);
    const bytes = Buffer.from(flipped.value[0]?.bytes ?? []);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    const answers = await Promise.all(
      [
        'x'.repeat(17_000),
        'no pem',
        good + good,
        encodePem('CERTIFICATE', Buffer.from('abc')),
        encodePem('CERTIFICATE REQUEST', Buffer.from('abc')),
        encodePem('CERTIFICATE REQUEST', nested),
        encodePem('CERTIFICATE REQUEST', bytes),
      ].map(parseCertificateRequest),
    );
    assert.deepEqual(
      answers.map((answer) => (answer.ok ? 'ok' : answer.error)),
      [
        'request is too large',
        'not a certificate request',
        'not a certificate request',
        'not a certificate request',
        'not a certificate request',
        'not a certificate request',
        'signature does not match the key',
      ],
    );
  });

  it('never throws on mutated requests', async () => {
    const parsed = parsePem(makeCsr(await generateKeyPair(), id));
    assert.ok(parsed.ok);
    const original = parsed.value[0]?.bytes ?? Buffer.alloc(0);
    const rng = seededRng(7);
    for (let round = 0; round < 200; round++) {
      const bytes = Buffer.from(original);
      for (let change = 0; change < 3; change++) bytes[rng.int(bytes.length)] = rng.int(256);
      const answer = parseCertificateRequest(encodePem('CERTIFICATE REQUEST', bytes));
      if (answer.ok) assert.deepEqual(bytes, original);
    }
  });
});

describe('certificates', () => {
  it('refuses what is no certificate', () => {
    assert.deepEqual(parseCertificates('x'), { ok: false, error: 'no PEM' });
    assert.deepEqual(parseCertificates(encodePem('CERTIFICATE', Buffer.from('abc'))), {
      ok: false,
      error: 'not a certificate',
    });
  });

  it('renews at half the life, ten percent either way', () => {
    const validity = { notBeforeUnixMs: 1_000_000, notAfterUnixMs: 1_000_000 + 24 * 3_600_000 };
    const rng = seededRng(1);
    const times = Array.from(
      { length: 1000 },
      () => (findRenewalTime(validity, rng) - 1_000_000) / 3_600_000,
    );
    assert.ok(Math.min(...times) >= 10.8 && Math.min(...times) < 10.9, String(Math.min(...times)));
    assert.ok(Math.max(...times) <= 13.2 && Math.max(...times) > 13.1, String(Math.max(...times)));
  });
});

describe('certificate messages', () => {
  it('survive the wire', () => {
    const call = decodeCertificateCall(encodeCertificateCall('pem', 86_400));
    assert.deepEqual(call, {
      ok: true,
      value: { csrPem: 'pem', validitySeconds: 86_400, metadata: new Map() },
    });
    assert.deepEqual(decodeCertificateReply(encodeCertificateReply(['a', 'b'])), {
      ok: true,
      value: ['a', 'b'],
    });
  });

  it('name the metadata of a request and refuse too much of it', () => {
    // Entry a with the text b.
    const entry = Buffer.from([0x0a, 0x08, 0x0a, 0x01, 0x61, 0x12, 0x03, 0x1a, 0x01, 0x62]);
    const struct = (count: number) => {
      const body = Buffer.concat(Array.from({ length: count }, () => entry));
      const length = body.length < 0x80 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7];
      return Buffer.concat([Buffer.from([0x22, ...length]), body]);
    };
    const one = decodeCertificateCall(struct(1));
    assert.deepEqual(one.ok && [...one.value.metadata], [['a', 'b']]);
    assert.equal(decodeCertificateCall(struct(16)).ok, true);
    assert.equal(decodeCertificateCall(struct(17)).ok, false);
  });

  it('refuse broken bytes as a value', () => {
    assert.equal(decodeCertificateCall(Buffer.from([0x0a, 0xff])).ok, false);
    assert.equal(decodeCertificateReply(Buffer.from([0x0a, 0x05, 0x61])).ok, false);
  });
});

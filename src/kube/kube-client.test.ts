/** The client itself: HTTP/2 over TLS, tokens, limits of rate and size. */
import 'reflect-metadata';
import { deepStrictEqual, ok, rejects, strictEqual } from 'node:assert';
import { webcrypto } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509';
import { systemClock, TestClock } from '#base/clock.ts';
import { seededRng } from '#base/rng.ts';
import { reviewAccess } from './access-review.ts';
import { ApiServerFixture } from './api-server-fixture.ts';
import { JsonLines } from './json-lines.ts';
import { KubeClient } from './kube-client.ts';
import type { KubeTarget } from './kube-target.ts';
import { RateLimit } from './rate-limit.ts';
import { ResourceWatch } from './resource-watch.ts';
import { reviewToken } from './token-review.ts';

async function selfSigned(): Promise<{ readonly key: string; readonly cert: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    keys,
    name: 'CN=api',
    signingAlgorithm: algorithm,
    extensions: [new SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])],
  });
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    key: `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`,
    cert: certificate.toString('pem'),
  };
}

function newClient(target: KubeTarget): KubeClient {
  return new KubeClient(target, { clock: systemClock(), env: {}, userAgent: 'test' });
}

test('over TLS many watches share one connection, and come back when it breaks', async () => {
  await using server = new ApiServerFixture(await selfSigned());
  await server.start();
  using client = newClient(server.target);
  const seen = new Set<string>();
  const plurals = Array.from({ length: 20 }, (_, i) => `kind${i}s`);
  const watches = plurals.map(
    (plural) =>
      new ResourceWatch({
        client,
        resource: { group: '', version: 'v1', plural, fieldSelector: '' },
        clock: systemClock(),
        rng: seededRng(1),
        backoff: { initialMs: 1, maxMs: 20 },
        listener: {
          changed: ({ set }) => {
            for (const { metadata } of set) seen.add(`${plural}/${metadata.name}`);
          },
          stateChanged() {},
        },
      }),
  );
  for (const watch of watches) watch.start();
  await server.until(() => server.watches.length === 20);
  strictEqual(server.connectionCount, 1);
  for (const plural of plurals) server.put({ group: '', plural }, { metadata: { name: 'a' } });
  await server.until(() => seen.size === 20);
  await server.stop();
  for (const plural of plurals) server.put({ group: '', plural }, { metadata: { name: 'b' } });
  await server.start();
  await server.until(() => seen.size === 40);
  strictEqual(server.connectionCount, 1);
  for (const watch of watches) watch[Symbol.dispose]();
});

for (const isTls of [false, true]) {
  test(`access is reviewed over ${isTls ? 'HTTP/2' : 'HTTP/1.1'}`, async () => {
    await using server = new ApiServerFixture(isTls ? await selfSigned() : undefined);
    await server.start();
    server.allowed.add('alice');
    using client = newClient(server.target);
    const question = { namespace: 'shop', verb: 'list', resource: 'secrets' };
    deepStrictEqual(
      [
        await reviewAccess(client, { ...question, user: 'alice' }),
        await reviewAccess(client, { ...question, user: 'bob' }),
      ],
      [true, false],
    );
    deepStrictEqual(server.posted[0], {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user: 'alice', resourceAttributes: question },
    });
  });
}

test('a server with another certificate is refused', async () => {
  await using server = new ApiServerFixture(await selfSigned());
  await server.start();
  const { ca: _ca, ...tls } = server.target.tls;
  using client = newClient({ ...server.target, tls });
  await rejects(client.getJson({ path: '/api/v1/pods' }), /self-signed certificate/);
});

test('a token that the server stopped to accept is read again', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-kube-'));
  const file = join(folder, 'token');
  writeFileSync(file, 'old');
  await using server = new ApiServerFixture();
  await server.start();
  server.token = 'old';
  const clock = new TestClock();
  const target: KubeTarget = { ...server.target, credential: { kind: 'tokenFile', file } };
  using client = new KubeClient(target, { clock, env: {}, userAgent: 'test' });
  await client.getJson({ path: '/api/v1/pods' });
  server.token = 'new';
  writeFileSync(file, 'new');
  clock.advance(10_000);
  const list = (await client.getJson({ path: '/api/v1/pods' })) as { readonly items: readonly unknown[] };
  deepStrictEqual(list.items, []);
  rmSync(folder, { recursive: true });
});

test('requests beyond the burst wait for their turn', async () => {
  const clock = new TestClock();
  const limit = new RateLimit({ clock, perSecond: 10, burst: 3 });
  let taken = 0;
  for (let i = 0; i < 6; i++) void limit.take().then(() => taken++);
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  await settle();
  const counts = [taken];
  for (let i = 0; i < 3; i++) {
    clock.advance(100);
    await settle();
    counts.push(taken);
  }
  deepStrictEqual(counts, [3, 4, 5, 6]);
});

test('lines may be cut anywhere, and have a limit', () => {
  const lines = new JsonLines(20);
  const text = Buffer.from('{"a":"ä"}\n\n{"b":1}\n{"c"');
  const values = [...text].flatMap((byte) => [...lines.push(Buffer.of(byte))]);
  deepStrictEqual(values, [{ a: 'ä' }, { b: 1 }]);
  let problem = '';
  try {
    lines.push(Buffer.alloc(30, 'x'));
  } catch (error) {
    problem = String(error);
  }
  ok(/larger than 20 bytes/.test(problem));
});

test('a token is reviewed for audiences: who it is of, and what the server knows besides', async () => {
  await using server = new ApiServerFixture();
  await server.start();
  const extra = { 'authentication.kubernetes.io/pod-name': ['a-1'] };
  const user = { username: 'system:serviceaccount:default:a', groups: ['system:serviceaccounts'], extra };
  server.tokens.set('good', { authenticated: true, user, audiences: ['istio-ca'] });
  using client = newClient(server.target);
  deepStrictEqual(
    [await reviewToken(client, 'good', ['istio-ca']), await reviewToken(client, 'bad', ['istio-ca'])],
    [
      {
        username: user.username,
        groups: user.groups,
        audiences: ['istio-ca'],
        extra: new Map(Object.entries(extra)),
      },
      undefined,
    ],
  );
  deepStrictEqual(server.posted[0], {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    spec: { token: 'good', audiences: ['istio-ca'] },
  });
});

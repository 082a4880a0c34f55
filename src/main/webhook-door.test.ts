import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { request, type RequestOptions } from 'node:https';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { silentLogger } from '#base/logger.ts';
import { Readiness } from '#doors/health.ts';
import { MetricRegistry } from '#doors/prometheus-text.ts';
import { MAX_REVIEW_BYTES, WebhookServer } from '#doors/webhook-server.ts';
import { createIssuer } from '#identity/certificate-rig.ts';

const metrics = new MetricRegistry();
const readiness = new Readiness();
let isReady = false;
let server: WebhookServer;
let port: number;

before(async () => {
  readiness.add('mesh', () => isReady);
  server = new WebhookServer({ tls: await tls('first'), readiness, metrics, log: silentLogger() });
  port = await server.listen('127.0.0.1', 0);
});
after(() => server[Symbol.asyncDispose]());

async function tls(name: string): Promise<{ cert: string; key: string }> {
  const issuer = await createIssuer(name);
  const { chain, key } = await issuer.issue({ dns: ['istiod.istio-system.svc'] });
  return { cert: chain, key };
}

interface Call extends RequestOptions {
  readonly body?: string | Buffer;
}

const JSON_BODY = { 'content-type': 'application/json' };
const post = { method: 'POST', path: '/validate', headers: JSON_BODY };

function ask({ body, ...options }: Call): Promise<readonly [number, string]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly [number, string]>();
  const where = { host: '127.0.0.1', port, agent: false, rejectUnauthorized: false };
  const call = request({ ...where, ...options }, (answer) => {
    text(answer).then((all) => resolve([answer.statusCode ?? 0, all]), reject);
  });
  call.on('error', reject);
  call.end(body);
  return promise;
}

function review(spec: unknown): string {
  const object = {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name: 'a' },
    spec,
  };
  const resource = { group: 'security.istio.io', version: 'v1', resource: 'peerauthentications' };
  const asked = { uid: 'u', operation: 'CREATE', namespace: 'default', resource, object };
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: asked });
}

test('reviews are answered and counted, at /validate and below it', async () => {
  const good = await ask({ ...post, body: review({ mtls: { mode: 'STRICT' } }) });
  deepStrictEqual([good[0], JSON.parse(good[1]).response], [200, { uid: 'u', allowed: true }]);
  const bad = await ask({ ...post, path: '/validate/a', body: review({ mtls: { mode: 'SOME' } }) });
  deepStrictEqual([bad[0], JSON.parse(bad[1]).response.allowed], [200, false]);
  const resource = 'group="security.istio.io",version="v1",resource="peerauthentications"';
  const page = metrics.print();
  match(page, new RegExp(`galley_validation_passed{${resource}} 1\n`));
  match(page, new RegExp(`galley_validation_failed{${resource},reason="invalid_resource"} 1\n`));
});

test('what is no review is refused by its status', async () => {
  const headers = { 'content-type': 'text/yaml' };
  const statuses = [
    await ask({ path: '/validate' }),
    await ask({ ...post, headers, body: 'a: 1' }),
    await ask({ ...post }),
    await ask({ ...post, body: '{}' }),
    await ask({ path: '/inject' }),
    await ask({ path: '/ready', method: 'POST' }),
  ].map(([status]) => status);
  deepStrictEqual(statuses, [405, 415, 400, 400, 404, 405]);
  match(metrics.print(), /galley_validation_http_error{status="415"} 1\n/);
});

test('a body beyond the limit is refused before it is read, and without a length once it is too long (T27)', async () => {
  const tooLong = Buffer.alloc(MAX_REVIEW_BYTES + 1, ' ');
  const announced = await ask({ ...post, headers: { ...JSON_BODY, 'content-length': tooLong.length } });
  strictEqual(announced[0], 413);
  const chunked = ask({ ...post, headers: { ...JSON_BODY, 'transfer-encoding': 'chunked' }, body: tooLong });
  // The rest of the body may meet a closed connection before the answer is read.
  strictEqual((await chunked.catch(() => [413]))[0], 413);
});

test('a review that takes long holds up nobody else (T27)', async () => {
  isReady = true;
  const deep = '['.repeat(MAX_REVIEW_BYTES / 2 - 1_000) + ']'.repeat(MAX_REVIEW_BYTES / 2 - 1_000);
  const order: string[] = [];
  const slow = ask({ ...post, body: review('SPEC').replace('"SPEC"', deep) }).then(([status, body]) => {
    order.push('review');
    return status === 200 ? (JSON.parse(body).response.allowed as boolean) : status;
  });
  const ready = ask({ path: '/ready' }).then(([status]) => {
    order.push('ready');
    return status;
  });
  const [judged, status] = await Promise.all([slow, ready]);
  deepStrictEqual([status, order], [200, ['ready', 'review']]);
  ok(judged !== true, String(judged));
  // And whoever asks next is answered.
  strictEqual((await ask({ ...post, body: review({}) }))[0], 200);
});

test('a renewed certificate is what new connections see', async () => {
  const seen = (): Promise<string> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const options = { host: '127.0.0.1', port, path: '/ready', agent: false, rejectUnauthorized: false };
    const call = request(options, (answer) => {
      const { issuer } = (answer.socket as TLSSocket).getPeerCertificate();
      answer.resume().on('end', () => resolve(String(issuer.CN)));
    });
    call.on('error', reject).end();
    return promise;
  };
  strictEqual(await seen(), 'first');
  server.setTls(await tls('second'));
  strictEqual(await seen(), 'second');
});

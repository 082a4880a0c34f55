import { deepStrictEqual } from 'node:assert';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { signByCluster } from './certificate-signing.ts';

const REQUEST = {
  csrPem: 'CSR',
  signerName: 'example.com/s',
  usages: ['client auth'],
  expirationSeconds: 3600,
  reason: 'checked',
};
const PATH = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const signed = { metadata: { name: 'csr-1' }, status: { certificate: base64('CERT') } };

interface Script {
  /** What the approval is answered with. */
  readonly approved?: object;
  /** Lines of the watch; undefined: nothing ever comes. */
  readonly events?: readonly object[];
  readonly refuses?: boolean;
}

/** An API server's answers, and what was asked of it. */
function server({ approved = {}, events, refuses = false }: Script) {
  const asked: unknown[] = [];
  const deleted = Promise.withResolvers<string>();
  const client = {
    async postJson({ path, value }: { path: string; value: unknown }) {
      if (refuses) throw new Error('forbidden');
      asked.push([path, (value as { spec: unknown }).spec]);
      return { ...(value as object), metadata: { name: 'csr-1', resourceVersion: '6' } };
    },
    async putJson({ path, value }: { path: string; value: unknown }) {
      const { conditions } = (value as { status: { conditions: { type: string; status: string }[] } }).status;
      asked.push([path, conditions.map(({ type, status }) => `${type}=${status}`)]);
      return { ...(value as object), metadata: { name: 'csr-1', resourceVersion: '7' }, ...approved };
    },
    async getStream({ path, signal }: { path: string; signal: AbortSignal }) {
      asked.push(path.replace(/timeoutSeconds=\d+/, ''));
      const body = new PassThrough();
      signal.addEventListener('abort', () => body.destroy(new Error('aborted')));
      for (const event of events ?? []) body.write(`${JSON.stringify(event)}\n`);
      return body;
    },
    async deleteJson({ path }: { path: string }) {
      deleted.resolve(path);
      return {};
    },
  };
  return { client: client as never, asked, deleted: deleted.promise };
}

const outcome = (script: Script, timeoutMs = 5_000) => {
  const { client } = server(script);
  return signByCluster(client, REQUEST, { clock: systemClock(), timeoutMs });
};

test('a request is made, approved, waited for and taken away', async () => {
  const { client, asked, deleted } = server({
    events: [
      { type: 'MODIFIED', object: { metadata: { name: 'csr-1' } } },
      { type: 'MODIFIED', object: signed },
    ],
  });
  const answer = await signByCluster(client, REQUEST, { clock: systemClock(), timeoutMs: 5_000 });
  deepStrictEqual(answer, { ok: true, value: 'CERT' });
  deepStrictEqual(asked, [
    [
      PATH,
      {
        request: base64('CSR'),
        signerName: 'example.com/s',
        usages: ['client auth'],
        expirationSeconds: 3600,
      },
    ],
    [`${PATH}/csr-1/approval`, ['Approved=True']],
    `${PATH}?watch=1&fieldSelector=metadata.name%3Dcsr-1&resourceVersion=7&`,
  ]);
  deepStrictEqual(await deleted, `${PATH}/csr-1`);
});

const denied = { type: 'Denied', message: 'not yours' };
const FAILURES: readonly (readonly [string, Script, string])[] = [
  ['the server refuses it', { refuses: true }, 'forbidden'],
  [
    'it is denied',
    { events: [{ type: 'MODIFIED', object: { status: { conditions: [denied] } } }] },
    'the request was refused: not yours',
  ],
  [
    'the signer failed',
    { approved: { status: { conditions: [{ type: 'Failed', reason: 'Broken' }] } } },
    'the request was refused: Broken',
  ],
  ['somebody takes it away', { events: [{ type: 'DELETED', object: {} }] }, 'the request was taken away'],
  [
    'the watch breaks',
    { events: [{ type: 'ERROR', object: { code: 410 } }] },
    'the watch of the request failed',
  ],
];
for (const [title, script, expected] of FAILURES) {
  test(`no certificate: ${title}`, async () => {
    deepStrictEqual(await outcome(script), { ok: false, error: expected });
  });
}

test('a signer that answered before anybody watched, and one that never does', async () => {
  deepStrictEqual(await outcome({ approved: signed }), { ok: true, value: 'CERT' });
  deepStrictEqual(await outcome({}, 30), {
    ok: false,
    error: 'the signer example.com/s did not answer within 30 ms',
  });
});

import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { TestClock } from '#base/clock.ts';
import { generateKeyPair } from '#identity/key-pair.ts';
import { openTokenAuthenticator, type TokenAuthenticator } from './token-authenticator.ts';

const startMs = Date.UTC(2026, 0, 1, 12);
const facts = {
  workload: 'reviews-v1',
  canonicalService: 'reviews',
  canonicalRevision: 'v1',
  cluster: 'Kubernetes',
};
const subject = { namespace: 'bookinfo', serviceAccount: 'reviews', facts, instance: 'reviews-v1-0' };
let folder = '';

async function makeTokens(): Promise<{ readonly tokens: TokenAuthenticator; readonly clock: TestClock }> {
  const clock = new TestClock(startMs);
  const opened = await openTokenAuthenticator(join(folder, 'shared'), clock);
  assert.ok(opened.ok);
  return { tokens: opened.value, clock };
}

describe('the token authenticator', () => {
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'tokens-'));
  });

  after(() => rmSync(folder, { recursive: true }));

  describe('tokens', () => {
    it('say who holds them, until they end', async () => {
      const { tokens, clock } = await makeTokens();
      const token = (await tokens.issueToken(subject)).reveal();
      assert.deepEqual(await tokens.verifyToken(token), {
        ok: true,
        value: { namespace: 'bookinfo', serviceAccount: 'reviews', facts },
      });
      clock.advance(3_600_000 + 61_000);
      assert.deepEqual(await tokens.verifyToken(token), { ok: false, error: 'ERR_JWT_EXPIRED' });
    });

    it('are not accepted with another key, algorithm, audience, issuer, subject or lifetime', async () => {
      const { tokens } = await makeTokens();
      const now = startMs / 1000;
      const claims = (): SignJWT =>
        new SignJWT({})
          .setIssuer('lateen')
          .setAudience('istio-ca')
          .setSubject('system:serviceaccount:a:b')
          .setIssuedAt(now)
          .setExpirationTime(now + 60);
      const own = createPrivateKey(readFileSync(join(folder, 'shared', 'token-key.pem')));
      const strange = await generateKeyPair();
      const publicText = Buffer.from(createPublicKey(own).export({ format: 'pem', type: 'spki' }).toString());
      const header = { alg: 'ES256' };
      const good = await claims().setProtectedHeader(header).sign(own);
      const wrong = [
        await claims().setProtectedHeader(header).sign(strange.privateKey),
        await claims().setProtectedHeader({ alg: 'HS256' }).sign(publicText),
        `${Buffer.from('{"alg":"none"}').toString('base64url')}.${good.split('.')[1]}.`,
        await claims().setAudience('other').setProtectedHeader(header).sign(own),
        await claims().setIssuer('other').setProtectedHeader(header).sign(own),
        await claims().setSubject('a:b').setProtectedHeader(header).sign(own),
        await claims().setSubject('system:serviceaccount:a:b:c').setProtectedHeader(header).sign(own),
        await claims()
          .setExpirationTime(now + 90_000)
          .setProtectedHeader(header)
          .sign(own),
        await claims()
          .setNotBefore(now + 120)
          .setProtectedHeader(header)
          .sign(own),
        'x'.repeat(9000),
        '',
      ];
      assert.ok((await tokens.verifyToken(good)).ok);
      for (const token of wrong)
        assert.equal((await tokens.verifyToken(token)).ok, false, token.slice(0, 40));
    });

    it('survive a restart of the control plane, since their key does', async () => {
      const first = await makeTokens();
      const token = (await first.tokens.issueToken(subject)).reveal();
      const second = await makeTokens();
      assert.ok((await second.tokens.verifyToken(token)).ok);
    });

    it('are not made for names that cannot stand in an identity', async () => {
      const { tokens } = await makeTokens();
      await assert.rejects(tokens.issueToken({ ...subject, namespace: 'a:b' }), /bad name or lifetime/);
      await assert.rejects(tokens.issueToken(subject, 25 * 3_600_000), /bad name or lifetime/);
    });
  });
});

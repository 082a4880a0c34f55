import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { createLogger, LogLevels } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { createEngine } from '#collections/engine.ts';
import type { KeySetState, WantedKeySet } from '#model/jwt-key-set.ts';
import { KeySetController } from './key-sets.ts';

const KEYS =
  '{"keys":[{"kty":"RSA","n":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","e":"AQAB"}]}';
const SOURCE = 'http://issuer/keys';
const KEY = `uri ${SOURCE}`;
const HOUR_MS = 3_600_000;

/** A controller whose sources answer as `answers` says at the moment. */
function start(wanted: Record<string, WantedKeySet>, answers: Map<string, Result<string, string>>) {
  const engine = createEngine();
  const clock = new TestClock();
  const want = engine.source<WantedKeySet>('wanted');
  const keySets = engine.source<KeySetState>('keySets');
  for (const [key, value] of Object.entries(wanted)) want.set(key, value);
  engine.settle();
  const asked: string[] = [];
  const controller = new KeySetController({
    engine,
    wanted: want,
    keySets,
    fetchText: (url) => {
      asked.push(url);
      return Promise.resolve(answers.get(url) ?? fail('refused'));
    },
    clock,
    rng: { float: () => 0 } as never,
    log: createLogger({ clock, levels: new LogLevels(), format: 'text', sink: () => {} }),
    changed: () => engine.settle(),
    refreshMs: HOUR_MS,
  });
  const settle = async (): Promise<void> => {
    await controller.tried(1_000);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  const advance = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settle();
  };
  return { engine, want, keySets, controller, asked, settle, advance };
}

const WANTED = { [KEY]: { uri: SOURCE, issuer: 'i', timeoutMs: 1_000 } };

describe('key sets', () => {
  it('are fetched, and nothing but keys is taken from the answer', async () => {
    const answer =
      '{"keys":[{"kty":"RSA","n":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","e":"AQAB"},"x",{"kid":"no type"}],"secret":"y"}';
    const { keySets, settle } = start(WANTED, new Map([[SOURCE, ok(answer)]]));
    await settle();
    assert.deepEqual(keySets.get(KEY), { keys: KEYS, fault: '' });
  });

  const broken: readonly (readonly [string, Result<string, string>])[] = [
    ['refused', fail('connection refused')],
    ['HTML', ok('<html></html>')],
    ['empty', ok('')],
    ['a list', ok('[]')],
    ['null', ok('null')],
    ['no keys', ok('{"keys":[]}')],
    ['keys that are a text', ok('{"keys":"x"}')],
    ['a key without its modulus', ok('{"keys":[{"kty":"RSA","e":"AQAB"}]}')],
    ['a key of no type', ok('{"keys":[{"kty":"__proto__"}]}')],
  ];
  for (const [name, answer] of broken) {
    it(`that cannot be had (${name}) leave no keys and a reason (T13, T14)`, async () => {
      const { keySets, settle } = start(WANTED, new Map([[SOURCE, answer]]));
      await settle();
      assert.equal(keySets.get(KEY)?.keys, '');
      assert.notEqual(keySets.get(KEY)?.fault, '');
    });
  }

  it('are found by OpenID discovery where no URI is given', async () => {
    const answers = new Map([
      ['http://issuer/.well-known/openid-configuration', ok(`{"jwks_uri":"${SOURCE}"}`)],
      [SOURCE, ok(KEYS)],
    ]);
    const wanted = { 'issuer http://issuer/': { uri: '', issuer: 'http://issuer/', timeoutMs: 1_000 } };
    const { keySets, settle } = start(wanted, answers);
    await settle();
    assert.deepEqual(keySets.get('issuer http://issuer/'), { keys: KEYS, fault: '' });
  });

  it('stay in use while their source is away, for a week, and are tried again with back-off', async () => {
    const answers = new Map<string, Result<string, string>>([[SOURCE, ok(KEYS)]]);
    const { keySets, asked, settle, advance, controller } = start(WANTED, answers);
    await settle();
    answers.delete(SOURCE);
    await advance(HOUR_MS);
    assert.deepEqual(keySets.get(KEY), { keys: KEYS, fault: 'refused' });
    const before = asked.length;
    await advance(1_000);
    await advance(2_000);
    assert.equal(asked.length, before + 2);
    for (let hours = 0; hours < 7 * 24 + 1; hours++) await advance(HOUR_MS);
    assert.deepEqual(keySets.get(KEY), { keys: '', fault: 'refused' });
    answers.set(SOURCE, ok(KEYS));
    await advance(HOUR_MS);
    assert.deepEqual(keySets.get(KEY), { keys: KEYS, fault: '' });
    assert.equal(controller.counters.succeeded, 2);
  });

  it('survive a change of how they are fetched, and go when nobody wants them', async () => {
    const answers = new Map<string, Result<string, string>>([[SOURCE, ok(KEYS)]]);
    const { engine, want, keySets, settle, asked, advance } = start(WANTED, answers);
    await settle();
    answers.delete(SOURCE);
    want.set(KEY, { uri: SOURCE, issuer: 'i', timeoutMs: 5_000 });
    engine.settle();
    await settle();
    assert.deepEqual(keySets.get(KEY), { keys: KEYS, fault: 'refused' });
    want.delete(KEY);
    engine.settle();
    engine.settle();
    assert.equal(keySets.get(KEY), undefined);
    const before = asked.length;
    await advance(HOUR_MS);
    assert.equal(asked.length, before);
  });
});

import { deepStrictEqual } from 'node:assert';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { seededRng } from '#base/rng.ts';
import { FetchedKeys } from './issuer-keys.ts';

const DAY_MS = 86_400_000;
const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
const KEYS = JSON.stringify({ keys: [jwk] });

function start(rule: { jwksUri?: string; jwks?: string }, answers: Map<string, Result<string, string>>) {
  const clock = new TestClock();
  const asked: string[] = [];
  const keys = new FetchedKeys({
    rule: { issuer: 'https://i/', jwksUri: '', jwks: '', ...rule },
    fetchText: (url) => {
      asked.push(url);
      return Promise.resolve(answers.get(url) ?? fail('refused'));
    },
    clock,
    rng: seededRng(1),
    log: silentLogger(),
  });
  const advance = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await keys.renew();
  };
  return { keys, asked, advance };
}

test('keys are found by the discovery document, with nothing in them but keys', async () => {
  const answers = new Map([
    ['https://i/.well-known/openid-configuration', ok('{"jwks_uri":"https://k"}')],
    ['https://k', ok(JSON.stringify({ keys: [jwk, 'x'], more: 1 }))],
  ]);
  const rig = start({}, answers);
  await rig.keys.renew();
  deepStrictEqual(rig.keys.current(), KEYS);
  rig.keys[Symbol.dispose]();
});

test('tokens with unknown keys cause one fetch in ten seconds; a source that is away leaves the last good keys', async () => {
  const answers = new Map<string, Result<string, string>>([['https://k', ok(KEYS)]]);
  const { keys, asked, advance } = start({ jwksUri: 'https://k' }, answers);
  await keys.renew();
  await Promise.all([keys.renew(), keys.renew(), keys.renew()]);
  deepStrictEqual(asked.length, 1);
  await advance(10_000);
  deepStrictEqual(asked.length, 2);
  answers.set('https://k', fail('away'));
  await advance(DAY_MS);
  deepStrictEqual(keys.current(), KEYS);
  await advance(7 * DAY_MS);
  deepStrictEqual(keys.current(), '');
  answers.set('https://k', ok(KEYS));
  await advance(DAY_MS);
  deepStrictEqual(keys.current(), KEYS);
  keys[Symbol.dispose]();
});

test('keys in the rule are asked of nobody', () => {
  const { keys, asked } = start({ jwks: KEYS }, new Map());
  deepStrictEqual([keys.current(), asked], [KEYS, []]);
  keys[Symbol.dispose]();
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { createEngine } from '#collections/engine.ts';
import type { ResolvedName } from '#model/resolved-name.ts';
import { GatewayNameController, type NameAnswer } from './gateway-names.ts';

const NAME = 'door.example.com';
const MINUTE_MS = 60_000;

/** A controller for one name whose DNS answers as `answers` says at the moment. */
function start(first: Result<NameAnswer, string>) {
  const engine = createEngine();
  const clock = new TestClock();
  const wanted = engine.source<string>('wanted');
  const resolved = engine.source<ResolvedName>('resolved');
  wanted.set(NAME, NAME);
  engine.settle();
  const dns = { answer: first, asked: 0 };
  const controller = new GatewayNameController({
    engine,
    wanted,
    resolved,
    lookUp: () => {
      dns.asked++;
      return Promise.resolve(dns.answer);
    },
    clock,
    log: silentLogger(),
    changed: () => engine.settle(),
  });
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  const advance = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await turns();
  };
  const addresses = () => resolved.get(NAME)?.addresses;
  return { engine, wanted, controller, dns, turns, advance, addresses };
}

const answer = (ttlMs: number, ...addresses: readonly string[]): Result<NameAnswer, string> =>
  ok({ addresses, ttlMs });

describe('names of network gateways', () => {
  it('are looked up, sorted, and freed of what is no address', async () => {
    const { addresses, turns } = start(answer(1, '192.0.2.9', '192.0.2.10', '192.0.2.9', 'x'));
    await turns();
    assert.deepEqual(addresses(), ['192.0.2.10', '192.0.2.9']);
  });

  const times: readonly (readonly [string, number, number])[] = [
    ['as DNS says', 5 * MINUTE_MS, 5 * MINUTE_MS],
    ['half a minute later at the earliest', 1_000, 30_000],
    ['an hour later at the latest', 24 * 60 * MINUTE_MS, 60 * MINUTE_MS],
  ];
  for (const [what, ttlMs, expectedMs] of times) {
    it(`are looked up again ${what}`, async () => {
      const { dns, advance, turns } = start(answer(ttlMs, '192.0.2.1'));
      await turns();
      await advance(expectedMs - 1);
      assert.equal(dns.asked, 1);
      await advance(1);
      assert.equal(dns.asked, 2);
    });
  }

  it('keep what is known while nobody answers, and lose it when DNS says that there is nothing', async () => {
    const { dns, advance, turns, addresses } = start(answer(MINUTE_MS, '192.0.2.1'));
    await turns();
    dns.answer = fail('timeout');
    await advance(MINUTE_MS);
    assert.deepEqual(addresses(), ['192.0.2.1']);
    dns.answer = answer(0);
    await advance(30_000);
    assert.equal(dns.asked, 3);
    assert.deepEqual(addresses(), []);
  });

  it('that nobody wants any more are forgotten and not asked for', async () => {
    const { engine, wanted, dns, advance, turns, addresses } = start(answer(MINUTE_MS, '192.0.2.1'));
    await turns();
    wanted.delete(NAME);
    engine.settle();
    engine.settle();
    await advance(MINUTE_MS);
    assert.equal(addresses(), undefined);
    assert.equal(dns.asked, 1);
  });

  it('have been tried after the first answer, whatever it was', async () => {
    const { controller } = start(fail('timeout'));
    await controller.tried(1_000);
  });
});

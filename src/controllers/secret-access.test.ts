import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { createEngine } from '#collections/engine.ts';
import { EVERYBODY, type SecretAccess } from '#model/secret-access.ts';
import { type SecretAsker, SecretAccessController } from './secret-access.ts';

const GATEWAY = { namespace: 'istio-system', serviceAccount: 'gateway' };
const SIDECAR = { namespace: 'shop', serviceAccount: 'default' };

/** A controller whose reviewer answers as `answers` says at the moment; no entry: it cannot be asked. */
function start(answers: Map<string, boolean>) {
  const engine = createEngine();
  const clock = new TestClock();
  const wanted = engine.source<SecretAsker>('wanted');
  const access = engine.source<SecretAccess>('access');
  access.set(EVERYBODY, { isAllowed: true });
  engine.settle();
  const asked: string[] = [];
  const controller = new SecretAccessController({
    engine,
    wanted,
    access,
    review: async ({ namespace, serviceAccount }) => {
      const key = `${namespace}/${serviceAccount}`;
      asked.push(key);
      const answer = answers.get(key);
      if (answer === undefined) throw new Error('away');
      return answer;
    },
    clock,
    log: silentLogger(),
    changed: () => queueMicrotask(() => engine.settle()),
  });
  const settle = async (): Promise<void> => {
    engine.settle();
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  };
  const advance = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settle();
  };
  const state = (): Record<string, boolean> =>
    Object.fromEntries([...access.all()].map(([key, { isAllowed }]) => [key, isAllowed]));
  return { wanted, controller, clock, asked, settle, advance, state };
}

test('each service account is asked about once, and again when the answer is old', async () => {
  const answers = new Map([
    ['istio-system/gateway', true],
    ['shop/default', false],
  ]);
  const { wanted, asked, settle, advance, state, controller, clock } = start(answers);
  await settle();
  deepStrictEqual(state(), {});
  wanted.set('one', GATEWAY);
  wanted.set('two', GATEWAY);
  wanted.set('three', SIDECAR);
  await settle();
  deepStrictEqual(state(), { 'istio-system/gateway': true, 'shop/default': false });
  deepStrictEqual(asked.splice(0), ['istio-system/gateway', 'shop/default']);
  answers.set('shop/default', true);
  await advance(60_000);
  deepStrictEqual([asked.splice(0), state()['shop/default']], [['shop/default'], true]);
  await advance(240_000);
  deepStrictEqual(asked.splice(0), ['istio-system/gateway']);
  controller[Symbol.dispose]();
  deepStrictEqual(clock.waitingCount, 0);
});

test('while nobody can be asked the last answer stays, and without one there is none (T22)', async () => {
  const answers = new Map([['istio-system/gateway', true]]);
  const { wanted, settle, advance, state, controller } = start(answers);
  wanted.set('one', GATEWAY);
  wanted.set('two', SIDECAR);
  await settle();
  answers.clear();
  await advance(300_000);
  deepStrictEqual(state(), { 'istio-system/gateway': true });
  answers.set('istio-system/gateway', false).set('shop/default', true);
  await advance(5_000);
  deepStrictEqual(state(), { 'istio-system/gateway': false, 'shop/default': true });
  controller[Symbol.dispose]();
});

test('answers go with those who asked', async () => {
  const { wanted, settle, state, controller, clock } = start(new Map([['istio-system/gateway', true]]));
  wanted.set('one', GATEWAY);
  await settle();
  wanted.delete('one');
  await settle();
  deepStrictEqual([state(), clock.waitingCount], [{}, 0]);
  controller[Symbol.dispose]();
});

import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { seededRng } from '#base/rng.ts';
import { WorkQueue } from './work-queue.ts';

/** A queue whose work ends when the test says so. */
function rig(workers = 2) {
  const clock = new TestClock();
  const running: { readonly key: string; end(error?: Error): void }[] = [];
  const failures: string[] = [];
  const queue = new WorkQueue({
    work: (key) =>
      new Promise((resolve, reject) => {
        running.push({ key, end: (error) => (error === undefined ? resolve() : reject(error)) });
      }),
    failed: (key) => failures.push(key),
    clock,
    rng: seededRng(1),
    workers,
  });
  const end = async (key: string, error?: Error): Promise<void> => {
    const at = running.findIndex((one) => one.key === key);
    running.splice(at, 1)[0]?.end(error);
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  };
  return { clock, queue, failures, end, keys: () => running.map(({ key }) => key) };
}

test('a few keys are worked on at once, each by one at a time', async () => {
  const { queue, keys, end } = rig();
  for (const key of ['a', 'a', 'b', 'c']) queue.add(key);
  deepStrictEqual(keys(), ['a', 'b']);
  queue.add('a');
  await end('b');
  deepStrictEqual(keys(), ['a', 'c']);
  await end('a');
  deepStrictEqual(keys(), ['c', 'a']);
});

test('what fails is tried again after a while, and others are not held up', async () => {
  const { queue, keys, end, clock, failures } = rig();
  queue.add('a');
  await end('a', new Error('no'));
  queue.add('b');
  deepStrictEqual([keys(), failures], [['b'], ['a']]);
  await end('b');
  clock.advance(1_000);
  deepStrictEqual(keys(), ['a']);
});

test('idle comes when nothing is due but what has failed', async () => {
  const { queue, end } = rig();
  queue.add('a');
  queue.add('b');
  let isIdle = false;
  void queue.idle().then(() => {
    isIdle = true;
  });
  await end('a', new Error('no'));
  strictEqual(isIdle, false);
  await end('b');
  strictEqual(isIdle, true);
});

test('what is cleared is not begun, and after the end nothing is', async () => {
  const { queue, keys, end, clock } = rig(1);
  queue.add('a');
  queue.add('b');
  queue.clear();
  await end('a', new Error('no'));
  deepStrictEqual(keys(), []);
  queue[Symbol.dispose]();
  clock.advance(60_000);
  queue.add('c');
  deepStrictEqual([keys(), clock.waitingCount], [[], 0]);
});

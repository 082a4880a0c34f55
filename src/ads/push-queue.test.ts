/** Debounce and slicing, on a still clock. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, TestClock } from '#base/clock.ts';
import { DEFAULT_PUSH_QUEUE, PushQueue } from './push-queue.ts';

function rig(clock: TestClock = new TestClock()) {
  const pushed: string[] = [];
  const queue = new PushQueue(clock, DEFAULT_PUSH_QUEUE, (id) => pushed.push(`${clock.nowMs()}:${id}`));
  return { clock, pushed, queue };
}

test('an isolated change leaves at once', () => {
  const { clock, pushed, queue } = rig();
  queue.enqueue(['a', 'b']);
  clock.advance(0);
  clock.advance(1_000);
  queue.enqueue(['c']);
  clock.advance(0);
  assert.deepStrictEqual(pushed, ['0:a', '0:b', '1000:c']);
});

test('a storm goes out in batches that grow to the cap, each proxy once per batch', () => {
  const { clock, pushed, queue } = rig();
  for (let ms = 0; ms < 1_000; ms++) {
    queue.enqueue(['a']);
    clock.advance(1);
  }
  const times = pushed.map((entry) => Number(entry.split(':')[0]));
  const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
  assert.deepStrictEqual(gaps.slice(0, 6), [5, 10, 20, 40, 80, 100]);
  assert.ok(gaps.slice(5).every((gap) => gap === 100));
});

test('after a quiet time a change counts as isolated again', () => {
  const { clock, pushed, queue } = rig();
  for (let ms = 0; ms < 200; ms++) {
    queue.enqueue(['a']);
    clock.advance(1);
  }
  clock.advance(500);
  pushed.length = 0;
  queue.enqueue(['a']);
  clock.advance(0);
  assert.deepStrictEqual(pushed, ['700:a']);
});

test('a long batch is worked off in slices, and everybody gets a turn', () => {
  const inner = new TestClock();
  let spentMs = 0;
  const clock: Clock = {
    nowMs: () => inner.nowMs(),
    monotonicMs: () => inner.monotonicMs() + spentMs,
    schedule: (delayMs, run) => inner.schedule(delayMs, run),
  };
  const turns: number[] = [];
  let turn = 0;
  const queue = new PushQueue(clock, DEFAULT_PUSH_QUEUE, () => {
    spentMs += 3;
    turns.push(turn);
  });
  queue.enqueue(Array.from({ length: 10 }, (_, i) => `p${i}`));
  for (; turn < 10 && queue.size > 0; turn++) inner.advance(0);
  assert.equal(turns.length, 10);
  assert.ok(inner.waitingCount === 0);
});

test('nothing runs after disposal', () => {
  const { clock, pushed, queue } = rig();
  queue.enqueue(['a']);
  queue[Symbol.dispose]();
  clock.advance(1_000);
  assert.deepStrictEqual(pushed, []);
  assert.equal(clock.waitingCount, 0);
});

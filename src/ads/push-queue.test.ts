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

test('a storm is gathered: the next batch waits as long as the last one took, within bounds', () => {
  for (const [workMs, gapMs] of [
    [0, 5],
    [40, 80],
    [400, 500],
  ] as const) {
    const inner = new TestClock();
    let spentMs = 0;
    const clock: Clock = {
      nowMs: () => inner.nowMs(),
      monotonicMs: () => inner.monotonicMs() + spentMs,
      schedule: (delayMs, run) => inner.schedule(delayMs, run),
    };
    const starts: number[] = [];
    const queue = new PushQueue(clock, DEFAULT_PUSH_QUEUE, () => {
      starts.push(clock.monotonicMs());
      spentMs += workMs;
    });
    for (let ms = 0; ms < 600; ms++) {
      queue.enqueue(['a']);
      inner.advance(1);
    }
    const gaps = new Set(starts.slice(1).map((start, i) => start - (starts[i] ?? 0)));
    assert.deepStrictEqual([...gaps], [gapMs]);
  }
});

test('changes that come apart from one another leave at once, however many', () => {
  const { clock, pushed, queue } = rig();
  for (let i = 0; i < 5; i++) {
    queue.enqueue(['a']);
    clock.advance(20);
  }
  assert.deepStrictEqual(pushed, ['0:a', '20:a', '40:a', '60:a', '80:a']);
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

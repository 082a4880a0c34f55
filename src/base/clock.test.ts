/** Timers in order, without waiting. */
import { deepStrictEqual, ok } from 'node:assert';
import { mock, test } from 'node:test';
import { systemClock, TestClock } from './clock.ts';

test('a test clock runs what falls due, in order of time and then of scheduling', () => {
  const clock = new TestClock(1000);
  const log: string[] = [];
  const note = (text: string) => () => log.push(`${clock.nowMs()} ${text}`);
  clock.schedule(20, note('late'));
  clock.schedule(10, note('early'));
  clock.schedule(10, note('early too'));
  clock.schedule(10, note('never'))[Symbol.dispose]();
  clock.schedule(5, () => clock.schedule(5, note('nested')));
  clock.schedule(500, note('not yet'));
  clock.advance(100);
  deepStrictEqual(log, ['1010 early', '1010 early too', '1010 nested', '1020 late']);
  deepStrictEqual([clock.nowMs(), clock.monotonicMs(), clock.waitingCount], [1100, 100, 1]);
});

test('the system clock chains timers for delays that Node cannot hold, and disposes of them', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const clock = systemClock();
    const log: string[] = [];
    const delayMs = 60 * 24 * 3600 * 1000;
    const limitMs = 2 ** 31 - 1;
    clock.schedule(delayMs, () => log.push('run'));
    const cancelled = clock.schedule(delayMs, () => log.push('cancelled'));
    mock.timers.tick(limitMs);
    cancelled[Symbol.dispose]();
    mock.timers.tick(limitMs);
    mock.timers.tick(delayMs - 2 * limitMs - 1);
    deepStrictEqual(log, []);
    mock.timers.tick(1);
    deepStrictEqual(log, ['run']);
  } finally {
    mock.timers.reset();
  }
});

test('the system clock waits ten years, and ninety days, to the millisecond', () => {
  const dayMs = 24 * 3_600_000;
  const limitMs = 2 ** 31 - 1;
  for (const days of [90, 3650]) {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      let isRun = false;
      systemClock().schedule(days * dayMs, () => (isRun = true));
      const parts = Math.floor((days * dayMs) / limitMs);
      for (let part = 0; part < parts; part++) mock.timers.tick(limitMs);
      mock.timers.tick(days * dayMs - parts * limitMs - 1);
      deepStrictEqual(isRun, false);
      mock.timers.tick(1);
      deepStrictEqual(isRun, true);
    } finally {
      mock.timers.reset();
    }
  }
});

test('the system clock tells the time', () => {
  const clock = systemClock();
  const before = clock.monotonicMs();
  ok(Math.abs(clock.nowMs() - Date.now()) < 1000);
  ok(clock.monotonicMs() >= before);
});

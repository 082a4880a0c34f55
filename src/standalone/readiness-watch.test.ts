import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { ReadinessWatch } from './readiness-watch.ts';

/** Lets pending promises run. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('readiness comes with the first good answer and goes after several bad ones in a row', async () => {
  const clock = new TestClock();
  const answers = ['down', '', 'down', '', 'down', 'down'];
  const changes: boolean[] = [];
  const watch = new ReadinessWatch({
    check: async () => answers.shift() ?? 'down',
    periodMs: 1000,
    failureThreshold: 2,
    clock,
    onChange: (ready) => changes.push(ready),
  });
  clock.advance(0);
  await turn();
  strictEqual(watch.reason, 'down');
  clock.advance(50);
  await turn();
  deepStrictEqual(changes, [true]);
  for (const expected of [[true], [true], [true], [true, false]]) {
    clock.advance(1000);
    await turn();
    deepStrictEqual(changes, expected);
  }
  watch[Symbol.dispose]();
  strictEqual(clock.waitingCount, 0);
});

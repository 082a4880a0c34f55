import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { seededRng } from '#base/rng.ts';
import { KeptProcess, printExit } from './kept-process.ts';
import { LogFile } from './log-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'lateen-kept-'));
after(() => rmSync(folder, { recursive: true }));

test('a program that falls is started again at once, then ever later, and is left alone after a stop', async () => {
  const clock = new TestClock();
  const delays: number[] = [];
  let crashed = Promise.withResolvers<void>();
  const pidFile = join(folder, 'app.pid');
  const kept = new KeptProcess({
    child: () => ({
      command: ['/bin/sh', '-c', 'exit 3'],
      cwd: folder,
      env: {},
      log: new LogFile(join(folder, 'app.log')),
    }),
    pidFile,
    clock,
    rng: seededRng(1),
    onStart: () => {},
    onCrash: (_exit, restartInMs) => {
      delays.push(restartInMs);
      crashed.resolve();
    },
  });
  kept.start();
  ok(existsSync(pidFile));
  for (let i = 0; i < 3; i++) {
    await crashed.promise;
    crashed = Promise.withResolvers<void>();
    clock.advance(delays.at(-1) ?? 0);
  }
  await crashed.promise;
  strictEqual(delays[0], 0);
  ok(delays.every((delay, index) => index < 2 || delay > 0));
  strictEqual(kept.crashes, 4);
  await kept.stop(100);
  strictEqual(clock.waitingCount, 0);
  ok(!existsSync(pidFile));
});

test('ends of programs are told in words', () => {
  deepStrictEqual(
    [
      printExit({ code: 3, signal: null }),
      printExit({ code: null, signal: 'SIGKILL' }),
      printExit({ code: null, signal: null, error: 'spawn x ENOENT' }),
    ],
    ['exited with code 3', 'was ended by SIGKILL', 'could not be started: spawn x ENOENT'],
  );
});

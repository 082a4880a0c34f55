import { match, ok, strictEqual } from 'node:assert/strict';
import { closeSync, existsSync, mkdtempSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isAlive } from './process-table.ts';
import { startChild } from './child.ts';
import { LogFile } from './log-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'lateen-child-'));
after(() => rmSync(folder, { recursive: true }));

function start(script: string): { child: ReturnType<typeof startChild>; log: () => string; path: string } {
  const path = join(folder, `${Math.random()}.log`);
  const command = ['/bin/sh', '-c', script];
  const child = startChild({ command, cwd: folder, env: { PATH: '/usr/bin:/bin' }, log: new LogFile(path) });
  return { child, path, log: () => readFileSync(path, 'utf8') };
}

test('a child writes to its log and tells its exit code', async () => {
  const { child, log } = start('echo out; echo err >&2; exit 3');
  strictEqual((await child.exited).code, 3);
  match(log(), /out/);
});

test('a child that ignores SIGTERM is killed after its grace, with its own children', async () => {
  const { child, log, path } = start('trap "" TERM; sleep 60 & echo started $!; wait; wait');
  while (!existsSync(path) || !log().includes('started')) await new Promise(setImmediate);
  const grandchild = Number(/started (\d+)/.exec(log())?.[1]);
  const exit = await child.stop(50);
  strictEqual(exit.signal, 'SIGKILL');
  const deadline = Date.now() + 2000;
  while (isAlive(grandchild) && Date.now() < deadline) await new Promise(setImmediate);
  ok(!isAlive(grandchild));
});

test('a command that does not exist is an exit with an error, not an exception', async () => {
  const child = startChild({
    command: ['/does/not/exist'],
    cwd: folder,
    env: {},
    log: new LogFile(join(folder, 'none.log')),
  });
  match((await child.exited).error ?? '', /ENOENT/);
});

test('a log file that grew too large moves aside, also while a child goes on writing', () => {
  const path = join(folder, 'small.log');
  const log = new LogFile(path, 100);
  const child = log.open();
  writeSync(child, 'x'.repeat(150));
  log.trim();
  writeSync(child, 'after\n');
  strictEqual(readFileSync(path, 'utf8'), 'after\n');
  strictEqual(readFileSync(`${path}.1`, 'utf8').length, 150);
  closeSync(child);
});

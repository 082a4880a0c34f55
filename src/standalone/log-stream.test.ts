import { strictEqual } from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { followLog, readTail } from './log-stream.ts';

const folder = mkdtempSync(join(tmpdir(), 'lateen-log-'));
after(() => rmSync(folder, { recursive: true }));

const tails: readonly (readonly [string, string, number, string])[] = [
  ['all lines', 'a\nb\nc\n', -1, 'a\nb\nc\n'],
  ['the last two', 'a\nb\nc\n', 2, 'b\nc\n'],
  ['none', 'a\nb\n', 0, ''],
  ['more than there are', 'a\n', 5, 'a\n'],
  ['a last line that is not whole', 'a\nb', 1, 'b'],
  ['an empty file', '', 3, ''],
];
for (const [name, content, lines, expected] of tails) {
  test(`the tail of a log: ${name}`, async () => {
    const path = join(folder, 'tail.log');
    writeFileSync(path, content);
    strictEqual((await readTail(path, lines)).text, expected);
  });
}

test('following a log gives what is added, also after it was emptied', async () => {
  const path = join(folder, 'follow.log');
  writeFileSync(path, 'old\n');
  const end = new AbortController();
  let seen = '';
  let next = Promise.withResolvers<void>();
  const following = followLog(path, 4, systemClock(), end.signal, (chunk) => {
    seen += chunk.toString();
    next.resolve();
  });
  appendFileSync(path, 'new line\n');
  await next.promise;
  next = Promise.withResolvers();
  truncateSync(path);
  appendFileSync(path, 'again\n');
  await next.promise;
  strictEqual(seen, 'new line\nagain\n');
  end.abort();
  await following;
});

import { match, ok, strictEqual, throws } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openOwnedFolder } from './owned-folder.ts';
import { startTicks } from './process-table.ts';
import { FolderInUse, openStateFolder } from './state-folder.ts';
import { UserFolder, userFolderPath } from './user-folder.ts';

const uid = process.getuid?.() ?? 0;
const folder = mkdtempSync(join(tmpdir(), 'lateen-state-'));
after(() => rmSync(folder, { recursive: true }));

function freshFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

test('a folder has one owner, and is free again after it', () => {
  const dir = freshFolder('one');
  const state = openStateFolder(dir, uid);
  strictEqual(statSync(join(dir, '.lateen')).mode & 0o777, 0o700);
  throws(
    () => openStateFolder(dir, uid),
    (error) => error instanceof FolderInUse && error.ownerPid === process.pid,
  );
  state[Symbol.dispose]();
  ok(!existsSync(state.run));
  openStateFolder(dir, uid)[Symbol.dispose]();
});

test('the lock of a process that is gone, or whose pid another has now, is taken over', () => {
  const dir = freshFolder('stale');
  mkdirSync(join(dir, '.lateen'));
  for (const lock of ['999999999 5', `${process.pid} 1`, '', 'garbage']) {
    writeFileSync(join(dir, '.lateen', 'lock'), lock);
    openStateFolder(dir, uid)[Symbol.dispose]();
  }
});

test('processes that a killed owner left are ended', async () => {
  const dir = freshFolder('left');
  mkdirSync(join(dir, '.lateen', 'run', 'default'), { recursive: true });
  const child = spawn('/bin/sleep', ['60'], { detached: true, stdio: 'ignore' });
  const exited = once(child, 'exit');
  const pid = child.pid ?? 0;
  writeFileSync(join(dir, '.lateen', 'run', 'default', 'app.pid'), `${pid} ${startTicks(pid)}`);
  const state = openStateFolder(dir, uid);
  strictEqual(state.leftOvers, 1);
  strictEqual((await exited)[1], 'SIGKILL');
  state[Symbol.dispose]();
});

test('a link in place of a folder is refused', () => {
  const dir = freshFolder('links');
  symlinkSync(dir, join(folder, 'link'));
  throws(() => openOwnedFolder(join(folder, 'link'), uid), /not a folder/);
});

test('running meshes are found by other commands, dead ones are forgotten', () => {
  const users = new UserFolder(join(folder, 'users'), uid);
  const entry = { dir: '/b', pid: process.pid, socket: '/b/control.sock' };
  const known = users.register(entry);
  users.register({ dir: '/a', pid: 999_999_999, socket: '/a/control.sock' });
  strictEqual(JSON.stringify(users.meshes()), JSON.stringify([entry]));
  known[Symbol.dispose]();
  strictEqual(users.meshes().length, 0);
});

test('a socket path that is too long for the kernel gets a short one', () => {
  const users = new UserFolder(join(folder, 'users'), uid);
  strictEqual(users.socketPath('/short/control.sock'), '/short/control.sock');
  const long = `/${'x'.repeat(120)}/control.sock`;
  match(users.socketPath(long), /\/users\/[0-9a-f]{16}\.sock$/);
});

test('the folder of a user lies in the runtime directory, else in /tmp under its id', () => {
  strictEqual(userFolderPath('/run/user/7', '/tmp', 7), '/run/user/7/lateen');
  strictEqual(userFolderPath('', '/tmp', 7), '/tmp/lateen-7');
});

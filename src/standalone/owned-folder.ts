/**
 * Folders that only this user may read. A folder in a place where others may write (/tmp) is believed only when it is a
 * real folder, ours and closed to others: anything else there may be somebody's trap.
 */
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';

/** Makes the folder with mode 0700, or checks that the one in place is ours. Errors: throws with what is wrong. */
export function openOwnedFolder(path: string, uid: number): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const facts = lstatSync(path);
  if (!facts.isDirectory()) throw new Error(`${path} is not a folder`);
  if (facts.uid !== uid) throw new Error(`${path} belongs to another user`);
  if ((facts.mode & 0o077) !== 0) chmodSync(path, 0o700);
}

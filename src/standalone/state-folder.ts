/**
 * The state of a mesh: `DIR/.lateen` (0700), with one owner at a time. Logs and the control plane's roots stay from one run to the
 * next; sockets, tokens and pids go with the run. What a killed owner left running is ended before anything new starts.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { lockFolder } from './folder-lock.ts';
import { killLeftOvers } from './left-overs.ts';
import { openOwnedFolder } from './owned-folder.ts';

export const STATE_FOLDER_NAME = '.lateen';

/** A mesh runs from this folder already. */
export class FolderInUse extends Error {
  readonly ownerPid: number;
  constructor(dir: string, ownerPid: number) {
    super(`a mesh is already running from ${dir} (pid ${ownerPid}); stop it with: lateen down --dir ${dir}`);
    this.ownerPid = ownerPid;
  }
}

/** The parts of an owned state folder. Disposing removes what belongs to the run and gives the folder free. */
export interface StateFolder extends Disposable {
  readonly controlPlane: string;
  readonly run: string;
  readonly logs: string;
  readonly socket: string;
  /** How many processes of a killed owner were ended. */
  readonly leftOvers: number;
}

/** Takes the folder. Errors: throws FolderInUse, or what the system says. */
export function openStateFolder(dir: string, uid: number): StateFolder {
  const path = join(dir, STATE_FOLDER_NAME);
  openOwnedFolder(path, uid);
  const lock = lockFolder(join(path, 'lock'));
  if ('ownerPid' in lock) throw new FolderInUse(dir, lock.ownerPid);
  const run = join(path, 'run');
  try {
    const leftOvers = killLeftOvers(run);
    rmSync(run, { recursive: true, force: true });
    openOwnedFolder(run, uid);
    return {
      controlPlane: join(path, 'control-plane'),
      run,
      logs: join(path, 'logs'),
      socket: join(path, 'control.sock'),
      leftOvers,
      [Symbol.dispose](): void {
        rmSync(run, { recursive: true, force: true });
        lock[Symbol.dispose]();
      },
    };
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/**
 * The user's folder for running meshes: who runs where (so that a command in a second terminal finds its mesh), and short
 * names for control sockets. It lies in XDG_RUNTIME_DIR, or in /tmp under the user's id; entries of meshes that are gone
 * are left out and removed.
 */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashHex } from '#base/hash.ts';
import { openOwnedFolder } from './owned-folder.ts';
import { isAlive } from './process-table.ts';

/** One running mesh. */
export interface MeshEntry {
  /** The folder that `lateen up` was given, absolute. */
  readonly dir: string;
  readonly pid: number;
  /** Path of the control socket. */
  readonly socket: string;
}

/** sockaddr_un holds 108 bytes with the closing zero. */
const MAX_SOCKET_PATH_BYTES = 107;

/** Where the user's folder lies. */
export function userFolderPath(runtimeDir: string | undefined, tempDir: string, uid: number): string {
  return runtimeDir === undefined || runtimeDir === ''
    ? join(tempDir, `lateen-${uid}`)
    : join(runtimeDir, 'lateen');
}

export class UserFolder {
  readonly #path: string;

  /** Errors: throws when the folder is not this user's own. */
  constructor(path: string, uid: number) {
    openOwnedFolder(path, uid);
    this.#path = path;
  }

  /** `preferred` when it is short enough for a socket, else a short name here. */
  socketPath(preferred: string): string {
    if (Buffer.byteLength(preferred) <= MAX_SOCKET_PATH_BYTES) return preferred;
    return join(this.#path, `${shortName(preferred)}.sock`);
  }

  /** Makes a mesh known until it is disposed of. */
  register(entry: MeshEntry): Disposable {
    const file = join(this.#path, `${shortName(entry.dir)}.json`);
    writeFileSync(`${file}.${entry.pid}`, JSON.stringify(entry), { mode: 0o600 });
    renameSync(`${file}.${entry.pid}`, file);
    return {
      [Symbol.dispose]: () => {
        if (readEntry(file)?.pid === entry.pid) rmSync(file, { force: true });
      },
    };
  }

  /** The running meshes of this user, by folder. */
  meshes(): readonly MeshEntry[] {
    const files = readdirSync(this.#path).filter((name) => name.endsWith('.json'));
    const entries = files.flatMap((name) => {
      const file = join(this.#path, name);
      const entry = readEntry(file);
      if (entry !== undefined && isAlive(entry.pid)) return [entry];
      rmSync(file, { force: true });
      return [];
    });
    return entries.sort((a, b) => (a.dir < b.dir ? -1 : 1));
  }
}

function shortName(text: string): string {
  return hashHex(text).slice(0, 16);
}

function readEntry(file: string): MeshEntry | undefined {
  try {
    const { dir, pid, socket } = JSON.parse(readFileSync(file, 'utf8')) as Partial<MeshEntry>;
    if (typeof dir !== 'string' || typeof pid !== 'number' || typeof socket !== 'string') return undefined;
    return { dir, pid, socket };
  } catch {
    return undefined;
  }
}

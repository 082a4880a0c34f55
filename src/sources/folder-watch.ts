/**
 * Watches a folder tree: one inotify watch per folder, which tells of every child (new, changed, renamed, deleted) and,
 * unlike a recursive watch, misses nothing in folders that have just appeared. Only says which paths to look at again.
 * Bounded: folders, depth, and loops of symbolic links.
 */
import { type FSWatcher, readdirSync, realpathSync, statSync, watch } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import type { Diagnostic } from '#base/diagnostic.ts';
import { makeDiagnostic } from '#base/diagnostic-catalog.ts';

const MAX_FOLDERS = 2000;
const MAX_DEPTH = 32;

/** What the watch reports. */
export interface FolderEvents {
  /** A path to look at: it may be a file or a folder, new, changed or gone. */
  onTouched(path: string): void;
  /** A folder that cannot be watched, or is not followed. */
  onProblem(path: string, diagnostic: Diagnostic): void;
}

/** True for the files that hold objects: *.yaml, *.yml, *.json, but no hidden files and no editors' leftovers. */
export function isObjectFile(name: string): boolean {
  return /^[^.#~].*\.(?:ya?ml|json)$/i.test(name);
}

/** True for folders that are looked into. */
export function isOpenFolder(name: string): boolean {
  return !name.startsWith('.') && name !== 'node_modules';
}

interface WatchedFolder {
  /** undefined when the system refuses a watch: then only rescans find changes. */
  readonly watcher: FSWatcher | undefined;
  /** Tells a folder from another one that took its name; '' once the watch reported its end. */
  identity: string;
}

/** The watched folders of a tree. */
export class FolderWatch implements Disposable {
  readonly #events: FolderEvents;
  readonly #watched = new Map<string, WatchedFolder>();
  readonly #root: string;

  constructor(root: string, events: FolderEvents) {
    this.#root = root;
    this.#events = events;
  }

  /** Paths of all folders that are watched or at least known. */
  get folders(): Iterable<string> {
    return this.#watched.keys();
  }

  has(folder: string): boolean {
    return this.#watched.has(folder);
  }

  /** True while the watched folder is the one that has this name now. */
  isCurrent(folder: string): boolean {
    return this.#watched.get(folder)?.identity === identityOf(folder);
  }

  /** Watches a folder and all below it, once; what lies in them is reported as touched. */
  add(folder: string): void {
    const identity = identityOf(folder);
    if (identity === undefined || this.has(folder) || !this.#mayFollow(folder)) return;
    this.#watched.set(folder, { watcher: this.#open(folder), identity });
    for (const path of listFolder(folder)) {
      if (identityOf(path) === undefined) this.#events.onTouched(path);
      else this.add(path);
    }
  }

  /** Forgets a folder and all below it. */
  remove(folder: string): void {
    for (const [path, { watcher }] of this.#watched) {
      if (path !== folder && !path.startsWith(folder + sep)) continue;
      watcher?.close();
      this.#watched.delete(path);
    }
  }

  [Symbol.dispose](): void {
    for (const { watcher } of this.#watched.values()) watcher?.close();
    this.#watched.clear();
  }

  #open(folder: string): FSWatcher | undefined {
    try {
      const watcher = watch(folder, { persistent: true }, (_event, name) => this.#onEvent(folder, name));
      watcher.on('error', () => this.#events.onTouched(folder));
      return watcher;
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      this.#events.onProblem(folder, makeDiagnostic('LTN1210', {}, { path: folder, problem }));
      return undefined;
    }
  }

  #onEvent(folder: string, name: string | null): void {
    const watched = this.#watched.get(folder);
    if (name === basename(folder) && watched !== undefined) {
      // The watch of a folder that was deleted ends with the folder's own name.
      watched.identity = '';
      this.#events.onTouched(folder);
    }
    if (name === null || name.startsWith('..')) {
      // Kubernetes swaps the files of a volume behind a hidden link: look at all of them.
      for (const path of listFolder(folder)) this.#events.onTouched(path);
    } else if (isObjectFile(name) || isOpenFolder(name)) this.#events.onTouched(join(folder, name));
  }

  /** Refuses folders that are too deep, too many, or contain themselves by a link. */
  #mayFollow(folder: string): boolean {
    if (this.#watched.size >= MAX_FOLDERS || folder.slice(this.#root.length).split(sep).length > MAX_DEPTH) {
      this.#events.onProblem(
        folder,
        makeDiagnostic('LTN1203', {}, { limit: `${MAX_FOLDERS} folders, depth ${MAX_DEPTH}` }),
      );
      return false;
    }
    if (folder === this.#root) return true;
    const real = realPath(folder);
    const above = realPath(dirname(folder));
    if (real === undefined || above === undefined) return false;
    if (above !== real && !above.startsWith(real + sep)) return true;
    this.#events.onProblem(folder, makeDiagnostic('LTN1209', {}, { path: folder }));
    return false;
  }
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** Number and birth of a folder in its file system, also behind a link; undefined when it is no folder. */
function identityOf(path: string): string | undefined {
  try {
    const stats = statSync(path);
    return stats.isDirectory() ? `${stats.dev} ${stats.ino} ${stats.birthtimeMs}` : undefined;
  } catch {
    return undefined;
  }
}

/** Paths of the object files and open folders in a folder; empty when it is gone. */
export function listFolder(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) =>
        entry.isFile() ? isObjectFile(entry.name) : isObjectFile(entry.name) || isOpenFolder(entry.name),
      )
      .map((entry) => join(folder, entry.name));
  } catch {
    return [];
  }
}

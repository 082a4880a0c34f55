/**
 * Objects from a folder of YAML files: reads all of it once, then follows changes. A change is taken up a few
 * milliseconds after it happened; only the changed file is read and parsed. A rescan every few seconds finds what the
 * watch missed. Work is done in slices, so that the process stays responsive while thousands of files load.
 */
import { readFileSync, type Stats, statSync } from 'node:fs';
import { basename, normalize, sep } from 'node:path';
import { MAX_YAML_BYTES } from '#api/yaml-documents.ts';
import type { Clock } from '#base/clock.ts';
import type { Diagnostic, SourcePosition } from '#base/diagnostic.ts';
import { makeDiagnostic } from '#base/diagnostic-catalog.ts';
import { sha256Hex } from '#base/hash.ts';
import type { ObjectRef } from '#base/object-ref.ts';
import { FolderWatch, isObjectFile, isOpenFolder, listFolder } from './folder-watch.ts';
import { positionIn } from './memory.ts';
import type { ObjectOrigin, ObjectSink } from './object-sink.ts';
import { TextSet } from './text-set.ts';

/** An editor's save is several events: they are waited for this long. */
const COALESCE_MS = 4;
const SLICE_MS = 10;
/** A storm of changes is delivered in parts at this interval at the latest. */
const MAX_HOLD_MS = 200;
const DEFAULT_RESCAN_MS = 3000;
const MAX_FILES = 20_000;

/** What a FilesSource needs. */
export interface FilesSourceOptions {
  readonly folder: string;
  readonly sink: ObjectSink;
  readonly clock: Clock;
  /** Namespace of objects that name none. */
  readonly defaultNamespace: string;
  /** Time between two rescans. */
  readonly rescanMs?: number;
}

interface KnownFile {
  readonly inode: number;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly textHash: string;
}

/** Follows a folder tree. Constructed, then `start`ed, then disposed of. */
export class FilesSource implements Disposable {
  readonly #options: FilesSourceOptions;
  readonly #root: string;
  readonly #set: TextSet;
  readonly #watch: FolderWatch;
  readonly #known = new Map<string, KnownFile>();
  readonly #dirty = new Set<string>();
  #timer: Disposable | undefined;
  #rescanTimer: Disposable | undefined;
  #dirtySinceMs = 0;
  #onLoaded: (() => void) | undefined;

  constructor(options: FilesSourceOptions) {
    this.#options = options;
    this.#root = normalize(options.folder).replace(/(?<=.)[/\\]+$/, '');
    this.#set = new TextSet({ defaultNamespace: options.defaultNamespace, readText: readYamlText });
    this.#watch = new FolderWatch(this.#root, {
      onTouched: (path) => this.#touch(path),
      onProblem: (path, diagnostic) => this.#fail(path, diagnostic),
    });
  }

  /**
   * Reads the folder and delivers all of it as one batch, then follows changes; resolves when the batch is delivered.
   * Errors: rejects when the folder is not there.
   */
  async start(): Promise<void> {
    if (statOf(this.#root)?.isDirectory() !== true) throw new Error(`${this.#root} is not a folder`);
    const loaded = new Promise<void>((resolve) => {
      this.#onLoaded = resolve;
    });
    this.#touch(this.#root);
    await loaded;
    this.#scheduleRescan();
  }

  /** Where an object was written. */
  originOf(ref: ObjectRef): ObjectOrigin | undefined {
    return this.#set.originOf(ref);
  }

  /** Line and column of a field of an object, found in the file as it is now. */
  positionOf(ref: ObjectRef, fieldPath: string): SourcePosition | undefined {
    return positionIn(this.#set, ref, fieldPath, readYamlText);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#rescanTimer?.[Symbol.dispose]();
    this.#watch[Symbol.dispose]();
    this.#dirty.clear();
  }

  #touch(path: string): void {
    if (this.#dirty.size === 0) this.#dirtySinceMs = this.#options.clock.monotonicMs();
    this.#dirty.add(path);
    this.#timer ??= this.#options.clock.schedule(COALESCE_MS, () => this.#work());
  }

  /** Looks at touched paths for one slice of time, then delivers, or goes on in the next turn. */
  #work(): void {
    const { clock } = this.#options;
    const startMs = clock.monotonicMs();
    for (const path of this.#dirty) {
      this.#dirty.delete(path);
      this.#look(path);
      if (clock.monotonicMs() - startMs > SLICE_MS) break;
    }
    const isDone = this.#dirty.size === 0;
    this.#timer = isDone ? undefined : clock.schedule(0, () => this.#work());
    const isLoading = this.#onLoaded !== undefined;
    if (isDone || (!isLoading && clock.monotonicMs() - this.#dirtySinceMs > MAX_HOLD_MS)) this.#deliver();
  }

  #deliver(): void {
    this.#dirtySinceMs = this.#options.clock.monotonicMs();
    const batch = this.#set.takeBatch();
    if (batch !== undefined) this.#options.sink.apply(batch);
    this.#onLoaded?.();
    this.#onLoaded = undefined;
  }

  /** Brings the set up to date with one path, whatever it is now. */
  #look(path: string): void {
    const stats = statOf(path);
    if (stats === undefined) this.#forget(path);
    else if (stats.isDirectory()) {
      // Another folder, or a folder instead of a file, took the name.
      if (this.#known.has(path) || (this.#watch.has(path) && !this.#watch.isCurrent(path)))
        this.#forget(path);
      if (path === this.#root || isOpenFolder(basename(path))) this.#watch.add(path);
    } else if (stats.isFile() && isObjectFile(basename(path))) this.#read(path, stats);
  }

  #read(path: string, stats: Stats): void {
    if (!this.#known.has(path) && this.#known.size >= MAX_FILES) {
      this.#fail(this.#root, makeDiagnostic('LTN1203', {}, { limit: String(MAX_FILES) }));
      return;
    }
    const old = this.#known.get(path);
    const { ino, size, mtimeMs } = stats;
    const facts = { inode: ino, sizeBytes: size, modifiedMs: mtimeMs };
    try {
      if (size > MAX_YAML_BYTES) {
        this.#known.set(path, { ...facts, textHash: '' });
        this.#fail(path, makeDiagnostic('LTN1202', {}, { limit: `${MAX_YAML_BYTES / 1024 / 1024} MiB` }));
        return;
      }
      const text = readFileSync(path, 'utf8');
      const textHash = sha256Hex(text);
      this.#known.set(path, { ...facts, textHash });
      if (old?.textHash !== textHash) this.#set.put(path, text);
    } catch (error) {
      this.#known.set(path, { ...facts, textHash: '' });
      this.#fail(
        path,
        makeDiagnostic('LTN1204', {}, { problem: error instanceof Error ? error.message : String(error) }),
      );
    }
  }

  /** A path is gone: the file of that name, or all files below it. */
  #forget(path: string): void {
    this.#watch.remove(path);
    // With a file less there may be room again for those that were over the limit.
    if (this.#known.size >= MAX_FILES) this.#set.delete(this.#root);
    for (const file of this.#set.files) {
      if (file !== path && !file.startsWith(path + sep)) continue;
      this.#set.delete(file);
      this.#known.delete(file);
    }
  }

  #fail(path: string, diagnostic: Diagnostic): void {
    this.#set.fail(path, { ...diagnostic, at: { file: path, line: 1, column: 1 } });
  }

  #scheduleRescan(): void {
    const { clock, rescanMs = DEFAULT_RESCAN_MS } = this.#options;
    this.#rescanTimer = clock.schedule(rescanMs, () => this.#rescan(this.#suspects()));
  }

  /** Takes up what the watch missed, a slice at a time; then waits for the next round. */
  #rescan(suspects: Iterator<string | undefined>): void {
    const { clock } = this.#options;
    const startMs = clock.monotonicMs();
    while (clock.monotonicMs() - startMs < SLICE_MS / 2) {
      const next = suspects.next();
      if (next.done === true) return this.#scheduleRescan();
      if (next.value !== undefined) this.#touch(next.value);
    }
    this.#rescanTimer = clock.schedule(0, () => this.#rescan(suspects));
  }

  /** Paths that are not as they are known; undefined for each that is, so that the caller can pause. */
  *#suspects(): Iterator<string | undefined> {
    if (!this.#watch.has(this.#root)) yield this.#root;
    for (const folder of this.#watch.folders) {
      if (!this.#watch.isCurrent(folder)) yield folder;
      for (const path of listFolder(folder)) yield this.#isAsKnown(path) ? undefined : path;
    }
    for (const path of this.#known.keys()) yield statOf(path) === undefined ? path : undefined;
  }

  #isAsKnown(path: string): boolean {
    const stats = statOf(path);
    const known = this.#known.get(path);
    if (stats?.isDirectory() === true) return this.#watch.has(path);
    if (stats === undefined || known === undefined) return false;
    return known.inode === stats.ino && known.sizeBytes === stats.size && known.modifiedMs === stats.mtimeMs;
  }
}

function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

/** The text of a file; undefined when it is gone or too large. */
function readYamlText(file: string): string | undefined {
  try {
    return (statOf(file)?.size ?? Number.POSITIVE_INFINITY) > MAX_YAML_BYTES
      ? undefined
      : readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Follows one resource: list in pages, then watch from there, for ever. Promises: what is told to the listener, applied in
 * order, equals what a fresh list gives; an object is told only when its version changed; objects that went while nobody
 * watched are found by the next list. Keeps one short text per object. Errors never leave: they become the state.
 */
import type { Clock } from '#base/clock.ts';
import { Backoff, type BackoffOptions } from '#base/backoff.ts';
import type { Rng } from '#base/rng.ts';
import { type ApiResource, isKubeObject, type KubeObject, nameKey, resourcePath } from './api-resource.ts';
import type { KubeClient } from './kube-client.ts';
import { isGone, KubeError, kubeErrorOf } from './kube-error.ts';
import { pause } from './pause.ts';
import { readWatch, type WatchEvent } from './watch-stream.ts';

const PAGE_ITEMS = 500;
/** Watches last this long and half as long again at most, so that they do not all end at once. */
const WATCH_SECONDS = 300;
/** So many failures in a row to go on from where we were, and the version itself is doubted. */
const MAX_RESUMES = 5;
/** What is refused, and not merely away, is asked for at this interval at least. */
const REFUSED_RETRY_MS = 10_000;
const DEFAULT_BACKOFF: BackoffOptions = { initialMs: 200, maxMs: 10_000 };
/** A watch that lasted this long was a success. */
const GOOD_WATCH_MS = 5000;

/** Objects that are new or differ, and names (`namespace/name`) of those that went; an object is in one of them only. */
export interface ResourceChange {
  readonly set: readonly KubeObject[];
  readonly remove: readonly string[];
}

/** Where the watch stands. `listed`: a complete list has been told. */
export interface ResourceState {
  readonly listed: boolean;
  /** The last failure, until the next success. */
  readonly problem: Error | undefined;
}

/** Hears about one resource. */
export interface ResourceListener {
  changed(change: ResourceChange): void;
  /** Called when `listed` or `problem` changed. */
  stateChanged(state: ResourceState): void;
}

/** What a watch needs. */
export interface ResourceWatchOptions {
  readonly client: KubeClient;
  readonly resource: ApiResource;
  readonly listener: ResourceListener;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Default: application/json; with `;as=PartialObjectMetadata…` only metadata come. */
  readonly accept?: { readonly list: string; readonly watch: string };
  readonly backoff?: BackoffOptions;
}

/** Runs from `start` until disposed of. */
export class ResourceWatch implements Disposable {
  readonly #options: ResourceWatchOptions;
  readonly #backoff: Backoff;
  readonly #closing = new AbortController();
  /** `namespace/name` -> uid and version as last told. */
  readonly #known = new Map<string, string>();
  #version: string | undefined;
  #failedResumes = 0;
  #state: ResourceState = { listed: false, problem: undefined };
  #cycle = new AbortController();
  /** When the running watch was opened, while there is one. */
  #openedAtMs: number | undefined;

  constructor(options: ResourceWatchOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.backoff ?? DEFAULT_BACKOFF, options.rng);
  }

  get state(): ResourceState {
    return this.#state;
  }

  start(): void {
    void this.#run();
  }

  /** Lists again, and tells objects again for whose `namespace/name` the predicate holds, changed or not. */
  relist(forget: (key: string) => boolean): void {
    for (const key of this.#known.keys()) if (forget(key)) this.#known.set(key, '');
    this.#version = undefined;
    this.#cycle.abort(new Error('listing again'));
  }

  [Symbol.dispose](): void {
    this.#closing.abort(new Error('closed'));
  }

  async #run(): Promise<void> {
    const closing = this.#closing.signal;
    while (!closing.aborted) {
      this.#cycle = new AbortController();
      const cycle = this.#cycle.signal;
      const signal = AbortSignal.any([closing, cycle]);
      try {
        if (this.#version === undefined) await this.#list(signal);
        await this.#watch(signal);
        await pause(this.#options.clock, this.#ended(), signal);
      } catch (error) {
        if (!signal.aborted) await pause(this.#options.clock, this.#failed(error), signal);
      }
    }
  }

  /** A watch is over; gives the time to wait before the next, in milliseconds: none after one that lasted. */
  #ended(): number {
    const lastedMs = this.#options.clock.monotonicMs() - (this.#openedAtMs ?? Infinity);
    this.#openedAtMs = undefined;
    if (lastedMs < GOOD_WATCH_MS) return this.#backoff.nextMs();
    this.#failedResumes = 0;
    this.#backoff.reset();
    return 0;
  }

  /** Notes a failure; gives the time to wait, in milliseconds. */
  #failed(error: unknown): number {
    const delayMs = this.#ended() || this.#backoff.nextMs();
    if (isGone(error)) {
      this.#version = undefined;
      return delayMs;
    }
    this.#failedResumes += 1;
    if (this.#failedResumes >= MAX_RESUMES) this.#version = undefined;
    const problem = error instanceof Error ? error : new Error(String(error));
    const isRefused = problem instanceof KubeError && problem.status >= 400 && problem.status < 429;
    this.#setState({ ...this.#state, problem });
    const askedMs = problem instanceof KubeError ? problem.retryAfterMs : 0;
    return Math.max(delayMs, askedMs, isRefused ? REFUSED_RETRY_MS : 0);
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, resource, accept, listener } = this.#options;
    const gone = new Set(this.#known.keys());
    let version = '';
    let next = '';
    do {
      const query = queryOf({
        limit: String(PAGE_ITEMS),
        continue: next,
        fieldSelector: resource.fieldSelector,
      });
      const path = `${resourcePath(resource)}${query}`;
      const page = readPage(await client.getJson({ path, signal, ...(accept && { accept: accept.list }) }));
      signal.throwIfAborted();
      const set: KubeObject[] = [];
      for (const item of page.items) {
        gone.delete(nameKey(item));
        if (this.#isNews(item)) set.push(item);
      }
      if (set.length > 0) listener.changed({ set, remove: [] });
      version = page.version;
      next = page.next;
    } while (next !== '');
    for (const key of gone) this.#known.delete(key);
    if (gone.size > 0) listener.changed({ set: [], remove: [...gone] });
    this.#version = version;
    this.#failedResumes = 0;
    this.#setState({ listed: true, problem: undefined });
  }

  /** Ends when the server ends the watch. Errors: throws when it breaks, or says that the version is too old. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { client, resource, accept, clock, rng } = this.#options;
    const seconds = WATCH_SECONDS + rng.int(WATCH_SECONDS / 2);
    const query = queryOf({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: this.#version ?? '',
      timeoutSeconds: String(seconds),
      fieldSelector: resource.fieldSelector,
    });
    const path = `${resourcePath(resource)}${query}`;
    const body = await client.getStream({ path, signal, ...(accept && { accept: accept.watch }) });
    this.#openedAtMs = clock.monotonicMs();
    this.#setState({ ...this.#state, problem: undefined });
    await readWatch(body, { clock, maxMs: (seconds + 30) * 1000, onEvents: (events) => this.#take(events) });
  }

  /** Events of one chunk: of several about one object the last one counts. */
  #take(events: readonly WatchEvent[]): void {
    const changed = new Map<string, KubeObject | undefined>();
    let failure: KubeError | undefined;
    for (const { type, object } of events) {
      if (type === 'ERROR') {
        failure = kubeErrorOf(0, object);
        break;
      }
      const version = versionOf(object);
      if (type !== 'BOOKMARK' && isKubeObject(object)) {
        const key = nameKey(object);
        if (type === 'DELETED') {
          if (this.#known.delete(key) || changed.has(key)) changed.set(key, undefined);
        } else if (this.#isNews(object)) changed.set(key, object);
      }
      if (version !== '') this.#version = version;
    }
    if (changed.size > 0) {
      const set = [...changed.values()].filter((object) => object !== undefined);
      const remove = [...changed].filter(([, object]) => object === undefined).map(([key]) => key);
      this.#failedResumes = 0;
      this.#options.listener.changed({ set, remove });
    }
    if (failure !== undefined) throw failure;
  }

  /** Notes the object's version; false when it is the one that was told last. */
  #isNews(object: KubeObject): boolean {
    const { uid = '', resourceVersion = '' } = object.metadata;
    const key = nameKey(object);
    const stamp = `${uid} ${resourceVersion}`;
    if (resourceVersion !== '' && this.#known.get(key) === stamp) return false;
    this.#known.set(key, stamp);
    return true;
  }

  #setState(state: ResourceState): void {
    const { listed, problem } = this.#state;
    this.#state = state;
    if (listed !== state.listed || problem?.message !== state.problem?.message) {
      this.#options.listener.stateChanged(state);
    }
  }
}

interface Page {
  readonly items: readonly KubeObject[];
  readonly version: string;
  readonly next: string;
}

function readPage(value: unknown): Page {
  const { items, metadata } = value as {
    readonly items?: unknown;
    readonly metadata?: Record<string, unknown>;
  };
  if (!Array.isArray(items) && items !== null && items !== undefined)
    throw new Error('the list has no items');
  const next = metadata?.['continue'];
  return {
    items: (items ?? []).filter(isKubeObject),
    version: versionOf(value),
    next: typeof next === 'string' ? next : '',
  };
}

function versionOf(value: unknown): string {
  const version = (value as { readonly metadata?: { readonly resourceVersion?: unknown } } | null)?.metadata
    ?.resourceVersion;
  return typeof version === 'string' ? version : '';
}

/** A query of the parameters that are not empty. */
function queryOf(parameters: Readonly<Record<string, string>>): string {
  return `?${new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== ''))}`;
}

/**
 * Fetches the key sets that token issuers publish and keeps them fresh. The last good set stays in use while its source is away,
 * for a week at most; where there never was one, no token verifies (the model sees to that). What a source answers is
 * taken apart and written anew, so that nothing but keys reaches a proxy.
 * Costs one request per key set and refresh, at most a few at a time.
 * Source: istio pilot/pkg/model/jwks_resolver.go (intervals, OpenID discovery, metrics).
 */
import { Backoff } from '#base/backoff.ts';
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { Rng } from '#base/rng.ts';
import type { Engine, SourceCollection } from '#collections/collection.ts';
import { isUsableKey, type KeySetState, type WantedKeySet, type WantedKeySets } from '#model/jwt-key-set.ts';
import { firstTries } from './first-tries.ts';

/** Gets the text behind a URL. Errors: a text for people. */
export type FetchText = (url: string, timeoutMs: number) => Promise<Result<string, string>>;

export interface KeySetOptions {
  readonly engine: Engine;
  readonly wanted: WantedKeySets;
  readonly keySets: SourceCollection<KeySetState>;
  readonly fetchText: FetchText;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  /** Called after `keySets` has been changed. */
  readonly changed: () => void;
  /** Between fetches of a set that is well. */
  readonly refreshMs: number;
}

/** Totals since start, for metrics. */
export interface KeySetCounters {
  readonly succeeded: number;
  readonly failed: number;
}

/** How long a set is used without a successful refresh. */
const MAX_AGE_MS = 7 * 24 * 3_600_000;
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 3_600_000;
const MAX_KEYS = 1_000;
const DISCOVERY_PATH = '/.well-known/openid-configuration';

interface GoodKeys {
  readonly keys: string;
  readonly atMs: number;
}

interface Want {
  readonly key: string;
  readonly wanted: WantedKeySet;
  /** From before, when only how to fetch it has changed. */
  readonly good: GoodKeys | undefined;
}

/** One set that is kept. */
class KeptKeySet implements Disposable {
  /** Resolves after the first attempt, whatever came of it. */
  readonly tried: Promise<void>;
  readonly #key: string;
  readonly #wanted: WantedKeySet;
  readonly #options: KeySetOptions;
  readonly #backoff: Backoff;
  readonly #count: (isGood: boolean) => void;
  #timer: Disposable | undefined;
  #isDisposed = false;
  #good: GoodKeys | undefined;

  constructor(options: KeySetOptions, want: Want, count: (isGood: boolean) => void) {
    this.#key = want.key;
    this.#wanted = want.wanted;
    this.#good = want.good;
    this.#options = options;
    this.#count = count;
    this.#backoff = new Backoff({ initialMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS }, options.rng);
    this.tried = this.#attempt();
  }

  get good(): GoodKeys | undefined {
    return this.#good;
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#timer?.[Symbol.dispose]();
  }

  async #attempt(): Promise<void> {
    const fetched = await fetchKeySet(this.#options.fetchText, this.#wanted);
    if (this.#isDisposed) return;
    const { clock, keySets, log, changed, refreshMs } = this.#options;
    this.#count(fetched.ok);
    if (fetched.ok) {
      this.#good = { keys: fetched.value, atMs: clock.monotonicMs() };
      this.#backoff.reset();
    } else {
      log.warn('a key set could not be fetched', { source: this.#key, reason: fetched.error });
    }
    const isFresh = this.#good !== undefined && clock.monotonicMs() - this.#good.atMs < MAX_AGE_MS;
    if (!isFresh) this.#good = undefined;
    keySets.set(this.#key, { keys: this.#good?.keys ?? '', fault: fetched.ok ? '' : fetched.error });
    changed();
    const delayMs = fetched.ok ? refreshMs : this.#backoff.nextMs();
    this.#timer = clock.schedule(delayMs, () => void this.#attempt());
  }
}

/** Follows what is wanted until disposed of. */
export class KeySetController implements Disposable {
  readonly #kept: Map<string, KeptKeySet> = new Map();
  readonly #options: KeySetOptions;
  readonly #watch: Disposable;
  #succeeded = 0;
  #failed = 0;

  constructor(options: KeySetOptions) {
    this.#options = options;
    for (const [key, wanted] of options.wanted.all()) this.#keep({ key, wanted, good: undefined });
    this.#watch = options.engine.watch(options.wanted, (changes) => {
      for (const { key, now } of changes) {
        const good = this.#kept.get(key)?.good;
        this.#drop(key);
        if (now !== undefined) this.#keep({ key, wanted: now, good });
        else options.keySets.delete(key);
      }
    });
  }

  get counters(): KeySetCounters {
    return { succeeded: this.#succeeded, failed: this.#failed };
  }

  /** Resolves when each set wanted now has been tried once, or after `limitMs`: a restart should not refuse good tokens. */
  async tried(limitMs: number): Promise<void> {
    await firstTries(this.#kept.values(), this.#options.clock, limitMs);
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    for (const kept of this.#kept.values()) kept[Symbol.dispose]();
    this.#kept.clear();
  }

  #keep(want: Want): void {
    const count = (isGood: boolean): void => {
      if (isGood) this.#succeeded++;
      else this.#failed++;
    };
    this.#kept.set(want.key, new KeptKeySet(this.#options, want, count));
  }

  #drop(key: string): void {
    this.#kept.get(key)?.[Symbol.dispose]();
    this.#kept.delete(key);
  }
}

/** Gets the keys of an issuer, by its discovery document where no URI is given. Errors: a text for people. */
export async function fetchKeySet(
  fetchText: FetchText,
  { uri, issuer, timeoutMs }: WantedKeySet,
): Promise<Result<string, string>> {
  let source = uri;
  if (source === '') {
    const found = await fetchText(issuer.replace(/\/$/, '') + DISCOVERY_PATH, timeoutMs);
    const discovered = found.ok ? discoveredUri(found.value) : found;
    if (!discovered.ok) return discovered;
    source = discovered.value;
  }
  const text = await fetchText(source, timeoutMs);
  return text.ok ? keysOf(text.value) : text;
}

/** The key set's address in an OpenID discovery document. */
function discoveredUri(text: string): Result<string, string> {
  const document = parseObject(text);
  const uri = document?.['jwks_uri'];
  return typeof uri === 'string' ? ok(uri) : fail('the discovery document has no jwks_uri');
}

/** The document with nothing in it but its keys. Errors: a text for people. */
export function keysOf(text: string): Result<string, string> {
  const keys = parseObject(text)?.['keys'];
  if (!Array.isArray(keys)) return fail('the answer is not a key set: it has no list "keys"');
  if (keys.length > MAX_KEYS) return fail(`the key set has more than ${MAX_KEYS} keys`);
  const known = keys.filter(isUsableKey);
  return known.length === 0 ? fail('the key set has no usable key') : ok(JSON.stringify({ keys: known }));
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The keys of an issuer whose tokens the control plane takes for identities: fetched at the start and every twenty minutes, and anew
 * when a token names a key that is not there, at most every ten seconds however many such tokens come. The last good keys stay in
 * use while their source is away, for a week at most; without any, no token is taken.
 */
import { Backoff } from '#base/backoff.ts';
import type { Clock } from '#base/clock.ts';
import { toDisposable } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import type { Rng } from '#base/rng.ts';
import type { IssuerKeys } from '#ca/issued-tokens.ts';
import type { TokenRule } from '#ca/token-rule.ts';
import { type FetchText, fetchKeySet, keysOf } from './key-sets.ts';

export interface FetchedKeysOptions {
  readonly rule: Pick<TokenRule, 'issuer' | 'jwksUri' | 'jwks'>;
  readonly fetchText: FetchText;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
}

const TIMEOUT_MS = 5_000;
const REFRESH_MS = 20 * 60_000;
const MAX_AGE_MS = 7 * 24 * 3_600_000;
const RENEWAL_GAP_MS = 10_000;
const RETRY = { initialMs: 1_000, maxMs: 5 * 60_000 };

/** Keeps them until disposed of. */
export class FetchedKeys implements IssuerKeys, Disposable {
  readonly #options: FetchedKeysOptions;
  readonly #backoff: Backoff;
  #timer: Disposable = toDisposable(() => {});
  #isDisposed = false;
  #good: { readonly keys: string; readonly atMs: number } | undefined;
  #fetching: Promise<void> | undefined;
  #lastMs = -Infinity;

  constructor(options: FetchedKeysOptions) {
    this.#options = options;
    this.#backoff = new Backoff(RETRY, options.rng);
    void this.#refresh();
  }

  current(): string {
    const { rule, clock } = this.#options;
    if (rule.jwks !== '') return inlineKeys(rule.jwks);
    const isFresh = this.#good !== undefined && clock.monotonicMs() - this.#good.atMs < MAX_AGE_MS;
    return isFresh ? (this.#good?.keys ?? '') : '';
  }

  async renew(): Promise<void> {
    if (this.#fetching !== undefined) return this.#fetching;
    if (this.#options.clock.monotonicMs() - this.#lastMs >= RENEWAL_GAP_MS) await this.#refresh();
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#timer[Symbol.dispose]();
  }

  #refresh(): Promise<void> {
    this.#fetching = this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #fetch(): Promise<void> {
    const { rule, fetchText, clock, log } = this.#options;
    if (rule.jwks !== '' || this.#isDisposed) return;
    this.#timer[Symbol.dispose]();
    const { issuer, jwksUri: uri } = rule;
    const fetched = await fetchKeySet(fetchText, { issuer, uri, timeoutMs: TIMEOUT_MS });
    this.#lastMs = clock.monotonicMs();
    if (fetched.ok) {
      this.#good = { keys: fetched.value, atMs: this.#lastMs };
      this.#backoff.reset();
    } else log.warn("an issuer's keys could not be fetched", { issuer, reason: fetched.error });
    if (this.#isDisposed) return;
    const delayMs = fetched.ok ? REFRESH_MS : this.#backoff.nextMs();
    this.#timer = clock.schedule(delayMs, () => void this.#refresh());
  }
}

/** Only keys, and only those that can be used. */
function inlineKeys(text: string): string {
  const keys = keysOf(text);
  return keys.ok ? keys.value : '';
}

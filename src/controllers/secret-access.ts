/**
 * Asks whether service accounts may read Secrets of their namespace, for those whose proxies want some, and keeps the answers fresh in the
 * source collection `secretAccess`. A yes holds for five minutes, a no for one; while nobody can be asked, the last answer
 * stays and a service account without one gets nothing. Read-only: each replica asks for itself.
 * Source: istio pilot/pkg/credentials/kube/secrets.go Authorize and its cache.
 */
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import type { Collection, Engine, SourceCollection } from '#collections/collection.ts';
import { accessKey, EVERYBODY, type SecretAccess } from '#model/secret-access.ts';

/** Whose secrets are wanted. */
export interface SecretAsker {
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface SecretAccessOptions {
  readonly engine: Engine;
  readonly wanted: Collection<SecretAsker>;
  readonly access: SourceCollection<SecretAccess>;
  /** Errors: rejects when there is no answer. */
  readonly review: (asker: SecretAsker) => Promise<boolean>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told after answers have been set. */
  readonly changed: () => void;
}

const YES_MS = 5 * 60_000;
const NO_MS = 60_000;
const RETRY_MS = 5_000;

/** Runs until disposed of. */
export class SecretAccessController implements Disposable {
  readonly #options: SecretAccessOptions;
  /** Service accounts that are followed, with what wakes them up next. */
  readonly #followed = new Map<string, Disposable>();
  readonly #watch: Disposable;
  #isClosed = false;

  constructor(options: SecretAccessOptions) {
    const { engine, wanted, access } = options;
    this.#options = options;
    access.delete(EVERYBODY);
    options.changed();
    this.#watch = engine.watch(wanted, () => this.#look());
    this.#look();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#watch[Symbol.dispose]();
    for (const timer of this.#followed.values()) timer[Symbol.dispose]();
  }

  #look(): void {
    const askers = [...this.#options.wanted.all().values()];
    const byKey = new Map(askers.map((asker) => [accessKey(asker), asker]));
    for (const [key, asker] of byKey) {
      if (this.#followed.has(key)) continue;
      this.#followed.set(key, { [Symbol.dispose]: () => {} });
      void this.#ask(key, asker);
    }
    for (const key of this.#followed.keys()) if (!byKey.has(key)) this.#forget(key);
  }

  #forget(key: string): void {
    this.#followed.get(key)?.[Symbol.dispose]();
    this.#followed.delete(key);
    this.#options.access.delete(key);
    this.#options.changed();
  }

  async #ask(key: string, asker: SecretAsker): Promise<void> {
    const { review, access, clock, log, changed } = this.#options;
    let againMs = RETRY_MS;
    try {
      const isAllowed = await review(asker);
      if (this.#isClosed || !this.#followed.has(key)) return;
      if (!isAllowed) log.warn('a service account may not read Secrets that its proxies use', { ...asker });
      access.set(key, { isAllowed });
      changed();
      againMs = isAllowed ? YES_MS : NO_MS;
    } catch (error) {
      if (this.#isClosed || !this.#followed.has(key)) return;
      const reason = error instanceof Error ? error.message : String(error);
      log.warn('who may read Secrets cannot be asked', { ...asker, reason });
    }
    this.#followed.set(
      key,
      clock.schedule(againMs, () => void this.#ask(key, asker)),
    );
  }
}

/**
 * Looks up the gateways of networks that are named by host and keeps what it found fresh: again when DNS says so, half a minute
 * later at the earliest and an hour at the latest. What was known stays while DNS does not answer; what DNS says there is not,
 * goes. Costs two queries per name and refresh; there are as many names as such gateways.
 * Source: istio pilot/pkg/model/network.go networkGatewayNameCache.
 */
import { isIp } from '#base/cidr.ts';
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import type { Result } from '#base/result.ts';
import type { Collection, Engine, SourceCollection } from '#collections/collection.ts';
import type { ResolvedName } from '#model/resolved-name.ts';
import { firstTries } from './first-tries.ts';

/** What DNS answered: addresses of both families, none for a name that does not exist. */
export interface NameAnswer {
  readonly addresses: readonly string[];
  readonly ttlMs: number;
}

/** Asks DNS. Errors: a text for people, when nobody answered. */
export type LookUpName = (name: string) => Promise<Result<NameAnswer, string>>;

export interface GatewayNameOptions {
  readonly engine: Engine;
  /** Key and value are the name. */
  readonly wanted: Collection<string>;
  readonly resolved: SourceCollection<ResolvedName>;
  readonly lookUp: LookUpName;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called after `resolved` has been changed. */
  readonly changed: () => void;
}

const MIN_REFRESH_MS = 30_000;
const MAX_REFRESH_MS = 3_600_000;
/** Of one name; a name with more is no gateway's. */
const MAX_ADDRESSES = 64;

/** One name that is kept. */
class KeptName implements Disposable {
  /** Resolves after the first attempt, whatever came of it. */
  readonly tried: Promise<void>;
  readonly #name: string;
  readonly #options: GatewayNameOptions;
  #timer: Disposable | undefined;
  #isDisposed = false;

  constructor(name: string, options: GatewayNameOptions) {
    this.#name = name;
    this.#options = options;
    this.tried = this.#attempt();
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#timer?.[Symbol.dispose]();
  }

  async #attempt(): Promise<void> {
    const { lookUp, clock, log, resolved, changed } = this.#options;
    const answer = await lookUp(this.#name);
    if (this.#isDisposed) return;
    if (answer.ok) {
      const addresses = [...new Set(answer.value.addresses.filter(isIp))].sort().slice(0, MAX_ADDRESSES);
      if (addresses.length === 0) log.warn('the gateway of a network has no address', { name: this.#name });
      resolved.set(this.#name, { addresses });
      changed();
    } else {
      log.warn('the gateway of a network could not be looked up', {
        name: this.#name,
        reason: answer.error,
      });
    }
    const ttlMs = answer.ok ? answer.value.ttlMs : MIN_REFRESH_MS;
    const delayMs = Math.min(MAX_REFRESH_MS, Math.max(MIN_REFRESH_MS, ttlMs));
    this.#timer = clock.schedule(delayMs, () => void this.#attempt());
  }
}

/** Follows what is wanted until disposed of. */
export class GatewayNameController implements Disposable {
  readonly #kept: Map<string, KeptName> = new Map();
  readonly #options: GatewayNameOptions;
  readonly #watch: Disposable;

  constructor(options: GatewayNameOptions) {
    this.#options = options;
    for (const name of options.wanted.all().keys()) this.#kept.set(name, new KeptName(name, options));
    this.#watch = options.engine.watch(options.wanted, (changes) => {
      for (const { key, now } of changes) {
        if (now === undefined) this.#drop(key);
        else if (!this.#kept.has(key)) this.#kept.set(key, new KeptName(key, options));
      }
    });
  }

  /** Resolves when each name wanted now has been asked for once, or after `limitMs`. */
  async tried(limitMs: number): Promise<void> {
    await firstTries(this.#kept.values(), this.#options.clock, limitMs);
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    for (const kept of this.#kept.values()) kept[Symbol.dispose]();
    this.#kept.clear();
  }

  #drop(name: string): void {
    this.#kept.get(name)?.[Symbol.dispose]();
    this.#kept.delete(name);
    this.#options.resolved.delete(name);
  }
}

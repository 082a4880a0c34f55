/**
 * How the agent gets at files on other machines for Wasm modules: guarded calls under one deadline, tried again while the other
 * side has a passing problem, with certificates checked unless the operator listed the host.
 * Source: istio pkg/wasm/httpfetcher.go.
 */
import type { AddressGuard } from '#base/address-guard.ts';
import { Backoff } from '#base/backoff.ts';
import type { Clock } from '#base/clock.ts';
import type { Rng } from '#base/rng.ts';
import type { Secret } from '#base/secret.ts';
import { CallError, callGuarded, type GuardedAnswer } from './guarded-http.ts';
import { unwrapModule } from './wasm-archive.ts';
import { WasmFetchError } from './wasm-error.ts';

/** What bounds and guards every fetch. */
export interface WasmFetchLimits {
  readonly guard: AddressGuard;
  /** Of a module, unpacked or not. */
  readonly maxBytes: number;
  /** Hosts (with port) whose certificate is not checked; `*` for all. */
  readonly insecureHosts: ReadonlySet<string>;
  /** For one request. */
  readonly requestTimeoutMs: number;
  readonly maxAttempts: number;
}

export interface DownloadParts {
  readonly limits: WasmFetchLimits;
  readonly clock: Clock;
  readonly rng: Rng;
}

/** One thing to get. */
export interface DownloadRequest {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly authorization?: Secret | undefined;
  readonly maxBytes?: number;
  readonly isInsecure?: boolean;
}

const RETRY = { initialMs: 500, maxMs: 10_000 };
/** Of what will stay so. */
const FINAL_STATUS: ReadonlySet<number> = new Set([501, 505, 511]);

/** Gets things for one module, all within its deadline. */
export class Downloader {
  readonly #parts: DownloadParts;
  readonly #deadline: AbortSignal;

  constructor(parts: DownloadParts, timeoutMs: number) {
    this.#parts = parts;
    this.#deadline = AbortSignal.timeout(timeoutMs);
  }

  get limits(): WasmFetchLimits {
    return this.#parts.limits;
  }

  /** The answer, whatever its status, once it is not a passing failure. Errors: CallError. */
  async get(request: DownloadRequest): Promise<GuardedAnswer> {
    const { clock, rng, limits } = this.#parts;
    const backoff = new Backoff(RETRY, rng);
    for (let attempt = 1; ; attempt++) {
      const isLast = attempt >= limits.maxAttempts || this.#deadline.aborted;
      try {
        const answer = await this.#once(request);
        if (isLast || answer.status < 500 || FINAL_STATUS.has(answer.status)) return answer;
      } catch (error) {
        if (isLast || this.#deadline.aborted || !(error instanceof CallError) || !error.isTransient)
          throw error;
      }
      await new Promise<void>((resolve) => void clock.schedule(backoff.nextMs(), resolve));
    }
  }

  #once({ url, headers = {}, authorization, maxBytes, isInsecure }: DownloadRequest): Promise<GuardedAnswer> {
    const { guard, requestTimeoutMs, maxBytes: maxModuleBytes } = this.#parts.limits;
    return callGuarded({
      url,
      headers,
      authorization,
      signal: AbortSignal.any([this.#deadline, AbortSignal.timeout(requestTimeoutMs)]),
      maxBytes: maxBytes ?? maxModuleBytes,
      guard,
      isInsecure: isInsecure ?? this.isInsecure(hostOf(url)),
    });
  }

  /** Whether the operator listed the host. */
  isInsecure(host: string): boolean {
    const { insecureHosts } = this.#parts.limits;
    return insecureHosts.has('*') || insecureHosts.has(host);
  }
}

function hostOf(url: string): string {
  return URL.parse(url)?.host ?? '';
}

/** A module by http or https. Errors: WasmFetchError, CallError. */
export async function downloadModule(downloader: Downloader, url: string): Promise<Buffer> {
  const { status, body } = await downloader.get({ url });
  if (status !== 200) throw new WasmFetchError(`answered with status ${status}`);
  return unwrapModule(body, downloader.limits.maxBytes);
}

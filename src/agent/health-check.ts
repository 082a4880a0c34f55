/**
 * Looks at the application again and again, and tells when it becomes healthy or ceases to be: after so many answers of one kind in a
 * row. Envoy has to be ready too, since without it nobody can be served. Source: Istio pkg/istio-agent/health/health_check.go.
 */
import type { Clock } from '#base/clock.ts';
import { toDisposable } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import type { HealthCheckSettings, ProbeTarget } from './health-options.ts';

/** What has become of the application; `problem` is '' when it is healthy. */
export interface ApplicationHealth {
  readonly isHealthy: boolean;
  readonly problem: string;
}

export interface HealthCheckParts {
  /** Resolves when the target is well. */
  readonly probe: (target: ProbeTarget, signal: AbortSignal) => Promise<void>;
  /** What Envoy lacks; '' when it is ready. */
  readonly envoyProblem: () => Promise<string>;
  readonly changed: (health: ApplicationHealth) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Looks until disposed of. */
export class HealthCheck implements Disposable {
  readonly #settings: HealthCheckSettings;
  readonly #parts: HealthCheckParts;
  #known: boolean | undefined;
  /** Answers of one kind in a row. */
  #row = { isHealthy: false, length: 0 };
  #timer: Disposable = toDisposable(() => {});
  readonly #ending = new AbortController();

  constructor(settings: HealthCheckSettings, parts: HealthCheckParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#timer = parts.clock.schedule(settings.initialDelayMs, () => void this.#look());
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#ending.abort(new Error('the agent ends'));
  }

  async #look(): Promise<void> {
    const { clock } = this.#parts;
    const { periodMs } = this.#settings;
    const startMs = clock.monotonicMs();
    const problem = await this.#problem();
    if (this.#ending.signal.aborted) return;
    this.#count({ isHealthy: problem === '', problem });
    const restMs = Math.max(0, periodMs - (clock.monotonicMs() - startMs));
    this.#timer = clock.schedule(restMs, () => void this.#look());
  }

  async #problem(): Promise<string> {
    const { probe, envoyProblem, clock } = this.#parts;
    const { target, timeoutMs } = this.#settings;
    const envoy = await envoyProblem();
    if (envoy !== '') return envoy;
    const limit = new AbortController();
    const late = new Error(`no answer within ${timeoutMs} ms`);
    const timer = clock.schedule(timeoutMs, () => limit.abort(late));
    try {
      await probe(target, AbortSignal.any([limit.signal, this.#ending.signal]));
      return '';
    } catch (error) {
      const cause = limit.signal.aborted ? late : error;
      return (cause instanceof Error ? cause.message : String(cause)) || 'the probe failed';
    } finally {
      timer[Symbol.dispose]();
    }
  }

  #count(health: ApplicationHealth): void {
    const { isHealthy, problem } = health;
    const length = isHealthy === this.#row.isHealthy ? this.#row.length + 1 : 1;
    this.#row = { isHealthy, length };
    const { successThreshold, failureThreshold } = this.#settings;
    if (isHealthy === this.#known || length < (isHealthy ? successThreshold : failureThreshold)) return;
    this.#known = isHealthy;
    const { log, changed } = this.#parts;
    if (isHealthy) log.info('the application is healthy');
    else log.warn('the application is not healthy', { problem });
    changed(health);
  }
}

/**
 * Watches the traffic while somebody looks: asks each agent for its metrics every two seconds, keeps the increases of the
 * last ten. Nobody looking costs nothing. An edge stays in the table for a minute after its last request, so that it does not flicker.
 */
import type { Clock } from '#base/clock.ts';
import type { EdgesAnswer } from '#doors/control-protocol.ts';
import { scrapeAgent, type WatchedReplica } from './agent-scrape.ts';
import { isEdgeSample, sumEdges } from './edge-table.ts';
import { parseSamples, type Sample } from './prometheus-text.ts';

interface Increase {
  readonly atMs: number;
  readonly samples: readonly Sample[];
}

const PERIOD_MS = 2000;
const WINDOW_MS = 10_000;
const NOBODY_LOOKS_MS = 15_000;
const MAX_KNOWN = 2000;
const KEEP_MS = 60_000;

export class EdgeWatch implements Disposable {
  readonly #replicas: () => readonly WatchedReplica[];
  readonly #clock: Clock;
  /** Last values by replica and series. */
  readonly #values = new Map<string, ReadonlyMap<string, number>>();
  /** One sample of value 0 per series that had an increase lately, to keep its edge. */
  readonly #known = new Map<string, { readonly sample: Sample; readonly atMs: number }>();
  #increases: readonly Increase[] = [];
  #startedAtMs = 0;
  #askedAtMs = 0;
  #timer: Disposable | undefined;

  constructor(replicas: () => readonly WatchedReplica[], clock: Clock) {
    this.#replicas = replicas;
    this.#clock = clock;
  }

  /** The edges now; the first call starts the watch and finds none. */
  edges(): EdgesAnswer {
    const nowMs = this.#clock.monotonicMs();
    this.#askedAtMs = nowMs;
    if (this.#timer === undefined) this.#start(nowMs);
    const last = this.#increases.at(-1)?.atMs ?? nowMs;
    const windowMs = Math.min(WINDOW_MS, last - this.#startedAtMs);
    const recent = this.#increases.flatMap(({ samples }) => samples);
    const known = [...this.#known.values()].map(({ sample }) => sample);
    return { edges: sumEdges([...known, ...recent], windowMs), windowMs };
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  #start(nowMs: number): void {
    this.#startedAtMs = nowMs;
    this.#values.clear();
    this.#increases = [];
    this.#schedule(0);
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#clock.schedule(delayMs, () => void this.#round());
  }

  async #round(): Promise<void> {
    const replicas = this.#replicas();
    const increases = await Promise.all(replicas.map((replica) => this.#scrape(replica)));
    const atMs = this.#clock.monotonicMs();
    if (this.#increases.length === 0) this.#startedAtMs = atMs;
    for (const [series, known] of this.#known) if (atMs - known.atMs > KEEP_MS) this.#known.delete(series);
    const recent = this.#increases.filter((one) => one.atMs > atMs - WINDOW_MS);
    this.#increases = [...recent, { atMs, samples: increases.flat() }];
    if (atMs - this.#askedAtMs > NOBODY_LOOKS_MS) this.#timer = undefined;
    else this.#schedule(PERIOD_MS);
  }

  /** What has been added since the last time; nothing the first time, which is where counting begins. */
  async #scrape(replica: WatchedReplica): Promise<readonly Sample[]> {
    const text = await scrapeAgent(replica);
    if (text === '') return [];
    const before = this.#values.get(replica.subject);
    const values = new Map<string, number>();
    const increases: Sample[] = [];
    for (const sample of parseSamples(text, 'istio_')) {
      if (!isEdgeSample(sample)) continue;
      const series = seriesOf(sample);
      values.set(series, sample.value);
      if (before === undefined) continue;
      const old = before.get(series) ?? 0;
      const value = sample.value >= old ? sample.value - old : sample.value;
      if (value <= 0) continue;
      increases.push({ ...sample, value });
      this.#keep(series, sample);
    }
    this.#values.set(replica.subject, values);
    return increases;
  }

  #keep(series: string, sample: Sample): void {
    if (sample.name.endsWith('_bucket') || (this.#known.size >= MAX_KNOWN && !this.#known.has(series)))
      return;
    this.#known.set(series, { sample: { ...sample, value: 0 }, atMs: this.#clock.monotonicMs() });
  }
}

/** Names a series, by its labels in the order in which they are printed. */
export function seriesOf({ name, labels }: Sample): string {
  return JSON.stringify([name, ...[...labels].flat()]);
}

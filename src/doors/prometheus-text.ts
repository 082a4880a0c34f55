/**
 * A small metrics registry and its text form, as Prometheus scrapes it (exposition format 0.0.4). Label values may come from
 * outside, so each metric has a bounded number of series; what comes beyond is counted, not kept.
 */
import { sortedBy } from '#base/bytes-order.ts';

/** Labels of one series, in the order in which they are printed. */
export type Labels = Readonly<Record<string, string>>;

/** Series per metric. */
const MAX_SERIES = 2_000;

/** Series by their printed labels; `T` is what is kept of each. */
class SeriesTable<T> {
  readonly #series: Map<string, T> = new Map();
  readonly #create: () => T;
  readonly #onDropped: () => void;

  constructor(create: () => T, onDropped: () => void) {
    this.#create = create;
    this.#onDropped = onDropped;
  }

  /** Undefined when there are too many already. */
  at(labels: Labels): T | undefined {
    const key = printLabels(labels);
    let series = this.#series.get(key);
    if (series === undefined) {
      if (this.#series.size >= MAX_SERIES) {
        this.#onDropped();
        return undefined;
      }
      series = this.#create();
      this.#series.set(key, series);
    }
    return series;
  }

  delete(labels: Labels): void {
    this.#series.delete(printLabels(labels));
  }

  sorted(): readonly (readonly [string, T])[] {
    return sortedBy(this.#series, ([labels]) => labels);
  }
}

/** A number per series that only grows. */
export class Counter {
  readonly #table: SeriesTable<{ value: number }>;

  constructor(onDropped: () => void) {
    this.#table = new SeriesTable(() => ({ value: 0 }), onDropped);
  }

  add(by: number, labels: Labels = {}): void {
    const series = this.#table.at(labels);
    if (series !== undefined) series.value += by;
  }

  print(name: string): string[] {
    return this.#table.sorted().map(([labels, { value }]) => sample(name, labels, value));
  }
}

/** A number per series that goes up and down. */
export class Gauge {
  readonly #table: SeriesTable<{ value: number }>;

  constructor(onDropped: () => void) {
    this.#table = new SeriesTable(() => ({ value: 0 }), onDropped);
  }

  set(value: number, labels: Labels = {}): void {
    const series = this.#table.at(labels);
    if (series !== undefined) series.value = value;
  }

  add(by: number, labels: Labels = {}): void {
    const series = this.#table.at(labels);
    if (series !== undefined) series.value += by;
  }

  /** Forgets a series whose thing is gone. */
  remove(labels: Labels): void {
    this.#table.delete(labels);
  }

  print(name: string): string[] {
    return this.#table.sorted().map(([labels, { value }]) => sample(name, labels, value));
  }
}

interface Distribution {
  readonly counts: number[];
  sum: number;
  count: number;
}

/** How the values of each series spread over buckets. */
export class Histogram {
  readonly #buckets: readonly number[];
  readonly #table: SeriesTable<Distribution>;

  /** `buckets`: upper bounds, ascending, without +Inf. */
  constructor(buckets: readonly number[], onDropped: () => void) {
    this.#buckets = buckets;
    this.#table = new SeriesTable(() => ({ counts: buckets.map(() => 0), sum: 0, count: 0 }), onDropped);
  }

  observe(value: number, labels: Labels = {}): void {
    const series = this.#table.at(labels);
    if (series === undefined) return;
    const bucket = this.#buckets.findIndex((bound) => value <= bound);
    if (bucket >= 0) series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
    series.count++;
  }

  print(name: string): string[] {
    return this.#table.sorted().flatMap(([labels, series]) => this.#printSeries(name, labels, series));
  }

  #printSeries(name: string, labels: string, { counts, sum, count }: Distribution): string[] {
    const before = labels === '' ? '' : `${labels},`;
    let below = 0;
    const lines = this.#buckets.map((bound, i) => {
      below += counts[i] ?? 0;
      return sample(`${name}_bucket`, `${before}le="${bound}"`, below);
    });
    lines.push(sample(`${name}_bucket`, `${before}le="+Inf"`, count));
    return [...lines, sample(`${name}_sum`, labels, sum), sample(`${name}_count`, labels, count)];
  }
}

interface Registered {
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  print(name: string): string[];
}

/** All metrics of a process. Errors: a name registered twice is a bug and throws. */
export class MetricRegistry {
  readonly #metrics: Map<string, Registered> = new Map();
  #droppedCount = 0;

  constructor() {
    const help = 'Values not counted because their metric has too many series.';
    this.read('lateen_metric_series_dropped_total', help, 'counter', () => this.#droppedCount);
  }

  counter(name: string, help: string): Counter {
    const counter = new Counter(this.#onDropped);
    this.#register(name, { help, type: 'counter', print: (as) => counter.print(as) });
    return counter;
  }

  gauge(name: string, help: string): Gauge {
    const gauge = new Gauge(this.#onDropped);
    this.#register(name, { help, type: 'gauge', print: (as) => gauge.print(as) });
    return gauge;
  }

  histogram(name: string, help: string, buckets: readonly number[]): Histogram {
    const histogram = new Histogram(buckets, this.#onDropped);
    this.#register(name, { help, type: 'histogram', print: (as) => histogram.print(as) });
    return histogram;
  }

  /** A value that is read at each scrape instead of being counted. */
  read(name: string, help: string, type: 'counter' | 'gauge', value: () => number): void {
    this.#register(name, { help, type, print: (as) => [sample(as, '', value())] });
  }

  /** The text form, ordered by name. */
  print(): string {
    const lines = sortedBy(this.#metrics, ([name]) => name).flatMap(([name, metric]) => [
      `# HELP ${name} ${metric.help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`,
      `# TYPE ${name} ${metric.type}`,
      ...metric.print(name),
    ]);
    return `${lines.join('\n')}\n`;
  }

  readonly #onDropped = (): void => {
    this.#droppedCount++;
  };

  #register(name: string, metric: Registered): void {
    if (this.#metrics.has(name)) throw new Error(`metric ${name} is registered twice`);
    this.#metrics.set(name, metric);
  }
}

function sample(name: string, labels: string, value: number): string {
  return labels === '' ? `${name} ${printNumber(value)}` : `${name}{${labels}} ${printNumber(value)}`;
}

function printNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}

/** The labels as they are printed, which also tell series apart. */
function printLabels(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeValue(value)}"`)
    .join(',');
}

function escapeValue(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}

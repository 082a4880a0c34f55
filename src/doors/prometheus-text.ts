/**
 * A small metrics registry and its text form, as Prometheus scrapes it (exposition format 0.0.4). Label values may come from
 * outside, so each metric has a bounded number of series; what comes beyond is counted, not kept.
 */
import { sortedBy } from '#base/bytes-order.ts';

/** A value per label of a metric. */
export type LabelValues = Readonly<Record<string, string>>;

export interface MetricOptions {
  readonly name: string;
  readonly help: string;
  /** Names of the labels, in the order in which they are printed; each change says a value for each. */
  readonly labels?: readonly string[];
}

export interface HistogramOptions extends MetricOptions {
  /** Upper bounds, ascending, without +Inf. */
  readonly buckets: readonly number[];
}

/** Series per metric. */
const MAX_SERIES = 2_000;

/** The series of one metric by their printed labels; `T` is what is kept of each. */
class SeriesTable<T> {
  readonly #labels: readonly string[];
  readonly #create: () => T;
  readonly #onDropped: () => void;
  readonly #series: Map<string, T> = new Map();

  constructor(labels: readonly string[], create: () => T, onDropped: () => void) {
    this.#labels = labels;
    this.#create = create;
    this.#onDropped = onDropped;
  }

  /** Undefined when there are too many already. */
  at(values: LabelValues): T | undefined {
    const key = this.#key(values);
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

  delete(values: LabelValues): void {
    this.#series.delete(this.#key(values));
  }

  sorted(): readonly (readonly [string, T])[] {
    return sortedBy(this.#series, ([key]) => key);
  }

  #key(values: LabelValues): string {
    return this.#labels.map((label) => `${label}="${escapeValue(values[label] ?? '')}"`).join(',');
  }
}

interface Value {
  value: number;
}

/** A number per series that only grows. */
export class Counter {
  readonly #name: string;
  readonly #table: SeriesTable<Value>;

  constructor({ name, labels = [] }: MetricOptions, onDropped: () => void) {
    this.#name = name;
    this.#table = new SeriesTable(labels, () => ({ value: 0 }), onDropped);
  }

  increment(values: LabelValues = {}, by = 1): void {
    const series = this.#table.at(values);
    if (series !== undefined) series.value += by;
  }

  print(): string[] {
    return this.#table.sorted().map(([labels, { value }]) => sample(this.#name, labels, value));
  }
}

/** A number per series that goes up and down. */
export class Gauge {
  readonly #name: string;
  readonly #table: SeriesTable<Value>;

  constructor({ name, labels = [] }: MetricOptions, onDropped: () => void) {
    this.#name = name;
    this.#table = new SeriesTable(labels, () => ({ value: 0 }), onDropped);
  }

  set(value: number, values: LabelValues = {}): void {
    const series = this.#table.at(values);
    if (series !== undefined) series.value = value;
  }

  add(by: number, values: LabelValues = {}): void {
    const series = this.#table.at(values);
    if (series !== undefined) series.value += by;
  }

  /** Forgets a series whose thing is gone. */
  remove(values: LabelValues): void {
    this.#table.delete(values);
  }

  print(): string[] {
    return this.#table.sorted().map(([labels, { value }]) => sample(this.#name, labels, value));
  }
}

interface Distribution {
  readonly counts: number[];
  sum: number;
  count: number;
}

/** How the values of each series spread over buckets. */
export class Histogram {
  readonly #name: string;
  readonly #buckets: readonly number[];
  readonly #table: SeriesTable<Distribution>;

  constructor({ name, buckets, labels = [] }: HistogramOptions, onDropped: () => void) {
    const create = (): Distribution => ({ counts: buckets.map(() => 0), sum: 0, count: 0 });
    this.#name = name;
    this.#buckets = buckets;
    this.#table = new SeriesTable(labels, create, onDropped);
  }

  observe(value: number, values: LabelValues = {}): void {
    const series = this.#table.at(values);
    if (series === undefined) return;
    const bucket = this.#buckets.findIndex((bound) => value <= bound);
    if (bucket >= 0) series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
    series.count++;
  }

  print(): string[] {
    return this.#table.sorted().flatMap(([labels, series]) => this.#printSeries(labels, series));
  }

  #printSeries(labels: string, { counts, sum, count }: Distribution): string[] {
    const name = this.#name;
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
  readonly options: MetricOptions;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly metric: { print(): string[] };
}

/** All metrics of a process. Errors: a name that is registered twice is a bug and throws. */
export class MetricRegistry {
  readonly contentType: string = 'text/plain; version=0.0.4; charset=utf-8';
  readonly #metrics: Map<string, Registered> = new Map();
  readonly #collectors: (() => void)[] = [];
  #droppedCount = 0;

  constructor() {
    const help = 'Values not counted because their metric has too many series.';
    const dropped = this.gauge({ name: 'lateen_metric_series_dropped', help });
    this.onCollect(() => dropped.set(this.#droppedCount));
  }

  counter(options: MetricOptions): Counter {
    const metric = new Counter(options, this.#onDropped);
    this.#register({ options, type: 'counter', metric });
    return metric;
  }

  gauge(options: MetricOptions): Gauge {
    const metric = new Gauge(options, this.#onDropped);
    this.#register({ options, type: 'gauge', metric });
    return metric;
  }

  histogram(options: HistogramOptions): Histogram {
    const metric = new Histogram(options, this.#onDropped);
    this.#register({ options, type: 'histogram', metric });
    return metric;
  }

  /** Called before each scrape, for values that are read rather than counted. */
  onCollect(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** The text form, ordered by name. */
  print(): string {
    for (const collect of this.#collectors) collect();
    const lines = sortedBy(this.#metrics, ([name]) => name).flatMap(([name, { options, type, metric }]) => [
      `# HELP ${name} ${options.help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`,
      `# TYPE ${name} ${type}`,
      ...metric.print(),
    ]);
    return `${lines.join('\n')}\n`;
  }

  readonly #onDropped = (): void => {
    this.#droppedCount++;
  };

  #register(registered: Registered): void {
    const { name } = registered.options;
    if (this.#metrics.has(name)) throw new Error(`metric ${name} is registered twice`);
    this.#metrics.set(name, registered);
  }
}

function sample(name: string, labels: string, value: number): string {
  return labels === '' ? `${name} ${printNumber(value)}` : `${name}{${labels}} ${printNumber(value)}`;
}

function printNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}

function escapeValue(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}

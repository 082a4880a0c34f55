/**
 * What the agent counts about itself, printed in front of a scrape under Istio's names. A plain table: name to help, kind and
 * values by label text; nothing here grows with what others send.
 */

/** Names of the counters. Source: Istio pkg/istio-agent/metrics, pilot/cmd/pilot-agent/metrics. */
export type AgentCounter =
  | 'istio_agent_scrapes_total'
  | 'istio_agent_scrape_failures_total{type="agent"}'
  | 'istio_agent_scrape_failures_total{type="application"}'
  | 'istio_agent_scrape_failures_total{type="envoy"}'
  | 'istio_agent_num_outgoing_requests{request_type="csr"}'
  | 'istio_agent_num_failed_outgoing_requests{request_type="csr"}'
  | 'istio_agent_istiod_connection_failures'
  | 'istio_agent_istiod_connection_terminations'
  | 'istio_agent_envoy_connection_terminations'
  | 'istio_agent_xds_proxy_requests'
  | 'istio_agent_xds_proxy_responses'
  | `istio_agent_wasm_cache_lookup_count{hit="${boolean}"}`
  | `istio_agent_wasm_remote_fetch_count{result="${string}"}`
  | `istio_agent_wasm_config_conversion_count{result="${string}"}`
  /** Trust bundles and revocation lists that were not taken: broken, over, or refused by Envoy. */
  | 'lateen_agent_trust_refused_total'
  | 'istio_agent_dns_requests_total'
  | 'istio_agent_dns_upstream_requests_total'
  | 'istio_agent_dns_upstream_failures_total';

/** Names of the histograms, with the upper ends of their buckets. Source: Istio pkg/dns/client/monitoring.go, pkg/wasm/monitoring.go. */
const HISTOGRAMS = {
  /** Milliseconds. */
  istio_agent_wasm_config_conversion_duration: [
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
  ],
  istio_agent_dns_upstream_request_duration_seconds: [0.001, 0.005, 0.01, 0.1, 1, 5],
} as const;

export type AgentHistogram = keyof typeof HISTOGRAMS;

interface Observations {
  /** Per bucket, the one without an end last; not cumulative. */
  readonly counts: number[];
  sum: number;
}

/** Values that go up and down, read when scraped. */
export interface AgentGauges {
  readonly startupSeconds: number | undefined;
  readonly certificateNotAfterUnixMs: number | undefined;
  /** WebAssembly modules on disk; undefined where the agent fetches none. */
  readonly wasmModules?: number | undefined;
}

/** Counts and prints. */
export class AgentMetrics {
  readonly #version: string;
  readonly #counts = new Map<AgentCounter, number>();
  readonly #observations = new Map<AgentHistogram, Observations>();

  constructor(version: string) {
    this.#version = version;
  }

  add(counter: AgentCounter, by = 1): void {
    this.#counts.set(counter, (this.#counts.get(counter) ?? 0) + by);
  }

  count(counter: AgentCounter): number {
    return this.#counts.get(counter) ?? 0;
  }

  observe(histogram: AgentHistogram, value: number): void {
    const ends = HISTOGRAMS[histogram];
    const known = this.#observations.get(histogram) ?? { counts: [...ends, 0].fill(0), sum: 0 };
    const bucket = ends.findIndex((end) => value <= end);
    const at = bucket < 0 ? ends.length : bucket;
    known.counts[at] = (known.counts[at] ?? 0) + 1;
    known.sum += value;
    this.#observations.set(histogram, known);
  }

  /** Prints everything in Prometheus' text form. */
  print(gauges: AgentGauges, nowUnixMs: number): string {
    const lines: string[] = [];
    let family = '';
    for (const [series, value] of [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const name = series.replace(/\{.*/, '');
      if (name !== family) lines.push(`# TYPE ${name} counter`);
      family = name;
      lines.push(`${series} ${value}`);
    }
    for (const [name, observed] of this.#observations) pushHistogram(lines, name, observed);
    const { rss } = process.memoryUsage();
    const cpu = process.cpuUsage();
    pushGauge(lines, 'istio_agent_process_resident_memory_bytes', rss);
    pushGauge(lines, 'istio_agent_process_cpu_seconds_total', (cpu.user + cpu.system) / 1e6, 'counter');
    pushGauge(lines, 'istio_agent_startup_duration_seconds', gauges.startupSeconds);
    pushGauge(lines, 'istio_agent_wasm_cache_entries', gauges.wasmModules);
    if (gauges.certificateNotAfterUnixMs !== undefined) {
      const leftSeconds = (gauges.certificateNotAfterUnixMs - nowUnixMs) / 1000;
      lines.push('# TYPE istio_agent_cert_expiry_seconds gauge');
      lines.push(`istio_agent_cert_expiry_seconds{resource_name="default"} ${leftSeconds}`);
    }
    lines.push('# TYPE istio_build gauge', `istio_build{component="proxy",tag="${this.#version}"} 1`);
    return `${lines.join('\n')}\n`;
  }
}

function pushHistogram(lines: string[], name: AgentHistogram, { counts, sum }: Observations): void {
  lines.push(`# TYPE ${name} histogram`);
  let total = 0;
  for (const [i, count] of counts.entries()) {
    total += count;
    lines.push(`${name}_bucket{le="${HISTOGRAMS[name][i] ?? '+Inf'}"} ${total}`);
  }
  lines.push(`${name}_sum ${sum}`, `${name}_count ${total}`);
}

function pushGauge(lines: string[], name: string, value: number | undefined, kind = 'gauge'): void {
  if (value !== undefined) lines.push(`# TYPE ${name} ${kind}`, `${name} ${value}`);
}

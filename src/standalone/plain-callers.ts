/**
 * Who has called workloads in plain text, as the workloads' own proxies count it: from samples of Istio's metrics at every look
 * to how often, and when last. A caller that has been quiet for an hour is forgotten, as proxies forget their counters. Bounded.
 */
import { compareBytes } from '#base/bytes-order.ts';
import type { PlaintextCaller } from '#doors/control-protocol.ts';
import type { Sample } from './prometheus-text.ts';

/** Counters whose increase is a call; the others only show that a connection is still in use. */
const CALLS: ReadonlySet<string> = new Set(['istio_requests_total', 'istio_tcp_connections_opened_total']);
const SIGNS: ReadonlySet<string> = new Set([
  ...CALLS,
  'istio_tcp_received_bytes_total',
  'istio_tcp_sent_bytes_total',
]);
const MAX_CALLERS = 2000;
const KEEP_MS = 3_600_000;

interface Known {
  readonly workload: string;
  readonly caller: Omit<PlaintextCaller, 'requests' | 'lastSeen'>;
  requests: number;
  lastSeenUnixMs: number;
}

/** Keeps the callers. */
export class PlainCallers {
  /** Last values by replica and series. */
  readonly #values = new Map<string, ReadonlyMap<string, number>>();
  readonly #known = new Map<string, Known>();

  /** Takes what a replica of `workload` (`namespace/name`) counts now. A counter that went back began anew. */
  note(workload: string, replica: string, samples: Iterable<Sample>, nowUnixMs: number): void {
    const before = this.#values.get(replica);
    const values = new Map<string, number>();
    for (const sample of samples) {
      if (!isPlain(sample)) continue;
      const series = JSON.stringify([sample.name, ...[...sample.labels].flat()]);
      values.set(series, sample.value);
      const old = before?.get(series) ?? 0;
      const increase = sample.value >= old ? sample.value - old : sample.value;
      if (increase > 0) this.#add(workload, sample, increase, nowUnixMs);
    }
    this.#values.set(replica, values);
    for (const [key, { lastSeenUnixMs }] of this.#known) {
      if (lastSeenUnixMs < nowUnixMs - KEEP_MS) this.#known.delete(key);
    }
  }

  /** Forgets the counters of replicas that are gone; their callers stay. */
  retain(replicas: ReadonlySet<string>): void {
    for (const replica of this.#values.keys()) if (!replicas.has(replica)) this.#values.delete(replica);
  }

  /** The callers of a workload, the latest first. */
  of(workload: string): readonly PlaintextCaller[] {
    return [...this.#known.values()]
      .filter((known) => known.workload === workload)
      .sort((a, b) => b.lastSeenUnixMs - a.lastSeenUnixMs || compareBytes(a.caller.source, b.caller.source))
      .map(({ caller, requests, lastSeenUnixMs }) => {
        return { ...caller, requests, lastSeen: new Date(lastSeenUnixMs).toISOString() };
      });
  }

  #add(workload: string, { name, labels }: Sample, increase: number, nowUnixMs: number): void {
    const source = labels.get('source_workload') ?? 'unknown';
    const namespace = labels.get('source_workload_namespace') ?? 'unknown';
    const protocol = name === 'istio_requests_total' ? 'http' : 'tcp';
    const key = JSON.stringify([workload, source, namespace, protocol]);
    const known = this.#known.get(key);
    if (known === undefined && this.#known.size >= MAX_CALLERS) return;
    const caller = known ?? {
      workload,
      caller: { source, namespace, protocol },
      requests: 0,
      lastSeenUnixMs: 0,
    };
    if (CALLS.has(name)) caller.requests += increase;
    caller.lastSeenUnixMs = nowUnixMs;
    this.#known.set(key, caller);
  }
}

function isPlain({ name, labels }: Sample): boolean {
  return (
    SIGNS.has(name) &&
    labels.get('reporter') === 'destination' &&
    labels.get('connection_security_policy') === 'none'
  );
}

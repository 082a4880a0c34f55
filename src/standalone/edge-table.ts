/**
 * From samples of Istio's metrics to edges: who called whom, how often, how well, how fast, and whether by mTLS. What the caller's
 * proxy reports counts, since it sees failures that never reach the other side; the callee's report tells mTLS, and
 * stands in where the caller is outside of the mesh. Pure.
 */
import type { Edge } from '#doors/control-protocol.ts';
import { histogramQuantile } from './histogram.ts';
import type { Sample } from './prometheus-text.ts';

const UNKNOWN = 'unknown';
const REQUESTS = 'istio_requests_total';
const DURATION_BUCKET = 'istio_request_duration_milliseconds_bucket';
const CONNECTIONS = 'istio_tcp_connections_opened_total';
const SERVER_ERROR = 500;

/** What one side reports of an edge. */
interface Report {
  requests: number;
  failures: number;
  mutualTls: number;
  readonly buckets: Map<number, number>;
}

interface EdgeSum {
  readonly edge: Pick<
    Edge,
    'source' | 'sourceNamespace' | 'destination' | 'destinationNamespace' | 'protocol'
  >;
  readonly bySource: Report;
  readonly byDestination: Report;
}

/** Metrics that edges are made of; others need not be kept. */
export function isEdgeSample({ name }: Sample): boolean {
  return name === REQUESTS || name === DURATION_BUCKET || name === CONNECTIONS;
}

/** Edges from increases over `windowMs`, by name of source and destination. */
export function sumEdges(increases: Iterable<Sample>, windowMs: number): readonly Edge[] {
  const sums = new Map<string, EdgeSum>();
  for (const sample of increases) addSample(sums, sample);
  const names = [...sums.keys()].sort();
  return names.flatMap((name) => {
    const sum = sums.get(name);
    return sum === undefined ? [] : [printEdge(sum, windowMs)];
  });
}

function addSample(sums: Map<string, EdgeSum>, { name, labels, value }: Sample): void {
  const edge = edgeOf(name, labels);
  const key = [
    edge.sourceNamespace,
    edge.source,
    edge.destinationNamespace,
    edge.destination,
    edge.protocol,
  ].join('/');
  const sum = sums.get(key) ?? { edge, bySource: emptyReport(), byDestination: emptyReport() };
  sums.set(key, sum);
  const report = labels.get('reporter') === 'source' ? sum.bySource : sum.byDestination;
  if (name === DURATION_BUCKET) {
    const bound = labels.get('le') === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.get('le'));
    report.buckets.set(bound, (report.buckets.get(bound) ?? 0) + value);
    return;
  }
  report.requests += value;
  if (labels.get('connection_security_policy') === 'mutual_tls') report.mutualTls += value;
  const code = Number(labels.get('response_code') ?? '200');
  if (name === REQUESTS && (code === 0 || code >= SERVER_ERROR)) report.failures += value;
}

function emptyReport(): Report {
  return { requests: 0, failures: 0, mutualTls: 0, buckets: new Map() };
}

/** A destination that no workload answers for (a fault, an outside service) goes by its service's name. */
function edgeOf(name: string, labels: ReadonlyMap<string, string>): EdgeSum['edge'] {
  const text = (label: string): string => labels.get(label) ?? UNKNOWN;
  const workload = text('destination_workload');
  const service = text('destination_service_name');
  return {
    source: text('source_workload'),
    sourceNamespace: text('source_workload_namespace'),
    destination: workload === UNKNOWN ? service : workload,
    destinationNamespace:
      workload === UNKNOWN ? text('destination_service_namespace') : text('destination_workload_namespace'),
    protocol: name === CONNECTIONS ? 'tcp' : 'http',
  };
}

function printEdge({ edge, bySource, byDestination }: EdgeSum, windowMs: number): Edge {
  const report = bySource.requests > 0 ? bySource : byDestination;
  const { requests, failures, buckets } = report;
  const p50Ms = histogramQuantile(buckets, 0.5);
  const p99Ms = histogramQuantile(buckets, 0.99);
  return {
    ...edge,
    requestsPerSecond: windowMs > 0 ? (requests * 1000) / windowMs : 0,
    successRate: requests > 0 ? 1 - failures / requests : 1,
    ...(p50Ms === undefined ? {} : { p50Ms }),
    ...(p99Ms === undefined ? {} : { p99Ms }),
    mtls: byDestination.mutualTls > 0 && byDestination.mutualTls >= byDestination.requests,
  };
}

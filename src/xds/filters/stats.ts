/**
 * Istio's metrics from stock Envoy: `envoy.access_loggers.stats` writes istio_requests_total and its fellows with Istio's
 * exact names and labels (DESIGN.md section 6). The status server of the agent takes off the scope's prefix.
 * Each metric formats each of its labels again, so labels are constants or one look-up; no expression is evaluated here.
 * Source: istio/proxy istio_stats.cc (labels, fallbacks), Envoy access_loggers/stats/v3.
 */
import { create } from '@bufbuild/protobuf';
import type { AccessLog, AccessLogFilter } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import {
  AccessLogFilterSchema,
  AccessLogSchema,
  ComparisonFilter_Op,
} from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import { AccessLogType } from '#proto/envoy/data/accesslog/v3/accesslog_pb.ts';
import type {
  Config_Counter,
  Config_Histogram,
  Config_Tag,
} from '#proto/envoy/extensions/access_loggers/stats/v3/stats_pb.ts';
import {
  Config_CounterSchema,
  Config_Histogram_Unit as Unit,
  Config_HistogramSchema,
  Config_TagSchema,
  ConfigSchema,
} from '#proto/envoy/extensions/access_loggers/stats/v3/stats_pb.ts';
import { packAny } from '#xds/encode.ts';
import { logTypeFilter } from './access-log.ts';
import { constant, formatOperators, type Operator } from './format-operator.ts';
import { METADATA_NAMESPACE, PEER_LABELS, type PeerLabel, peerState } from './peer-labels.ts';

/** Scope of all these metrics; the agent (bootstrap-stats.ts, metric-renaming.ts) and Envoy's Wasm runtime know it. */
export const STATS_SCOPE = 'wasmcustom';

/**
 * When an inbound mTLS connection is counted as opened. Stock Envoy connects upstream before the handshake is done, so at that
 * moment nobody knows the caller; Istio's filter reports every 5 s too.
 */
export const OPENED_REPORT_MS = 5_000;

export interface StatsInput {
  readonly protocol: 'http' | 'tcp';
  /** `source` at the caller (outbound, gateways), `destination` at the called (inbound). */
  readonly reporter: 'source' | 'destination';
  /** At the destination: mesh mTLS ended here, so that there is a peer to know. */
  readonly mutualTls: boolean;
  /** False: the loggers hear of connections at their end only. */
  readonly hearsOpen?: boolean;
}

/** The loggers of one HTTP connection manager or TCP proxy. */
export function buildStatsLoggers(input: StatsInput): AccessLog[] {
  const tags = [...placeTags(input), ...securityTags(input)];
  return input.protocol === 'http' ? httpLoggers(tags) : tcpLoggers(tags, openedFilter(input));
}

/**
 * One logger per request protocol, because the label is a constant in each. Istio's istio_request_messages_total and
 * istio_response_messages_total (gRPC) are missing: no operator of stock Envoy gives the counts of the grpc_stats filter as numbers.
 */
function httpLoggers(tags: readonly Config_Tag[]): AccessLog[] {
  const all = [
    ...tags,
    tag('response_code', '%RESPONSE_CODE%'),
    tag('response_flags', '%RESPONSE_FLAGS%'),
    // Empty for what is not gRPC.
    tag('grpc_response_status', '%GRPC_STATUS_NUMBER%'),
  ];
  const http = [...all, tag('request_protocol', 'http')];
  const grpc = [...all, tag('request_protocol', 'grpc')];
  return [
    statsLogger(grpcFilter(false), [requestCounter(http)], requestHistograms(http)),
    statsLogger(grpcFilter(true), [requestCounter(grpc)], requestHistograms(grpc)),
  ];
}

function requestCounter(tags: readonly Config_Tag[]): Config_Counter {
  return counter('istio_requests_total', tags);
}

/** Bytes are counted at the end: Envoy's periodic values are cumulative and would count twice. */
function tcpLoggers(tags: readonly Config_Tag[], opened: AccessLogFilter): AccessLog[] {
  const all = [...tags, tag('response_flags', '%RESPONSE_FLAGS%'), tag('request_protocol', 'tcp')];
  return [
    statsLogger(opened, [counter('istio_tcp_connections_opened_total', all)]),
    statsLogger(logTypeFilter([AccessLogType.TcpConnectionEnd]), [
      counter('istio_tcp_connections_closed_total', all),
      counter('istio_tcp_sent_bytes_total', all, '%BYTES_SENT%'),
      counter('istio_tcp_received_bytes_total', all, '%BYTES_RECEIVED%'),
    ]),
  ];
}

/** The one moment at which a connection counts as opened: the first report, or its end where that comes before. */
function openedFilter(input: StatsInput): AccessLogFilter {
  if (input.hearsOpen === false) return logTypeFilter([AccessLogType.TcpConnectionEnd]);
  if (input.reporter === 'source' || !input.mutualTls) {
    return logTypeFilter([AccessLogType.TcpUpstreamConnected]);
  }
  const first = allOf(logTypeFilter([AccessLogType.TcpPeriodic]), atMostMs(OPENED_REPORT_MS * 1.5));
  const short = allOf(logTypeFilter([AccessLogType.TcpConnectionEnd]), atMostMs(OPENED_REPORT_MS - 1));
  return create(AccessLogFilterSchema, {
    filterSpecifier: { case: 'orFilter', value: { filters: [first, short] } },
  });
}

function allOf(...filters: AccessLogFilter[]): AccessLogFilter {
  return create(AccessLogFilterSchema, { filterSpecifier: { case: 'andFilter', value: { filters } } });
}

function atMostMs(durationMs: number): AccessLogFilter {
  const value = { defaultValue: durationMs, runtimeKey: 'lateen.tcp_opened_report_ms' };
  return create(AccessLogFilterSchema, {
    filterSpecifier: {
      case: 'durationFilter',
      value: { comparison: { op: ComparisonFilter_Op.LE, value } },
    },
  });
}

/** Sizes are bytes on the wire, headers included, as Istio's. */
function requestHistograms(tags: readonly Config_Tag[]): Config_Histogram[] {
  return [
    histogram('istio_request_duration_milliseconds', tags, Unit.Milliseconds, '%DURATION%'),
    histogram('istio_request_bytes', tags, Unit.Bytes, '%DOWNSTREAM_WIRE_BYTES_RECEIVED%'),
    histogram('istio_response_bytes', tags, Unit.Bytes, '%DOWNSTREAM_WIRE_BYTES_SENT%'),
  ];
}

/** Who calls, who is called, and by which service name. */
function placeTags(input: StatsInput): Config_Tag[] {
  const atSource = input.reporter === 'source';
  const sides = PEER_LABELS.flatMap((peer) => [
    tag(`source_${peer.label}`, atSource ? local(peer) : caller(peer, input.mutualTls)),
    tag(`destination_${peer.label}`, atSource ? called(peer) : local(peer)),
  ]);
  return [tag('reporter', input.reporter), ...sides, ...serviceTags(atSource)];
}

/**
 * The service that was meant, from the cluster's metadata; a cluster without (pass-through, black hole) shows its name.
 * Never from the Host header, which callers choose: the number of series stays bounded (security case T40; Istio falls back to the
 * header in outbound listeners).
 */
function serviceTags(atSource: boolean): Config_Tag[] {
  const meta = (key: string): Operator => ({
    command: 'METADATA',
    param: `CLUSTER:${METADATA_NAMESPACE}:${key}`,
  });
  const own = (variable: string): Operator => ({ command: 'ENVIRONMENT', param: variable });
  const hostFallback = atSource ? constant('unknown') : own('LATEEN_CANONICAL_SERVICE');
  const namespaceTag = atSource
    ? formatOperators([meta('namespace'), constant('unknown')])
    : formatOperators([own('LATEEN_NAMESPACE')]);
  return [
    tag('destination_service', formatOperators([meta('host'), hostFallback])),
    tag(
      'destination_service_name',
      formatOperators([meta('name'), { command: 'UPSTREAM_CLUSTER_RAW' }, constant('unknown')]),
    ),
    tag('destination_service_namespace', namespaceTag),
  ];
}

/** Principals and the security of the connection; Istio leaves the latter `unknown` at the source. */
function securityTags(input: StatsInput): Config_Tag[] {
  if (input.reporter === 'source') {
    const san = (side: string): string =>
      formatOperators([{ command: `UPSTREAM_${side}_URI_SAN` }, constant('unknown')]);
    return [
      tag('source_principal', san('LOCAL')),
      tag('destination_principal', san('PEER')),
      tag('connection_security_policy', 'unknown'),
    ];
  }
  return [
    tag('source_principal', input.mutualTls ? '%DOWNSTREAM_PEER_URI_SAN%' : 'unknown'),
    tag('destination_principal', input.mutualTls ? '%DOWNSTREAM_LOCAL_URI_SAN%' : 'unknown'),
    tag('connection_security_policy', input.mutualTls ? 'mutual_tls' : 'none'),
  ];
}

function local(peer: PeerLabel): string {
  return formatOperators([{ command: 'ENVIRONMENT', param: peer.variable }]);
}

function called(peer: PeerLabel): string {
  return formatOperators([
    { command: 'UPSTREAM_METADATA', param: `${METADATA_NAMESPACE}:${peer.key}` },
    constant(peer.missing),
  ]);
}

/** Set by peer-metadata.ts, which also puts in what stands for unknown. */
function caller(peer: PeerLabel, mutualTls: boolean): string {
  return mutualTls
    ? formatOperators([{ command: 'FILTER_STATE', param: `${peerState(peer)}:PLAIN` }])
    : peer.missing;
}

/** gRPC as Envoy tells it: content-type application/grpc, alone or with +codec or parameters (not gRPC-Web). */
function grpcFilter(isGrpc: boolean): AccessLogFilter {
  return create(AccessLogFilterSchema, {
    filterSpecifier: {
      case: 'headerFilter',
      value: {
        header: {
          name: 'content-type',
          invertMatch: !isGrpc,
          // Inverted, a request without the header must match too.
          treatMissingHeaderAsEmpty: true,
          headerMatchSpecifier: {
            case: 'stringMatch',
            value: { matchPattern: { case: 'safeRegex', value: { regex: 'application/grpc([+;].*)?' } } },
          },
        },
      },
    },
  });
}

function statsLogger(
  filter: AccessLogFilter,
  counters: Config_Counter[],
  histograms: Config_Histogram[] = [],
): AccessLog {
  const config = create(ConfigSchema, {
    // Series that nobody uses any more go (metric rotation), so that churn of workloads does not fill the memory.
    statsScope: { prefix: STATS_SCOPE, enableEviction: true },
    counters,
    histograms,
  });
  return create(AccessLogSchema, {
    name: 'envoy.access_loggers.stats',
    filter,
    configType: { case: 'typedConfig', value: packAny(ConfigSchema, config) },
  });
}

function tag(name: string, valueFormat: string): Config_Tag {
  return create(Config_TagSchema, { name, valueFormat });
}

function counter(name: string, tags: readonly Config_Tag[], valueFormat = ''): Config_Counter {
  return create(Config_CounterSchema, {
    stat: { name, tags: [...tags] },
    ...(valueFormat === '' ? { valueFixed: 1n } : { valueFormat }),
  });
}

function histogram(
  name: string,
  tags: readonly Config_Tag[],
  unit: Unit,
  valueFormat: string,
): Config_Histogram {
  return create(Config_HistogramSchema, { stat: { name, tags: [...tags] }, unit, valueFormat });
}

/**
 * Access loggers from mesh config: Istio's default lines in text or JSON, or the user's own format. The same for all
 * proxies, so every listener that logs holds the same bytes.
 * Source: istio pilot/pkg/model/telemetry_logging.go FileAccessLogFromMeshConfig, pilot/pkg/networking/core/accesslog.go.
 */
import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { AccessLog, AccessLogFilter } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import { AccessLogFilterSchema, AccessLogSchema } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import type { SubstitutionFormatString } from '#proto/envoy/config/core/v3/substitution_format_string_pb.ts';
import { SubstitutionFormatStringSchema } from '#proto/envoy/config/core/v3/substitution_format_string_pb.ts';
import { AccessLogType } from '#proto/envoy/data/accesslog/v3/accesslog_pb.ts';
import { FileAccessLogSchema } from '#proto/envoy/extensions/access_loggers/file/v3/file_pb.ts';
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '#proto/envoy/extensions/access_loggers/stream/v3/stream_pb.ts';
import { ReqWithoutQuerySchema } from '#proto/envoy/extensions/formatter/req_without_query/v3/req_without_query_pb.ts';
import type { AccessLogFacts } from '#scope/listener-facts.ts';
import { packAny } from '#xds/encode.ts';
import { buildHttpServiceLog, buildTcpServiceLog } from './access-log-service.ts';

/** The part of mesh config that access logs depend on. */
export type AccessLogInput = Pick<AccessLogFacts, 'file' | 'format' | 'encoding'> & Partial<AccessLogFacts>;

/** The fields of Istio's default line, in the line's order: key in JSON, operator, and the quotes around it in text. */
const FIELDS: readonly (readonly [key: string, operator: string])[] = [
  ['start_time', '%START_TIME%'],
  ['method', '%REQ(:METHOD)%'],
  ['path', '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%'],
  ['protocol', '%PROTOCOL%'],
  ['response_code', '%RESPONSE_CODE%'],
  ['response_flags', '%RESPONSE_FLAGS%'],
  ['response_code_details', '%RESPONSE_CODE_DETAILS%'],
  ['connection_termination_details', '%CONNECTION_TERMINATION_DETAILS%'],
  ['upstream_transport_failure_reason', '%UPSTREAM_TRANSPORT_FAILURE_REASON%'],
  ['bytes_received', '%BYTES_RECEIVED%'],
  ['bytes_sent', '%BYTES_SENT%'],
  ['duration', '%DURATION%'],
  ['upstream_service_time', '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%'],
  ['x_forwarded_for', '%REQ(X-FORWARDED-FOR)%'],
  ['user_agent', '%REQ(USER-AGENT)%'],
  ['request_id', '%REQ(X-REQUEST-ID)%'],
  ['authority', '%REQ(:AUTHORITY)%'],
  ['upstream_host', '%UPSTREAM_HOST%'],
  ['upstream_cluster', '%UPSTREAM_CLUSTER_RAW%'],
  ['upstream_local_address', '%UPSTREAM_LOCAL_ADDRESS%'],
  ['downstream_local_address', '%DOWNSTREAM_LOCAL_ADDRESS%'],
  ['downstream_remote_address', '%DOWNSTREAM_REMOTE_ADDRESS%'],
  ['requested_server_name', '%REQUESTED_SERVER_NAME%'],
  ['route_name', '%ROUTE_NAME%'],
];

/** What stands around an operator in the text line, where it is not a bare word. */
const TEXT_QUOTES: Readonly<Record<string, readonly [before: string, after: string]>> = {
  start_time: ['[', ']'],
  method: ['"', ''],
  protocol: ['', '"'],
  upstream_transport_failure_reason: ['"', '"'],
  x_forwarded_for: ['"', '"'],
  user_agent: ['"', '"'],
  request_id: ['"', '"'],
  authority: ['"', '"'],
  upstream_host: ['"', '"'],
};

/** Istio's default text line, with its newline. */
export const DEFAULT_TEXT_FORMAT: string = `${FIELDS.map(([key, operator]) => {
  const [before, after] = TEXT_QUOTES[key] ?? ['', ''];
  return `${before}${operator}${after}`;
}).join(' ')}\n`;

/** Istio's default JSON object. */
export const DEFAULT_JSON_FORMAT: JsonObject = Object.fromEntries(FIELDS);

/** The loggers of an HTTP connection manager or, with `tcp`, of a TCP proxy: none, one, or file and service. */
export function buildAccessLogs(input: AccessLogInput, carries: 'http' | 'tcp'): AccessLog[] {
  const service = input.toService === true;
  if (carries === 'http') return [...buildFileLog(input), ...(service ? [buildHttpServiceLog()] : [])];
  // Loggers of TCP proxies may hear of open connections, for the metrics; the line is written once, at the end.
  const atEnd = input.hearsOpen === false ? undefined : logTypeFilter([AccessLogType.TcpConnectionEnd]);
  return [
    ...buildFileLog(input, atEnd),
    ...(service ? [buildTcpServiceLog('tcp_envoy_accesslog', atEnd)] : []),
  ];
}

/** The loggers of a listener: only connections that no filter chain took (NR), which nothing else would log. */
export function buildListenerAccessLogs(input: AccessLogInput): AccessLog[] {
  if (input.onListeners === false) return [];
  const unmatched = create(AccessLogFilterSchema, {
    filterSpecifier: { case: 'responseFlagFilter', value: { flags: ['NR'] } },
  });
  return [
    ...buildFileLog(input, unmatched),
    ...(input.toService === true ? [buildTcpServiceLog('listener_envoy_accesslog', unmatched)] : []),
  ];
}

/** Passes only these moments in the life of a request or connection. */
export function logTypeFilter(types: readonly AccessLogType[]): AccessLogFilter {
  return create(AccessLogFilterSchema, {
    filterSpecifier: { case: 'logTypeFilter', value: { types: [...types] } },
  });
}

function buildFileLog(input: AccessLogInput, filter?: AccessLogFilter): AccessLog[] {
  if (input.file === '') return [];
  return [
    create(AccessLogSchema, {
      ...logger(input, buildFormat(input)),
      ...(filter === undefined ? {} : { filter }),
    }),
  ];
}

/**
 * A file logger, as Istio writes it for /dev/stdout too. Envoy opens that path by name, which fails (and refuses the listener)
 * when its standard output is a socket, as a child of Node has it; then the stream logger writes to the open descriptor. Spare
 * Envoys have a socket for /dev/stderr.
 */
function logger(
  { file, stdoutIsSocket }: AccessLogInput,
  logFormat: SubstitutionFormatString,
): MessageInitShape<typeof AccessLogSchema> {
  const accessLogFormat = { case: 'logFormat' as const, value: logFormat };
  if (file === '/dev/stdout' && stdoutIsSocket === true) {
    const stdout = packAny(StdoutAccessLogSchema, create(StdoutAccessLogSchema, { accessLogFormat }));
    return { name: 'envoy.access_loggers.stdout', configType: { case: 'typedConfig', value: stdout } };
  }
  if (file === '/dev/stderr') {
    const stderr = packAny(StderrAccessLogSchema, create(StderrAccessLogSchema, { accessLogFormat }));
    return { name: 'envoy.access_loggers.stderr', configType: { case: 'typedConfig', value: stderr } };
  }
  const config = packAny(FileAccessLogSchema, create(FileAccessLogSchema, { path: file, accessLogFormat }));
  return { name: 'envoy.access_loggers.file', configType: { case: 'typedConfig', value: config } };
}

function buildFormat(input: AccessLogInput): SubstitutionFormatString {
  const format = create(
    SubstitutionFormatStringSchema,
    input.encoding === 'JSON'
      ? { format: { case: 'jsonFormat', value: jsonFormat(input.format) }, jsonFormatOptions: {} }
      : {
          format: {
            case: 'textFormatSource',
            value: { specifier: { case: 'inlineString', value: textFormat(input.format) } },
          },
        },
  );
  // The one operator that Envoy does not know by itself.
  if (input.format.includes('%REQ_WITHOUT_QUERY')) {
    format.formatters = [
      {
        $typeName: 'envoy.config.core.v3.TypedExtensionConfig',
        name: 'envoy.formatter.req_without_query',
        typedConfig: packAny(ReqWithoutQuerySchema, create(ReqWithoutQuerySchema)),
      },
    ];
  }
  return format;
}

function textFormat(format: string): string {
  if (format === '') return DEFAULT_TEXT_FORMAT;
  return format.endsWith('\n') ? format : `${format}\n`;
}

/** The user's JSON object; what is not one gives the default, as in Istio. */
function jsonFormat(format: string): JsonObject {
  if (format === '') return DEFAULT_JSON_FORMAT;
  try {
    const parsed: unknown = JSON.parse(format);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as JsonObject;
  } catch {
    // Falls through to the default: a broken format must not cost the log.
  }
  return DEFAULT_JSON_FORMAT;
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type JsonValue, toJson } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import type { AccessLog } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import { AccessLogFilterSchema } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import { FileAccessLogSchema } from '#proto/envoy/extensions/access_loggers/file/v3/file_pb.ts';
import { StdoutAccessLogSchema } from '#proto/envoy/extensions/access_loggers/stream/v3/stream_pb.ts';
import {
  type AccessLogInput,
  buildAccessLogs,
  buildListenerAccessLogs,
  DEFAULT_JSON_FORMAT,
} from './access-log.ts';

const FILE: AccessLogInput = { file: '/var/log/a', format: '', encoding: 'TEXT' };

/** Istio's line, as its documentation has it. */
const ISTIO_LINE =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% ' +
  '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% ' +
  '%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n';

function formatOf(logs: readonly AccessLog[]): JsonValue {
  const [log] = logs;
  if (log?.configType.case !== 'typedConfig') return null;
  const file = anyUnpack(log.configType.value, FileAccessLogSchema);
  if (file === undefined) return null;
  if (file.accessLogFormat.case !== 'logFormat') return null;
  const { format, formatters } = file.accessLogFormat.value;
  const names = formatters.map(({ name }) => name);
  if (format.case === 'jsonFormat') return { json: format.value, names };
  return format.case === 'textFormatSource' ? { text: format.value.specifier.value as string, names } : null;
}

describe('access logs', () => {
  const cases: readonly (readonly [string, AccessLogInput, JsonValue])[] = [
    ['have the line of Istio', FILE, { text: ISTIO_LINE, names: [] }],
    ['get a missing newline', { ...FILE, format: '%PROTOCOL%' }, { text: '%PROTOCOL%\n', names: [] }],
    ['keep a newline', { ...FILE, format: '%PROTOCOL%\n' }, { text: '%PROTOCOL%\n', names: [] }],
    ['have the JSON of Istio', { ...FILE, encoding: 'JSON' }, { json: DEFAULT_JSON_FORMAT, names: [] }],
    [
      'take a JSON format, nested and with hostile keys',
      { ...FILE, encoding: 'JSON', format: '{"b":{"__proto__x":"%PROTOCOL%"},"a":1}' },
      { json: { a: 1, b: { __proto__x: '%PROTOCOL%' } }, names: [] },
    ],
    [
      'fall back where JSON is broken',
      { ...FILE, encoding: 'JSON', format: '{"a":' },
      { json: DEFAULT_JSON_FORMAT, names: [] },
    ],
    [
      'fall back where JSON is no object',
      { ...FILE, encoding: 'JSON', format: '[1]' },
      { json: DEFAULT_JSON_FORMAT, names: [] },
    ],
    [
      'bring the formatter of REQ_WITHOUT_QUERY',
      { ...FILE, format: '%REQ_WITHOUT_QUERY(:PATH)%' },
      { text: '%REQ_WITHOUT_QUERY(:PATH)%\n', names: ['envoy.formatter.req_without_query'] },
    ],
  ];
  for (const [name, input, expected] of cases) {
    it(name, () => assert.deepEqual(formatOf(buildAccessLogs(input, 'http')), expected));
  }

  it('have as many fields in JSON as in the line', () => {
    assert.equal(Object.keys(DEFAULT_JSON_FORMAT).length, ISTIO_LINE.match(/%[^%]+%/g)?.length);
  });

  it('are none without a file', () => {
    const none = { ...FILE, file: '' };
    assert.deepEqual(
      [buildAccessLogs(none, 'http'), buildAccessLogs(none, 'tcp'), buildListenerAccessLogs(none)],
      [[], [], []],
    );
  });

  it('write to /dev/stdout by name, and to the open descriptor where that is a socket', () => {
    const [named] = buildAccessLogs({ ...FILE, file: '/dev/stdout' }, 'http');
    assert.equal(named?.name, 'envoy.access_loggers.file');
    const [log] = buildAccessLogs({ ...FILE, file: '/dev/stdout', stdoutIsSocket: true }, 'http');
    assert.equal(log?.name, 'envoy.access_loggers.stdout');
    assert.ok(
      log.configType.case === 'typedConfig' && anyUnpack(log.configType.value, StdoutAccessLogSchema),
    );
  });

  it('are written at the end of TCP connections, and for listeners only where no chain fits', () => {
    const filterOf = (logs: readonly AccessLog[]): JsonValue =>
      logs[0]?.filter === undefined ? null : toJson(AccessLogFilterSchema, logs[0].filter);
    assert.deepEqual(
      [
        filterOf(buildAccessLogs(FILE, 'http')),
        filterOf(buildAccessLogs(FILE, 'tcp')),
        filterOf(buildAccessLogs({ ...FILE, hearsOpen: false }, 'tcp')),
        filterOf(buildListenerAccessLogs(FILE)),
      ],
      [
        null,
        { logTypeFilter: { types: ['TcpConnectionEnd'] } },
        null,
        { responseFlagFilter: { flags: ['NR'] } },
      ],
    );
  });
});

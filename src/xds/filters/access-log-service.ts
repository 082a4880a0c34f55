/**
 * Access loggers that send to a service (mesh config enableEnvoyAccessLogService): the cluster behind it is static, from the
 * ProxyConfig envoyAccessLogService that the proxy was started with.
 * Source: istio pilot/pkg/networking/core/accesslog.go tcpGrpcAccessLog, httpGrpcAccessLog.
 */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { AccessLog, AccessLogFilter } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import { AccessLogSchema } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import { ApiVersion } from '#proto/envoy/config/core/v3/config_source_pb.ts';
import {
  type CommonGrpcAccessLogConfigSchema,
  HttpGrpcAccessLogConfigSchema,
  TcpGrpcAccessLogConfigSchema,
} from '#proto/envoy/extensions/access_loggers/grpc/v3/als_pb.ts';
import { packAny } from '#xds/encode.ts';

/** Name of the static cluster in the bootstrap. */
const SERVICE_CLUSTER = 'envoy_accesslog_service';

/** Facts about the peers that Istio's filters would have left. */
const STATES: readonly string[] = [
  'upstream_peer',
  'downstream_peer',
  'wasm.upstream_peer',
  'wasm.upstream_peer_id',
  'wasm.downstream_peer',
  'wasm.downstream_peer_id',
];

/** The logger of HTTP connection managers. */
export function buildHttpServiceLog(): AccessLog {
  const config = create(HttpGrpcAccessLogConfigSchema, { commonConfig: common('http_envoy_accesslog') });
  return create(AccessLogSchema, {
    name: 'envoy.access_loggers.http_grpc',
    configType: { case: 'typedConfig', value: packAny(HttpGrpcAccessLogConfigSchema, config) },
  });
}

/** The logger of TCP proxies, and of listeners for what no chain took. */
export function buildTcpServiceLog(logName: string, filter?: AccessLogFilter): AccessLog {
  const config = create(TcpGrpcAccessLogConfigSchema, { commonConfig: common(logName) });
  return create(AccessLogSchema, {
    name: 'envoy.access_loggers.tcp_grpc',
    configType: { case: 'typedConfig', value: packAny(TcpGrpcAccessLogConfigSchema, config) },
    ...(filter === undefined ? {} : { filter }),
  });
}

function common(logName: string): MessageInitShape<typeof CommonGrpcAccessLogConfigSchema> {
  return {
    logName,
    grpcService: { targetSpecifier: { case: 'envoyGrpc', value: { clusterName: SERVICE_CLUSTER } } },
    transportApiVersion: ApiVersion.V3,
    filterStateObjectsToLog: [...STATES],
  };
}

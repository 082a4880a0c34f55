/**
 * Settings of a connection manager that come from mesh config and ProxyConfig: paths, headers that the proxy adds or keeps, protocol
 * versions, limits and timeouts. Each function edits the message for one concern. Pure.
 * Source: istio pilot/pkg/networking/core/listener_builder.go buildHTTPConnectionManager, connection_settings.go.
 */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type Http1ProtocolOptionsSchema,
  HttpProtocolOptions_HeadersWithUnderscoresAction as Underscores,
  type HttpProtocolOptionsSchema,
} from '#proto/envoy/config/core/v3/protocol_pb.ts';
import {
  HttpConnectionManager_ForwardClientCertDetails as ForwardDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
  type HttpConnectionManagerSchema,
} from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { PreserveCaseFormatterConfigSchema } from '#proto/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.ts';
import type { ClientCertForwarding, ConnectionSettings, HttpSettings } from '#scope/http-settings.ts';
import { durationFromMs } from '#xds/duration.ts';
import { packAny } from '#xds/encode.ts';
import { parseDuration } from '#xds/routes/duration.ts';

/** A connection manager under construction. */
export type Manager = MessageInitShape<typeof HttpConnectionManagerSchema>;

/** Path normalisation happens before routing and authorization, so that both see the same path. */
export function setPaths({ pathNormalization: mode, connections }: HttpSettings, manager: Manager): void {
  // NONE is said too, or Envoy's runtime would decide.
  manager.normalizePath = mode !== 'NONE';
  manager.mergeSlashes = mode === 'MERGE_SLASHES' || mode === 'DECODE_AND_MERGE_SLASHES';
  manager.pathWithEscapedSlashesAction =
    mode === 'DECODE_AND_MERGE_SLASHES' ? EscapedSlashes.UNESCAPE_AND_FORWARD : EscapedSlashes.KEEP_UNCHANGED;
  const { httpMergeSlashes, httpPathWithEscapedSlashesAction: action } = connections;
  if (httpMergeSlashes !== undefined && httpMergeSlashes !== null) manager.mergeSlashes = httpMergeSlashes;
  if (action !== undefined)
    manager.pathWithEscapedSlashesAction = EscapedSlashes[action as keyof typeof EscapedSlashes];
}

/**
 * Callers in the mesh's networks are internal: headers that only such may set are believed. Without blocks nobody is.
 * Source: istio networking/util MeshNetworksToEnvoyInternalAddressConfig.
 */
export function setInternalCallers({ internalBlocks }: HttpSettings, manager: Manager): void {
  if (internalBlocks.length === 0) return;
  const cidrRanges = internalBlocks.map(({ address, prefixLength }) => ({
    addressPrefix: address,
    prefixLen: prefixLength,
  }));
  manager.internalAddressConfig = { cidrRanges };
}

/** Headers that the proxy adds by itself, or leaves alone. */
export function setHeaders(settings: HttpSettings, manager: Manager): void {
  if (settings.keepServerHeader) manager.serverHeaderTransformation = ServerHeader.PASS_THROUGH;
  if (!settings.generateRequestId) manager.generateRequestId = false;
  if (settings.appendForwardedPort) manager.appendXForwardedPort = true;
}

/** What of the peer's certificate goes on in x-forwarded-client-cert. Parts count only where Envoy writes them. */
export function setClientCertificate(
  forwarding: ClientCertForwarding,
  parts: HttpSettings['clientCertParts'],
  manager: Manager,
): void {
  manager.forwardClientCertDetails = ForwardDetails[forwarding];
  manager.setCurrentClientCertDetails = parts;
}

/** HTTP/1.0, and the case of HTTP/1 headers; undefined: as Envoy has it. */
export function http1Options(
  settings: HttpSettings,
): MessageInitShape<typeof Http1ProtocolOptionsSchema> | undefined {
  if (!settings.acceptHttp10 && !settings.preserveHeaderCase) return undefined;
  return {
    ...(settings.acceptHttp10 ? { acceptHttp10: true } : {}),
    ...(settings.preserveHeaderCase ? { headerKeyFormat: preserveCase() } : {}),
  };
}

function preserveCase(): NonNullable<MessageInitShape<typeof Http1ProtocolOptionsSchema>['headerKeyFormat']> {
  const config = packAny(PreserveCaseFormatterConfigSchema, create(PreserveCaseFormatterConfigSchema));
  return {
    headerFormat: { case: 'statefulFormatter', value: { name: 'preserve_case', typedConfig: config } },
  };
}

/** Limits and timeouts of clients' connections. */
export function setConnections(settings: HttpSettings, manager: Manager): void {
  const { connections } = settings;
  const common = commonOptions(settings);
  if (Object.keys(common).length > 0) manager.commonHttpProtocolOptions = common;
  const http2 = http2Limits(connections);
  if (Object.keys(http2).length > 0) manager.http2ProtocolOptions = http2;
  const { httpStreamIdleTimeout, httpRequestTimeout, httpRequestHeadersTimeout, httpDrainTimeout } =
    connections;
  manager.streamIdleTimeout =
    httpStreamIdleTimeout === undefined ? durationFromMs(0) : parseDuration(httpStreamIdleTimeout);
  if (httpRequestTimeout !== undefined) manager.requestTimeout = parseDuration(httpRequestTimeout);
  if (httpRequestHeadersTimeout !== undefined)
    manager.requestHeadersTimeout = parseDuration(httpRequestHeadersTimeout);
  if (httpDrainTimeout !== undefined) manager.drainTimeout = parseDuration(httpDrainTimeout);
}

function commonOptions({
  connections,
  idleTimeoutMs,
}: HttpSettings): MessageInitShape<typeof HttpProtocolOptionsSchema> {
  const { httpIdleTimeout, httpMaxConnectionDuration, httpMaxStreamDuration } = connections;
  const underscores = connections.httpHeadersWithUnderscoresAction;
  return {
    ...(idleTimeoutMs > 0 ? { idleTimeout: durationFromMs(idleTimeoutMs) } : {}),
    ...(httpIdleTimeout === undefined ? {} : { idleTimeout: parseDuration(httpIdleTimeout) }),
    ...(httpMaxConnectionDuration === undefined
      ? {}
      : { maxConnectionDuration: parseDuration(httpMaxConnectionDuration) }),
    ...(httpMaxStreamDuration === undefined
      ? {}
      : { maxStreamDuration: parseDuration(httpMaxStreamDuration) }),
    ...(underscores === undefined
      ? {}
      : { headersWithUnderscoresAction: UNDERSCORES[underscores] ?? Underscores.ALLOW }),
  };
}

const UNDERSCORES: Readonly<Record<string, Underscores>> = {
  HEADERS_WITH_UNDERSCORES_REJECT_REQUEST: Underscores.REJECT_REQUEST,
  HEADERS_WITH_UNDERSCORES_DROP_HEADER: Underscores.DROP_HEADER,
};

/** A negative number is no limit. */
function http2Limits(connections: ConnectionSettings): NonNullable<Manager['http2ProtocolOptions']> {
  const streams = connections.httpMaxConcurrentStreams ?? -1;
  const streamWindow = connections.http2InitialStreamWindowSize ?? -1;
  const connectionWindow = connections.http2InitialConnectionWindowSize ?? -1;
  return {
    ...(streams < 0 ? {} : { maxConcurrentStreams: streams }),
    ...(streamWindow < 0 ? {} : { initialStreamWindowSize: streamWindow }),
    ...(connectionWindow < 0 ? {} : { initialConnectionWindowSize: connectionWindow }),
  };
}

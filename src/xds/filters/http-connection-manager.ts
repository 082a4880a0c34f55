/**
 * The HTTP connection manager: one network filter, built the same way for sidecars (both directions) and gateways.
 * A list of small configurers, each editing the message for one concern; their order is HTTP_FILTER_ORDER and
 * nowhere else. The input is plain data and is all that is seen.
 * Source: istio pilot/pkg/networking/core/listener_builder.go buildHTTPConnectionManager.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { identityMemo } from '#collections/identity-memo.ts';
import type { AccessLog } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import type { RouteConfiguration } from '#proto/envoy/config/route/v3/route_pb.ts';
import { CorsSchema } from '#proto/envoy/extensions/filters/http/cors/v3/cors_pb.ts';
import { HTTPFaultSchema } from '#proto/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import { FilterConfigSchema as GrpcStatsSchema } from '#proto/envoy/extensions/filters/http/grpc_stats/v3/config_pb.ts';
import { RouterSchema } from '#proto/envoy/extensions/filters/http/router/v3/router_pb.ts';
import type {
  HttpConnectionManager,
  HttpFilter,
} from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import {
  RdsSchema,
  HttpConnectionManager_CodecType as CodecType,
  HttpConnectionManager_ForwardClientCertDetails as ForwardDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManagerSchema,
  HttpFilterSchema,
} from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { UuidRequestIdConfigSchema } from '#proto/envoy/extensions/request_id/uuid/v3/uuid_pb.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { adsConfigSource } from '#xds/config-source.ts';
import { durationFromMs } from '#xds/duration.ts';
import { encodeCanonical, packAny } from '#xds/encode.ts';
import { concatenate } from '#xds/routes/bytes.ts';

export type TrafficDirection = 'inbound' | 'outbound' | 'gateway';

/** Path normalisation of MeshConfig. Source: istio MeshConfig.ProxyPathNormalization. */
export type PathNormalization = 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';

/** Where routes come from: by name over RDS, or inline. */
export type RouteSource =
  | { readonly kind: 'rds'; readonly name: string }
  | { readonly kind: 'inline'; readonly config: RouteConfiguration };

export interface HttpConnectionManagerInput {
  readonly direction: TrafficDirection;
  readonly statPrefix: string;
  readonly routes: RouteSource;
  readonly pathNormalization: PathNormalization;
  /** Access loggers, built by access-log.ts and stats.ts. */
  readonly accessLog: readonly AccessLog[];
  /** Peer metadata and ALPN filters; they stand before everything else. */
  readonly peerFilters: readonly HttpFilter[];
  /** Authentication and authorization filters (jwt, ext_authz, rbac) in their final order. */
  readonly securityFilters: readonly HttpFilter[];
  /** ALPN override filters of the outbound direction; they stand right after the peer filters. */
  readonly alpnFilters: readonly HttpFilter[];
  /** Streams idle longer are reset; 0 never. Milliseconds. */
  readonly streamIdleTimeoutMs: number;
  /** Accept HTTP/1.0 with the default host name. */
  readonly http10: boolean;
  /** Trusted proxies in front of a gateway; X-Forwarded-For entries to believe. */
  readonly trustedHops: number;
  /** What a gateway does with x-forwarded-client-cert; SANITIZE_SET when not given. */
  readonly clientCertForwarding?: ClientCertForwarding;
  /** Clients speak HTTP/3 and nothing else. */
  readonly http3?: boolean;
}

/** Envoy's modes by their names. */
export type ClientCertForwarding = Exclude<keyof typeof ForwardDetails, number>;

/** One empty list for all, so that what is remembered by lists is found again. */
export const NO_FILTERS: readonly HttpFilter[] = [];

type Manager = MessageInitShape<typeof HttpConnectionManagerSchema>;
type Configurer = (input: HttpConnectionManagerInput, manager: Manager) => void;

const CONFIGURERS: readonly Configurer[] = [setPaths, setClientCertificate, setProtocols, setFilters];

/**
 * Builds the network filter `envoy.filters.network.http_connection_manager`. Nearly all of it is the same for many
 * listeners, so that part is encoded once and the name and the routes are put before it: protobuf lets a message be put
 * together from parts, and this order is ours.
 */
export function buildHttpConnectionManager(input: HttpConnectionManagerInput): Filter {
  const own = create(HttpConnectionManagerSchema, { statPrefix: input.statPrefix });
  setRoutes(input, own);
  const value = concatenate([encodeCanonical(HttpConnectionManagerSchema, own), sharedPart(input)]);
  const typeUrl = `type.googleapis.com/${HttpConnectionManagerSchema.typeName}`;
  return create(FilterSchema, {
    name: 'envoy.filters.network.http_connection_manager',
    configType: { case: 'typedConfig', value: { typeUrl, value } },
  });
}

/** The encoded rest, remembered by the identity of its lists of filters and the values of its few plain facts. */
function sharedPart(input: HttpConnectionManagerInput): Uint8Array {
  const { accessLog, peerFilters, securityFilters, alpnFilters } = input;
  const known = sharedParts(accessLog, peerFilters, securityFilters, alpnFilters);
  const { direction, pathNormalization, streamIdleTimeoutMs, http10, trustedHops } = input;
  const { clientCertForwarding, http3 } = input;
  const facts = JSON.stringify({
    plain: [direction, pathNormalization, streamIdleTimeoutMs, http10, trustedHops],
    ofGateway: [clientCertForwarding, http3],
  });
  const bytes = known.get(facts) ?? encodeSharedPart(input);
  known.set(facts, bytes);
  return bytes;
}

const sharedParts = identityMemo(
  (..._lists: readonly [object, object, object, object]) => new Map<string, Uint8Array>(),
);

function encodeSharedPart(input: HttpConnectionManagerInput): Uint8Array {
  const manager: Manager = {
    accessLog: [...input.accessLog],
    streamIdleTimeout: durationFromMs(input.streamIdleTimeoutMs),
    proxy100Continue: true,
    useRemoteAddress: input.direction === 'gateway',
    upgradeConfigs: [{ upgradeType: 'websocket' }],
    requestIdExtension: {
      typedConfig: packAny(
        UuidRequestIdConfigSchema,
        create(UuidRequestIdConfigSchema, { useRequestIdForTraceSampling: true }),
      ),
    },
  };
  for (const configure of CONFIGURERS) configure(input, manager);
  return encodeCanonical(HttpConnectionManagerSchema, create(HttpConnectionManagerSchema, manager));
}

/** An HTTP filter from a name and a packed configuration message. */
export function httpFilter(name: string, typedConfig: ReturnType<typeof packAny>): HttpFilter {
  return create(HttpFilterSchema, { name, configType: { case: 'typedConfig', value: typedConfig } });
}

function setRoutes(input: HttpConnectionManagerInput, manager: HttpConnectionManager): void {
  const { routes } = input;
  manager.routeSpecifier =
    routes.kind === 'inline'
      ? { case: 'routeConfig', value: routes.config }
      : {
          case: 'rds',
          value: create(RdsSchema, { configSource: adsConfigSource(), routeConfigName: routes.name }),
        };
}

/** Path normalisation happens before routing and authorization, so that both see the same path. */
function setPaths(input: HttpConnectionManagerInput, manager: Manager): void {
  const mode = input.pathNormalization;
  if (mode === 'NONE') return;
  manager.normalizePath = true;
  manager.mergeSlashes = mode !== 'BASE';
  manager.pathWithEscapedSlashesAction =
    mode === 'DECODE_AND_MERGE_SLASHES' ? EscapedSlashes.UNESCAPE_AND_FORWARD : EscapedSlashes.KEEP_UNCHANGED;
}

/**
 * What of the peer's certificate goes on in x-forwarded-client-cert. Gateways replace what a client sent
 * (security case T20); sidecars append to what the peer's sidecar said, on mTLS connections only: on others Envoy
 * removes the header in this mode.
 */
function setClientCertificate(input: HttpConnectionManagerInput, manager: Manager): void {
  if (input.direction === 'gateway') {
    const { clientCertForwarding = 'SANITIZE_SET' } = input;
    manager.forwardClientCertDetails = ForwardDetails[clientCertForwarding];
    if (clientCertForwarding === 'SANITIZE_SET' || clientCertForwarding === 'APPEND_FORWARD')
      manager.setCurrentClientCertDetails = { subject: true, cert: true, dns: true, uri: true };
  } else if (input.direction === 'inbound') {
    manager.forwardClientCertDetails = ForwardDetails.APPEND_FORWARD;
    manager.setCurrentClientCertDetails = { subject: true, dns: true, uri: true };
  }
}

function setProtocols(input: HttpConnectionManagerInput, manager: Manager): void {
  if (input.direction !== 'outbound') manager.serverName = 'istio-envoy';
  if (input.http10) manager.httpProtocolOptions = { acceptHttp10: true };
  if (input.trustedHops > 0) manager.xffNumTrustedHops = input.trustedHops;
  if (input.http3 === true) {
    manager.codecType = CodecType.HTTP3;
    manager.http3ProtocolOptions = {};
  }
}

/** The order of HTTP filters: who is calling, may it, then what to do with the request. */
function setFilters(input: HttpConnectionManagerInput, manager: Manager): void {
  const grpcStats = create(GrpcStatsSchema, {
    emitFilterState: true,
    perMethodStatSpecifier: { case: 'statsForAllMethods', value: { value: false } },
  });
  manager.httpFilters = [
    ...input.peerFilters,
    ...input.securityFilters,
    httpFilter('envoy.filters.http.grpc_stats', packAny(GrpcStatsSchema, grpcStats)),
    ...(input.direction === 'inbound' ? [] : input.alpnFilters),
    httpFilter('envoy.filters.http.fault', packAny(HTTPFaultSchema, create(HTTPFaultSchema))),
    httpFilter('envoy.filters.http.cors', packAny(CorsSchema, create(CorsSchema))),
    httpFilter('envoy.filters.http.router', packAny(RouterSchema, create(RouterSchema))),
  ];
}

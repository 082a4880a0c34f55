/**
 * The HTTP connection manager: one network filter, built the same way for sidecars (both directions) and gateways.
 * What comes from settings is in connection-settings.ts; the order of HTTP filters is here and nowhere else. The input is
 * plain data and is all that is seen.
 * Source: istio pilot/pkg/networking/core/listener_builder.go buildHTTPConnectionManager.
 */
import { create } from '@bufbuild/protobuf';
import { identityMemo } from '#collections/identity-memo.ts';
import type { AccessLog } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { RouteConfiguration } from '#proto/envoy/config/route/v3/route_pb.ts';
import { CorsSchema } from '#proto/envoy/extensions/filters/http/cors/v3/cors_pb.ts';
import { HTTPFaultSchema } from '#proto/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import { FilterConfigSchema as GrpcStatsSchema } from '#proto/envoy/extensions/filters/http/grpc_stats/v3/config_pb.ts';
import { GrpcWebSchema } from '#proto/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.ts';
import { RouterSchema } from '#proto/envoy/extensions/filters/http/router/v3/router_pb.ts';
import type {
  HttpConnectionManager,
  HttpFilter,
} from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import {
  HttpConnectionManager_CodecType as CodecType,
  HttpConnectionManagerSchema,
  HttpFilterSchema,
  RdsSchema,
} from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { UuidRequestIdConfigSchema } from '#proto/envoy/extensions/request_id/uuid/v3/uuid_pb.ts';
import type { ClientCertForwarding, HttpSettings } from '#scope/http-settings.ts';
import type { Tracing } from '#scope/tracing.ts';
import { adsConfigSource } from '#xds/config-source.ts';
import { encodeCanonical, packAny } from '#xds/encode.ts';
import { concatenate } from '#xds/routes/bytes.ts';
import { emptySessionFilter } from './stateful-session.ts';
import {
  http1Options,
  type Manager,
  setClientCertificate,
  setConnections,
  setHeaders,
  setInternalCallers,
  setPaths,
} from './connection-settings.ts';
import { buildTracing } from './tracing.ts';

export type TrafficDirection = 'inbound' | 'outbound' | 'gateway';

/** Where routes come from: by name over RDS, or inline. */
export type RouteSource =
  | { readonly kind: 'rds'; readonly name: string }
  | { readonly kind: 'inline'; readonly config: RouteConfiguration };

/** What a port asks of its connection manager beyond the proxy's settings. */
export interface HttpPortTraits {
  /** The port is declared to carry HTTP/2. */
  readonly http2?: boolean;
  /** Browsers' gRPC is turned into gRPC. */
  readonly grpcWeb?: boolean;
  /** It is a proxy to applications, which send whole URLs. */
  readonly absoluteUrls?: boolean;
  /** Clients speak HTTP/3 and nothing else. */
  readonly http3?: boolean;
}

/** What stands in front of a gateway. Source: istio ProxyConfig.gatewayTopology. */
export interface EdgeTopology {
  /** Trusted proxies in front; X-Forwarded-For entries to believe. */
  readonly trustedHops: number;
  readonly clientCertForwarding: ClientCertForwarding;
}

export interface HttpConnectionManagerInput {
  readonly direction: TrafficDirection;
  readonly statPrefix: string;
  readonly routes: RouteSource;
  readonly settings: HttpSettings;
  /** Undefined: requests are not traced. */
  readonly tracing: Tracing | undefined;
  /** Access loggers, built by access-log.ts and stats.ts. */
  readonly accessLog: readonly AccessLog[];
  /** Peer metadata and ALPN filters; they stand before everything else. */
  readonly peerFilters: readonly HttpFilter[];
  /** Authentication and authorization filters (jwt, ext_authz, rbac) in their final order. */
  readonly securityFilters: readonly HttpFilter[];
  /** ALPN override filters of the outbound direction; they stand right after the peer filters. */
  readonly alpnFilters: readonly HttpFilter[];
  /** Filters right before the router: what finds an address for the request's host. */
  readonly forwardFilters?: readonly HttpFilter[];
  readonly port?: HttpPortTraits;
  /** Gateways only. */
  readonly topology?: EdgeTopology;
}

/** One empty list for all, so that what is remembered by lists is found again. */
export const NO_FILTERS: readonly HttpFilter[] = [];

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

/** The encoded rest, remembered by the identity of its lists and settings, and by the values of its few plain facts. */
function sharedPart(input: HttpConnectionManagerInput): Uint8Array {
  const {
    accessLog,
    peerFilters,
    securityFilters,
    alpnFilters,
    forwardFilters = NO_FILTERS,
    settings,
    tracing = NOT_TRACED,
  } = input;
  const lists = [accessLog, peerFilters, securityFilters, alpnFilters, forwardFilters] as const;
  const known = sharedParts(settings, tracing, ...lists);
  const facts = JSON.stringify([input.direction, input.port, input.topology]);
  const bytes = known.get(facts) ?? encodeSharedPart(input);
  known.set(facts, bytes);
  return bytes;
}

/** Stands for no tracing where results are remembered. */
const NOT_TRACED = {};

const sharedParts = identityMemo(
  (_settings: HttpSettings, ..._parts: readonly object[]) => new Map<string, Uint8Array>(),
);

function encodeSharedPart(input: HttpConnectionManagerInput): Uint8Array {
  const { settings } = input;
  const useRemoteAddress =
    input.direction === 'gateway' || (input.direction === 'outbound' && settings.useRemoteAddress);
  const manager: Manager = {
    accessLog: [...input.accessLog],
    proxy100Continue: settings.proxy100Continue,
    useRemoteAddress,
    upgradeConfigs: [{ upgradeType: 'websocket' }],
    requestIdExtension: {
      typedConfig: packAny(
        UuidRequestIdConfigSchema,
        create(UuidRequestIdConfigSchema, { useRequestIdForTraceSampling: true }),
      ),
    },
    httpFilters: httpFilters(input),
    ...(input.tracing === undefined ? {} : { tracing: buildTracing(input.tracing, input.direction) }),
  };
  setPaths(settings, manager);
  if (useRemoteAddress || settings.alwaysInternal) setInternalCallers(settings, manager);
  setHeaders(settings, manager);
  setConnections(settings, manager);
  setPeer(input, manager);
  setProtocols(input, manager);
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

const GATEWAY_CERT_PARTS = { subject: true, cert: true, dns: true, uri: true, chain: false };

/**
 * Who the client is. Gateways replace what a client sent (security case T20) unless their topology says otherwise; sidecars append to
 * what the peer's sidecar said, on mTLS connections only: on others Envoy removes the header in this mode.
 */
function setPeer({ direction, settings, topology }: HttpConnectionManagerInput, manager: Manager): void {
  if (direction === 'inbound') {
    setClientCertificate(settings.clientCertForwarding, settings.clientCertParts, manager);
  } else if (direction === 'gateway') {
    const forwarding = topology?.clientCertForwarding ?? 'SANITIZE_SET';
    setClientCertificate(forwarding, GATEWAY_CERT_PARTS, manager);
    if (forwarding !== 'APPEND_FORWARD' && forwarding !== 'SANITIZE_SET')
      delete manager.setCurrentClientCertDetails;
    if (topology !== undefined && topology.trustedHops > 0) manager.xffNumTrustedHops = topology.trustedHops;
  }
}

/** What Istio's proxies call themselves, but for outbound listeners: they keep Envoy's own name. */
const SERVER_NAME = 'istio-envoy';

function setProtocols({ direction, settings, port }: HttpConnectionManagerInput, manager: Manager): void {
  if (!settings.keepServerHeader)
    manager.serverName = settings.serverName || (direction === 'outbound' ? '' : SERVER_NAME);
  const http1 = http1Options(settings);
  if (http1 !== undefined || port?.absoluteUrls === true) {
    manager.httpProtocolOptions = {
      ...http1,
      ...(port?.absoluteUrls === true ? { allowAbsoluteUrl: true } : {}),
    };
  }
  if (port?.http2 === true) manager.http2ProtocolOptions ??= {};
  if (port?.http3 === true) {
    manager.codecType = CodecType.HTTP3;
    manager.http3ProtocolOptions = {};
  }
}

/** The order of HTTP filters: who is calling, may it, then what to do with the request. */
function httpFilters(input: HttpConnectionManagerInput): HttpFilter[] {
  const grpcStats = create(GrpcStatsSchema, {
    emitFilterState: true,
    perMethodStatSpecifier: { case: 'statsForAllMethods', value: { value: false } },
  });
  const router = create(RouterSchema, { suppressEnvoyHeaders: input.settings.suppressDebugHeaders });
  return [
    ...input.peerFilters,
    ...input.securityFilters,
    ...(input.port?.grpcWeb === true
      ? [httpFilter('envoy.filters.http.grpc_web', packAny(GrpcWebSchema, create(GrpcWebSchema)))]
      : []),
    httpFilter('envoy.filters.http.grpc_stats', packAny(GrpcStatsSchema, grpcStats)),
    ...(input.direction === 'inbound' ? [] : input.alpnFilters),
    httpFilter('envoy.filters.http.fault', packAny(HTTPFaultSchema, create(HTTPFaultSchema))),
    httpFilter('envoy.filters.http.cors', packAny(CorsSchema, create(CorsSchema))),
    ...(input.settings.persistentSessions && input.direction !== 'inbound' ? [emptySessionFilter()] : []),
    ...(input.forwardFilters ?? []),
    httpFilter('envoy.filters.http.router', packAny(RouterSchema, router)),
  ];
}

/**
 * Listeners for gRPC libraries: for what a client dials, a reference to the service's route table; for where a server
 * listens, one chain with its mTLS and its policies.
 * Source: Istio pilot/pkg/networking/grpcgen/lds.go; gRFC A27, A36, A39, A41.
 */
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { AuthorizationFacet } from '#model/authorization.ts';
import type { MutualTlsMode } from '#model/peer-authentication.ts';
import type { PersistentSession } from '#model/service.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { NonForwardingActionSchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { HTTPFaultSchema } from '#proto/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import { RouterSchema } from '#proto/envoy/extensions/filters/http/router/v3/router_pb.ts';
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
  type HttpFilter,
} from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { socketAddress } from '#xds/address.ts';
import { adsConfigSource } from '#xds/config-source.ts';
import { encodeResource, packAny } from '#xds/encode.ts';
import { buildHttpAuthorization, buildHttpCustomAuthorization } from '#xds/filters/authorization.ts';
import { httpFilter } from '#xds/filters/http-connection-manager.ts';
import { grpcSessionFilter } from '#xds/filters/stateful-session.ts';
import { type Resource, TYPE_LISTENER } from '#xds/resource.ts';
import { serverTransportSocket } from './grpc-tls.ts';

export interface GrpcClientListenerInput {
  /** As the client asked for it. */
  readonly name: string;
  readonly addresses: readonly string[];
  readonly port: number;
  readonly routeName: string;
  /** Calls stay with an endpoint. */
  readonly session?: PersistentSession;
}

export interface GrpcServerListenerInput {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly isMutualTls: boolean;
  readonly authorization: AuthorizationFacet;
}

/** What a client gets for a name that it dials. */
export function encodeGrpcClientListener(input: GrpcClientListenerInput): Resource {
  const { name, addresses, port, routeName, session } = input;
  const manager = create(HttpConnectionManagerSchema, {
    httpFilters: [
      ...(session === undefined ? [] : [grpcSessionFilter(session)]),
      pass('envoy.filters.http.fault', HTTPFaultSchema),
      router(),
    ],
    routeSpecifier: {
      case: 'rds',
      value: { configSource: adsConfigSource(), routeConfigName: routeName },
    },
  });
  const [first = '0.0.0.0', ...further] = addresses;
  const listener = create(ListenerSchema, {
    name,
    address: socketAddress(first, port),
    additionalAddresses: further.map((address) => ({ address: socketAddress(address, port) })),
    apiListener: { apiListener: packAny(HttpConnectionManagerSchema, manager) },
  });
  return encodeResource(ListenerSchema, listener, TYPE_LISTENER, name, [routeName]);
}

/** What a server gets for an address that it listens on. */
export function encodeGrpcServerListener(input: GrpcServerListenerInput): Resource {
  const { name, address, port, isMutualTls, authorization } = input;
  const suffix = isMutualTls ? 'mtls' : 'plaintext';
  const listener = create(ListenerSchema, {
    name,
    address: socketAddress(address, port),
    filterChains: [
      {
        name: `inbound-${suffix}`,
        filters: [
          {
            name: `inbound-hcm${suffix}`,
            configType: {
              case: 'typedConfig',
              value: packAny(HttpConnectionManagerSchema, serverManager(authorization)),
            },
          },
        ],
        ...(isMutualTls ? { transportSocket: serverTransportSocket() } : {}),
      },
    ],
  });
  return encodeResource(ListenerSchema, listener, TYPE_LISTENER, name);
}

/**
 * Servers cannot take both on one port: PERMISSIVE is mTLS where the workload's label promises that to clients, and plain
 * otherwise.
 */
export function serverSpeaksMutualTls(mode: MutualTlsMode, hasMutualTlsLabel: boolean): boolean {
  return mode === 'STRICT' || (mode === 'PERMISSIVE' && hasMutualTlsLabel);
}

function serverManager(authorization: AuthorizationFacet): HttpConnectionManager {
  const routes = create(RouteConfigurationSchema, {
    name: 'inbound',
    virtualHosts: [
      {
        domains: ['*'],
        routes: [
          {
            match: { pathSpecifier: { case: 'prefix', value: '/' } },
            action: { case: 'nonForwardingAction', value: create(NonForwardingActionSchema) },
          },
        ],
      },
    ],
  });
  return create(HttpConnectionManagerSchema, {
    httpFilters: [...policyFilters(authorization), router()],
    routeSpecifier: { case: 'routeConfig', value: routes },
  });
}

/**
 * DENY before ALLOW, under names of their own. Nobody can be asked from a library, so CUSTOM policies refuse what they would
 * ask about; those that only count do nothing. Istio leaves CUSTOM, and ALLOW without rules, out.
 */
function policyFilters(facet: AuthorizationFacet): HttpFilter[] {
  const enforced = facet.policies.filter(({ dryRun }) => !dryRun);
  const of = (action: string): AuthorizationFacet => ({
    ...facet,
    policies: enforced.filter((policy) => policy.action === action),
    mayAskSeveral: false,
    authorizers: [],
  });
  const groups = [
    ['envoy.filters.http.rbac.CUSTOM', buildHttpCustomAuthorization(of('CUSTOM'))],
    ['envoy.filters.http.rbac.DENY', buildHttpAuthorization(of('DENY'))],
    ['envoy.filters.http.rbac', buildHttpAuthorization(of('ALLOW'))],
  ] as const;
  return groups.flatMap(([name, filters]) =>
    filters.map((filter, i) => ({ ...filter, name: i === 0 ? name : `${name}.${i}` })),
  );
}

function router(): HttpFilter {
  return pass('envoy.filters.http.router', RouterSchema);
}

function pass<D extends DescMessage>(name: string, schema: D): HttpFilter {
  return httpFilter(name, packAny(schema, create(schema) as MessageShape<D>));
}

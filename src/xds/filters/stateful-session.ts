/**
 * Sessions that stay with an endpoint while it lives: the filter that stands in every connection manager that calls others,
 * empty, and the settings by which routes to services with such sessions fill it. Names are the users', values Envoy's own:
 * the address of the endpoint, which a client may not choose freely since Envoy looks for it among the cluster's endpoints.
 * Source: Istio networking/util MaybeBuildStatefulSessionFilterConfig, xds/filters EmptySessionFilter.
 */
import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import {
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
} from '#proto/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { HttpFilterSchema } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { CookieBasedSessionStateSchema } from '#proto/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.ts';
import { HeaderBasedSessionStateSchema } from '#proto/envoy/extensions/http/stateful_session/header/v3/header_pb.ts';
import type { PersistentSession } from '#model/service.ts';
import { packAny } from '#xds/encode.ts';

/** Name of the filter, and key of its settings in routes and virtual hosts. */
export const SESSION_FILTER = 'envoy.filters.http.stateful_session';

/** The filter without a session, to be filled by routes. */
export function emptySessionFilter(): HttpFilter {
  const typedConfig = packAny(StatefulSessionSchema, create(StatefulSessionSchema));
  return create(HttpFilterSchema, {
    name: SESSION_FILTER,
    configType: { case: 'typedConfig', value: typedConfig },
  });
}

/** The filter of a gRPC library that calls one service. Libraries that do not know it pass it over. */
export function grpcSessionFilter(session: PersistentSession): HttpFilter {
  const settings = create(StatefulSessionSchema, { sessionState: sessionState(session) });
  return create(HttpFilterSchema, {
    name: SESSION_FILTER,
    configType: { case: 'typedConfig', value: packAny(StatefulSessionSchema, settings) },
    isOptional: true,
  });
}

/** The settings of a route to a service with sessions. */
export function sessionSettings(session: PersistentSession): Any {
  const settings = create(StatefulSessionPerRouteSchema, {
    override: { case: 'statefulSession', value: { sessionState: sessionState(session) } },
  });
  return packAny(StatefulSessionPerRouteSchema, settings);
}

function sessionState({ by, value }: PersistentSession) {
  const typedConfig = by === 'cookie' ? cookieState(value) : headerState(value);
  return create(TypedExtensionConfigSchema, { name: `envoy.http.stateful_session.${by}`, typedConfig });
}

/** `name` or `name:/path`. A cookie without a time to live ends with the browser's session. */
function cookieState(value: string): Any {
  const colon = value.indexOf(':');
  const name = colon < 0 ? value : value.slice(0, colon);
  const path = colon < 0 ? '/' : value.slice(colon + 1);
  const state = create(CookieBasedSessionStateSchema, { cookie: { name, path } });
  return packAny(CookieBasedSessionStateSchema, state);
}

function headerState(name: string): Any {
  return packAny(HeaderBasedSessionStateSchema, create(HeaderBasedSessionStateSchema, { name }));
}

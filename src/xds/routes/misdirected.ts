/** The answer 421 Misdirected Request (RFC 9110, 15.5.20): ask again on a connection made for this host. */
import { create } from '@bufbuild/protobuf';
import { RouteSchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { type EncodedRoute, encodeRoute } from './encoded-route.ts';

const MISDIRECTED_REQUEST = 421;

/** A route that gives the answer to everything. */
export function misdirectedRoute(): EncodedRoute {
  return encodeRoute(
    create(RouteSchema, {
      name: 'misdirected',
      match: { pathSpecifier: { case: 'prefix', value: '/' } },
      action: { case: 'directResponse', value: { status: MISDIRECTED_REQUEST } },
    }),
  );
}

/**
 * Route tables for gRPC libraries: the virtual host that sidecars get for the service, with what libraries would refuse or
 * misread taken out. They match domains with the port, know one timeout, and of filters the fault filter alone.
 * Source: Istio pilot/pkg/networking/grpcgen/rds.go, core/route/route.go setTimeout; gRFC A28, A31, A33, A44.
 */
import { create, fromBinary } from '@bufbuild/protobuf';
import { WireReader } from '#base/proto-wire.ts';
import {
  NonForwardingActionSchema,
  type Route,
  RouteAction_MaxStreamDurationSchema,
  type RouteAction,
  type VirtualHost,
  VirtualHostSchema,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { encodeResource } from '#xds/encode.ts';
import { type Resource, TYPE_ROUTE } from '#xds/resource.ts';
import type { EncodedVirtualHost } from '#xds/routes/virtual-host.ts';

const FAULT_FILTER = 'envoy.filters.http.fault';

/** Builds and encodes the table `name` (that of the service's cluster) from the sidecars' virtual host on that port. */
export function encodeGrpcRoutes(name: string, port: number, host: EncodedVirtualHost): Resource {
  const virtualHost = readVirtualHost(host.record);
  virtualHost.domains = virtualHost.domains.flatMap((domain) => [domain, `${domain}:${port}`]);
  keepKnownFilters(virtualHost);
  virtualHost.routes = virtualHost.routes.flatMap((route) => adapted(route) ?? []);
  const table = create(RouteConfigurationSchema, { name, virtualHosts: [virtualHost] });
  return encodeResource(RouteConfigurationSchema, table, TYPE_ROUTE, name, host.clusters);
}

/** The record is a field of a route table: tag and length stand before the message. */
function readVirtualHost(record: Uint8Array): VirtualHost {
  const reader = new WireReader(record);
  reader.next();
  return fromBinary(VirtualHostSchema, reader.bytes());
}

/** The route as a library can use it; undefined for one that no gRPC call meets. */
function adapted(route: Route): Route | undefined {
  // Calls have no query.
  if ((route.match?.queryParameters.length ?? 0) > 0) return undefined;
  const path = route.match?.pathSpecifier;
  if (route.match !== undefined && path?.case === 'pathSeparatedPrefix')
    route.match.pathSpecifier = { case: 'prefix', value: `${path.value}/` };
  keepKnownFilters(route);
  if (route.action.case === 'route') adaptAction(route.action.value);
  // A library refuses the whole table for a redirect or direct response; so it fails the calls that meet it.
  else route.action = { case: 'nonForwardingAction', value: create(NonForwardingActionSchema) };
  return route;
}

function adaptAction(action: RouteAction): void {
  // The one timeout that libraries read; none means no limit.
  action.maxStreamDuration = create(RouteAction_MaxStreamDurationSchema, {
    maxStreamDuration: action.timeout ?? { seconds: 0n, nanos: 0 },
  });
  // An attempt is what is left when there are no retries.
  if (action.retryPolicy?.numRetries === 0) delete action.retryPolicy;
  if (action.clusterSpecifier.case === 'weightedClusters')
    for (const cluster of action.clusterSpecifier.value.clusters) keepKnownFilters(cluster);
}

function keepKnownFilters(holder: Pick<Route, 'typedPerFilterConfig'>): void {
  for (const name of Object.keys(holder.typedPerFilterConfig))
    if (name !== FAULT_FILTER) delete holder.typedPerFilterConfig[name];
}

/**
 * Route tables for gRPC libraries: the virtual host that sidecars get for the service, with what libraries would refuse or
 * misread taken out. They match domains with the port, know one timeout, and of filters the fault filter alone.
 * Source: Istio pilot/pkg/networking/grpcgen/rds.go, core/route/route.go setTimeout; gRFC A28, A31, A33, A44.
 */
import { create, fromBinary } from '@bufbuild/protobuf';
import { GRPC_UNAVAILABLE } from '#base/grpc-frame.ts';
import { WireReader } from '#base/proto-wire.ts';
import {
  type Route,
  RouteAction_MaxStreamDurationSchema,
  type RouteAction,
  RouteActionSchema,
  type VirtualHost,
  VirtualHostSchema,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { HTTPFaultSchema } from '#proto/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import { FractionalPercent_DenominatorType } from '#proto/envoy/type/v3/percent_pb.ts';
import { encodeResource, packAny } from '#xds/encode.ts';
import { type Resource, TYPE_ROUTE } from '#xds/resource.ts';
import type { EncodedVirtualHost } from '#xds/routes/virtual-host.ts';

const FAULT_FILTER = 'envoy.filters.http.fault';

/** Builds and encodes the table `name` (that of the service's cluster) from the sidecars' virtual host on that port. */
export function encodeGrpcRoutes(name: string, port: number, host: EncodedVirtualHost): Resource {
  const virtualHost = readVirtualHost(host.record);
  virtualHost.domains = virtualHost.domains.flatMap((domain) => [domain, `${domain}:${port}`]);
  keepKnownFilters(virtualHost);
  virtualHost.routes = virtualHost.routes.flatMap((route) => adapted(route, name) ?? []);
  const table = create(RouteConfigurationSchema, { name, virtualHosts: [virtualHost] });
  const clusters = [...new Set([...host.clusters, name])];
  return encodeResource(RouteConfigurationSchema, table, TYPE_ROUTE, name, clusters);
}

/** The record is a field of a route table: tag and length stand before the message. */
function readVirtualHost(record: Uint8Array): VirtualHost {
  const reader = new WireReader(record);
  reader.next();
  return fromBinary(VirtualHostSchema, reader.bytes());
}

/** The route as a library can use it; undefined for one that no gRPC call meets. `cluster` is that of the whole service. */
function adapted(route: Route, cluster: string): Route | undefined {
  // Calls have no query.
  if ((route.match?.queryParameters.length ?? 0) > 0) return undefined;
  const path = route.match?.pathSpecifier;
  if (route.match !== undefined && path?.case === 'pathSeparatedPrefix')
    route.match.pathSpecifier = { case: 'prefix', value: `${path.value}/` };
  keepKnownFilters(route);
  if (route.action.case !== 'route') failCalls(route, cluster);
  if (route.action.case === 'route') adaptAction(route.action.value);
  return route;
}

/** Libraries refuse the whole table for a redirect or direct response (some even crash), so the calls that meet it fail. */
function failCalls(route: Route, cluster: string): void {
  const value = create(RouteActionSchema, { clusterSpecifier: { case: 'cluster', value: cluster } });
  route.action = { case: 'route', value };
  const fault = create(HTTPFaultSchema, {
    abort: {
      errorType: { case: 'grpcStatus', value: GRPC_UNAVAILABLE },
      percentage: { numerator: 100, denominator: FractionalPercent_DenominatorType.HUNDRED },
    },
  });
  route.typedPerFilterConfig = { [FAULT_FILTER]: packAny(HTTPFaultSchema, fault) };
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

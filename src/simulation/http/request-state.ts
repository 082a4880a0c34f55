/** A request on its way through one connection manager: headers that filters change, the route once chosen, and metadata. */
import type { JsonObject } from '@bufbuild/protobuf';
import type { RouteConfiguration } from '#proto/envoy/config/route/v3/route_pb.ts';
import type { HttpConnectionManager } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import type { CallConnection, CallRequest } from '#simulation/call.ts';
import type { ConnectionFacts } from '#simulation/connection.ts';
import type { RequestHeaders } from '#simulation/headers.ts';
import type { RbacSubject } from '#simulation/rbac.ts';
import type { RouteSelection } from '#simulation/route/route-selection.ts';
import type { Peer } from '#simulation/tls.ts';

/** What a connection has come to when its HTTP begins. */
export interface HttpConnection {
  readonly connection: CallConnection;
  readonly facts: ConnectionFacts;
  readonly peer: Peer;
}

export interface RequestState extends HttpConnection {
  readonly manager: HttpConnectionManager;
  readonly call: CallRequest;
  readonly headers: RequestHeaders;
  /** The client's address as far as the manager trusts X-Forwarded-For. */
  readonly remoteAddress: string;
  /** Dynamic metadata by filter. */
  readonly metadata: Map<string, JsonObject>;
  readonly routes: RouteConfiguration | undefined;
  /** Where the routes came from; undefined for inline ones. */
  readonly routesEntry: ResourceEntry | undefined;
  selection: RouteSelection | undefined;
  /** The cluster, once chance has chosen. */
  cluster: ChosenCluster | undefined;
  /** ALPN names that a filter has set for the upstream connection, from the cluster's metadata. */
  upstreamAlpnKey: readonly [namespace: string, key: string] | undefined;
  delayMs: number;
}

/** A cluster of the route, with its place among weighted ones. */
export interface ChosenCluster {
  readonly name: string;
  /** Index in `weightedClusters`, -1 for a single one. */
  readonly index: number;
}

/** The request as RBAC rules see it. */
export function rbacSubject(state: RequestState): RbacSubject {
  const { connection, facts, peer, remoteAddress, headers, metadata } = state;
  return { connection, serverName: facts.serverName, peer, remoteAddress, headers, metadata };
}

/**
 * From the xDS server's connections to the entries of `/debug/syncz` and `/debug/connections`. Types here say what of
 * the server's state is needed; main/ hands its connections over.
 * Source: istio pilot/pkg/xds/debug.go SyncStatus, AdsClient.
 */
import type { DebugConnection, SyncStatus } from './debug.ts';
import { TYPE_CLUSTER, TYPE_ENDPOINT, TYPE_EXTENSION, TYPE_LISTENER, TYPE_ROUTE } from '#xds/resource.ts';

/** One stream of one proxy. */
export interface SyncedConnection {
  readonly id: string;
  readonly address: string;
  readonly connectedAtMs: number;
  readonly node: {
    readonly proxy: {
      readonly istioVersion: string;
      readonly name: string;
      readonly namespace: string;
      readonly type: string;
      readonly clusterId: string;
      readonly labels: Readonly<Record<string, string>>;
    };
  };
  readonly types: ReadonlyMap<string, { readonly sentNonce: string; readonly ackedNonce: string }>;
}

/** The nonces sent to and taken by one proxy. */
export function syncStatus({ node, types }: SyncedConnection): SyncStatus {
  const sent = (typeUrl: string): string => types.get(typeUrl)?.sentNonce ?? '';
  const acked = (typeUrl: string): string => types.get(typeUrl)?.ackedNonce ?? '';
  return {
    cluster_id: node.proxy.clusterId,
    proxy: `${node.proxy.name}.${node.proxy.namespace}`,
    proxy_type: node.proxy.type,
    istio_version: node.proxy.istioVersion,
    cluster_sent: sent(TYPE_CLUSTER),
    cluster_acked: acked(TYPE_CLUSTER),
    listener_sent: sent(TYPE_LISTENER),
    listener_acked: acked(TYPE_LISTENER),
    route_sent: sent(TYPE_ROUTE),
    route_acked: acked(TYPE_ROUTE),
    endpoint_sent: sent(TYPE_ENDPOINT),
    endpoint_acked: acked(TYPE_ENDPOINT),
    extensionconfig_sent: sent(TYPE_EXTENSION),
    extensionconfig_acked: acked(TYPE_EXTENSION),
  };
}

/** Who is connected, since when, from where, and what it watches. */
export function debugConnection({
  id,
  address,
  connectedAtMs,
  node,
  types,
}: SyncedConnection): DebugConnection {
  const connectedAt = new Date(connectedAtMs).toISOString();
  return { connectionId: id, connectedAt, address, labels: node.proxy.labels, watches: [...types.keys()] };
}

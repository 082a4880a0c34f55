/**
 * An encoded xDS resource: built once from its input, encoded once, shared by every proxy that sees it.
 * ads/ writes `bytes` as they are.
 */
import type { Cause } from '#base/cause.ts';

/** One resource. Two resources with the same version have the same bytes. */
export interface Resource {
  readonly typeUrl: string;
  readonly name: string;
  /** The encoded message itself, without Any or delta wrapper. */
  readonly bytes: Uint8Array;
  /** Hash of bytes, 16 hex digits. */
  readonly version: string;
  /** Names that this resource uses: clusters of a route or listener, routes of a listener. Removal waits for these users. */
  readonly references?: readonly string[];
  /** Names of secrets over ADS that it uses: a proxy that holds this resource may ask for them. */
  readonly secrets?: readonly string[];
  /** Something secret is in it: for proxies whose identity is proven only. */
  readonly isConfidential?: boolean;
}

/** A resource on the edge from a scope: the shared node, and why this scope has it. */
export interface ResourceEntry {
  readonly resource: Resource;
  readonly causes: readonly Cause[];
}

export const TYPE_CLUSTER = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
export const TYPE_ENDPOINT = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment';
export const TYPE_LISTENER = 'type.googleapis.com/envoy.config.listener.v3.Listener';
export const TYPE_ROUTE = 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration';
export const TYPE_SECRET = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
export const TYPE_EXTENSION = 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig';
/** Istio's ProxyConfig as its agents ask for it: a trust bundle and nothing else. */
export const TYPE_TRUST_BUNDLE = 'type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig';
export const TYPE_NAME_TABLE = 'type.googleapis.com/istio.networking.nds.v1.NameTable';

/**
 * What clients must know of PeerAuthentication: whether a namespace, and a single workload's port, takes mesh mTLS.
 * The answers come from the security model; here is their form, and the answer of a mesh without policies.
 */
import type { Fetch } from '#collections/collection.ts';
import type { Endpoint } from '#model/endpoint.ts';
import type { MutualTlsMode } from './upstream-settings.ts';

export interface ServerMutualTls {
  /** Mode by policies of the namespace and the mesh; `PERMISSIVE` when there are none. */
  namespaceMode(fetch: Fetch, namespace: string): MutualTlsMode;
  /** Mode of the endpoint's workload at the endpoint's port, by all policies that select it. */
  endpointMode(fetch: Fetch, endpoint: Endpoint): MutualTlsMode;
}

/** Every sidecar accepts both, as without any PeerAuthentication. */
export const PERMISSIVE_SERVERS: ServerMutualTls = {
  namespaceMode: () => 'PERMISSIVE',
  endpointMode: () => 'PERMISSIVE',
};

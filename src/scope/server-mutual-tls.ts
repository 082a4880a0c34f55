/**
 * What clients must know of servers' PeerAuthentications: where mutual TLS is off, they send plain text.
 * Costs two policy buckets per namespace asked for, and the workload's look-up per endpoint only where policies of the
 * namespace select workloads.
 */
import type { Collection, Fetch } from '#collections/collection.ts';
import type { Endpoint } from '#model/endpoint.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import {
  type MutualTlsMode,
  mutualTlsFor,
  type PeerAuthenticationModel,
  portMode,
} from '#model/peer-authentication.ts';
import type { ListenerFacts } from './listener-facts.ts';

export interface ServerMutualTlsDeps {
  readonly peerAuthentication: PeerAuthenticationModel;
  readonly facts: Collection<ListenerFacts>;
}

/** The two questions that clusters and endpoints ask (xds/tls/server-mutual-tls.ts has their form). */
export interface ServerMutualTlsAnswers {
  namespaceMode(fetch: Fetch, namespace: string): MutualTlsMode;
  endpointMode(fetch: Fetch, endpoint: Endpoint): MutualTlsMode;
}

export function createServerMutualTls(deps: ServerMutualTlsDeps): ServerMutualTlsAnswers {
  const settings = (fetch: Fetch, namespace: string, labels: Readonly<Record<string, string>>) => {
    const rootNamespace = fetch.get(deps.facts, MESH_KEY)?.rootNamespace ?? 'istio-system';
    return mutualTlsFor(fetch, deps.peerAuthentication, rootNamespace, { namespace, labels }).settings;
  };
  return {
    namespaceMode: (fetch, namespace) => settings(fetch, namespace, {}).mode,
    endpointMode: (fetch, endpoint) =>
      portMode(settings(fetch, endpoint.namespace, endpoint.labels), endpoint.port),
  };
}

/**
 * Endpoints of services: one record per (address, service port). Derived from workloads, EndpointSlices and
 * ServiceEntry endpoints; keyed by service, so that one flapping pod touches one value.
 */
import type { Locality } from './proxy.ts';

export interface Endpoint {
  /** IP address, host name (DNS resolution) or absolute path of a Unix socket (then port is 0). */
  readonly address: string;
  /** Of the same workload in the other family, where clients may use both (dual stack). */
  readonly otherAddresses?: readonly string[];
  readonly port: number;
  /** Number of the service port that this endpoint serves. */
  readonly servicePort: number;
  readonly portName: string;
  readonly labels: Readonly<Record<string, string>>;
  /** SPIFFE id of the workload, '' when unknown. */
  readonly identity: string;
  readonly serviceAccount: string;
  readonly network: string;
  readonly clusterId: string;
  readonly locality: Locality;
  /** Load-balancing weight, 0 when unset. */
  readonly weight: number;
  /** `istio` when the endpoint's sidecar accepts mesh mTLS. */
  readonly tlsMode: 'istio' | 'disabled';
  /** `unknown` where nobody checks (WorkloadEntries, inline endpoints): treated as healthy. */
  readonly health: 'healthy' | 'unhealthy' | 'draining' | 'unknown';
  readonly workloadName: string;
  readonly namespace: string;
  /** As in Workload. */
  readonly hostname: string;
  readonly nodeName: string;
}

/** All endpoints of one service; keyed like the service, `namespace/hostname`. Sorted by address, then port. */
export interface ServiceEndpoints {
  readonly endpoints: readonly Endpoint[];
  /** SPIFFE ids (or service accounts' ids) that run the service, sorted: what a client verifies. */
  readonly identities: readonly string[];
}

/** A workload instance: a pod, a WorkloadEntry, or a replica of a LocalWorkload. Keyed `namespace/name`. */
export interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly source: 'Pod' | 'WorkloadEntry' | 'LocalWorkload';
  readonly addresses: readonly string[];
  /** Where the application itself listens when the proxy binds `addresses` (capture `proxy`); '' = same address. */
  readonly appAddress: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `labels` plus topology labels (region, zone, subzone, cluster, network, node): what subsets match. */
  readonly endpointLabels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  /** SPIFFE id, '' when there is no service account. */
  readonly identity: string;
  readonly workloadName: string;
  readonly network: string;
  readonly clusterId: string;
  readonly locality: Locality;
  readonly weight: number;
  readonly nodeName: string;
  /** Named ports: port name -> number. */
  readonly ports: Readonly<Record<string, number>>;
  /** Ports as the mesh shows them -> where the application listens, where the two differ (capture `proxy` only). */
  readonly appPorts: Readonly<Record<string, number>>;
  /** Name below its headless service's domain: `db-0.db` where its subdomain is known, else `db-0`; '' when it has none. */
  readonly hostname: string;
  readonly tlsMode: 'istio' | 'disabled';
  readonly ready: boolean;
}

/**
 * A replica of a LocalWorkload as the standalone runner reports it: a source collection, keyed `namespace/name-N`.
 * `address` is where its proxy listens, `appAddress` where its application listens.
 */
export interface LocalReplica {
  readonly namespace: string;
  readonly workload: string;
  readonly replica: number;
  readonly address: string;
  readonly appAddress: string;
  readonly ready: boolean;
}

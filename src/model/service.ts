/**
 * A service of the mesh, whatever it came from (Kubernetes Service, ServiceEntry). Holds no endpoints: those change
 * far more often and live in endpoint.ts.
 */
import type { Cause } from '#base/cause.ts';
import type { MeshFlags } from './mesh-flags.ts';

export type Protocol =
  | 'HTTP'
  | 'HTTP2'
  | 'GRPC'
  | 'GRPCWeb'
  | 'HTTPS'
  | 'TLS'
  | 'TCP'
  | 'UDP'
  | 'Mongo'
  | 'Redis'
  | 'MySQL'
  | 'HBONE'
  | 'HTTP_PROXY'
  /** No protocol named: sniffed. */
  | 'Unsupported';

export type Resolution = 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN' | 'DYNAMIC_DNS' | 'NONE' | 'ALIAS';

export interface ServicePort {
  readonly name: string;
  readonly number: number;
  readonly protocol: Protocol;
  /** Port on the endpoints when it is a number; 0: same as `number` or resolved by name per endpoint. */
  readonly targetPort: number;
  /** Target port name to look up on each endpoint, '' when numeric. */
  readonly targetPortName: string;
}

/** Who may see an object: everybody, the listed namespaces, or nobody. `namespaces` already has '.' resolved. */
export interface Visibility {
  readonly public: boolean;
  readonly namespaces: readonly string[];
}

/** Keyed `namespace/hostname`. */
export interface Service {
  readonly hostname: string;
  readonly namespace: string;
  /** Name of the Service or ServiceEntry. */
  readonly name: string;
  readonly registry: 'Kubernetes' | 'External';
  readonly ports: readonly ServicePort[];
  /** Virtual addresses; empty when there is none (headless, or ServiceEntry without addresses). */
  readonly addresses: readonly string[];
  /**
   * Addresses that the control plane chose for a ServiceEntry's host without addresses of its own, IPv4 first; they mean
   * something only to proxies that answer DNS themselves. Empty for all others.
   */
  readonly autoAllocatedAddresses: readonly string[];
  readonly resolution: Resolution;
  readonly meshExternal: boolean;
  readonly headless: boolean;
  readonly externalName: string;
  /** Where the service is reached from outside of the cluster: addresses of load balancers, external IPs. */
  readonly externalAddresses: readonly string[];
  readonly selector: Readonly<Record<string, string>>;
  readonly visibility: Visibility;
  /** spec.subjectAltNames of a ServiceEntry. */
  readonly subjectAltNames: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly publishNotReady: boolean;
  readonly internalTrafficPolicy: 'Cluster' | 'Local';
  readonly trafficDistribution: string;
  /** Sessions stay with an endpoint, which is kept while it drains. */
  readonly persistentSession: PersistentSession | undefined;
  /** Envoy connects to all addresses of a name and keeps the connection that is there first (annotation of a ServiceEntry). */
  readonly racesConnections: boolean;
  /** Session affinity timeout in seconds when sessionAffinity is ClientIP, else 0. */
  readonly sessionAffinitySeconds: number;
  /** SPIFFE ids that may serve it besides those of its endpoints' service accounts (annotations; subjectAltNames of a ServiceEntry). */
  readonly serviceAccounts: readonly string[];
  readonly createdAtMs: number;
  readonly cause: Cause;
  /** The further ServiceEntries whose ports were merged into this service, in order of age; empty as a rule. */
  readonly mergedFrom: readonly Cause[];
}

/** How a service's sessions stay with an endpoint: by a cookie or a header, as its labels ask for; undefined for neither. */
export interface PersistentSession {
  readonly by: 'cookie' | 'header';
  /** `name` or `name:/path` of the cookie, name of the header. */
  readonly value: string;
  /** Routes make it so; else only endpoints that drain are kept, as Istio has it where its flag is off. */
  readonly isRouted: boolean;
}

/** The persistent session of a service; the cookie wins. Source: Istio networking/util MaybeBuildStatefulSessionFilterConfig. */
export function persistentSessionOf(
  labels: Service['labels'],
  flags: MeshFlags,
): PersistentSession | undefined {
  const isRouted = flags.persistentSessions;
  const cookie = labels[flags.persistentSessionLabel] ?? '';
  if (cookie !== '') return { by: 'cookie', value: cookie, isRouted };
  const header = labels[flags.persistentSessionHeaderLabel] ?? '';
  return header === '' ? undefined : { by: 'header', value: header, isRouted };
}

/** Name of a service in telemetry and cluster metadata: a ServiceEntry's services go by their host. */
export function telemetryName(service: Service): string {
  return service.registry === 'External' ? service.hostname : service.name;
}

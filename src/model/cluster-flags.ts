/**
 * Switches of the control plane that shape services, clusters and endpoints: Istio's PILOT_*, ENABLE_* and ISTIO_*
 * variables of that part, read once at start (never here) and the same for the whole life of a graph.
 * Source: istio pilot/pkg/features.
 */

/** One field per variable; the comment names it. */
export interface ClusterFlags {
  /** PILOT_ENABLE_PERSISTENT_SESSION_FILTER: sessions stay with an endpoint where a service's labels ask for it. */
  readonly persistentSessions: boolean;
  /** PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES: headless services are balanced like others. */
  readonly edsForHeadless: boolean;
  /** PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS: endpoints that are not ready are sent as such, unless panic might use them. */
  readonly sendsUnhealthy: boolean;
  /** PILOT_SEND_UNHEALTHY_ENDPOINTS: they are always sent, and panic is off. */
  readonly alwaysSendsUnhealthy: boolean;
  /** ENABLE_LOCALITY_WEIGHTED_LB_CONFIG: localities are weighted in every cluster. */
  readonly localityWeighted: boolean;
  /** ISTIO_DUAL_STACK: addresses of both families are used where there are both. */
  readonly dualStack: boolean;
  /** PILOT_DNS_JITTER_DURATION in milliseconds; 0 for none. */
  readonly dnsJitterMs: number;
  /** PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS: names that a proxy remembers under ALLOW_ANY_DYNAMIC_DNS. */
  readonly dynamicDnsMaxHosts: number;
}

/** Every flag as it is when nobody sets it. */
export const DEFAULT_CLUSTER_FLAGS: ClusterFlags = {
  persistentSessions: false,
  edsForHeadless: false,
  sendsUnhealthy: true,
  alwaysSendsUnhealthy: false,
  localityWeighted: false,
  dualStack: false,
  dnsJitterMs: 100,
  dynamicDnsMaxHosts: 1024,
};

/**
 * All that one outbound cluster is made from (law 3): plain data, the key under which the encoded cluster is shared by
 * everybody who would get the same. No causes, no proxies.
 */
import type { ClusterFacts } from '#model/mesh-facts.ts';
import type { Protocol } from '#model/service.ts';
import type { Viewer } from '#scope/viewer.ts';
import type { LocalityGroup } from '#xds/endpoints/locality-group.ts';
import type { UpstreamTls } from '#xds/tls/upstream-settings.ts';
import type { LocalityLb } from '#xds/endpoints/locality-settings.ts';
import type { PortPolicy } from './traffic-policy.ts';

/** How Envoy finds a cluster's endpoints. DYNAMIC resolves whatever host a request names (wildcard ServiceEntries). */
export type Discovery = 'EDS' | 'STRICT_DNS' | 'LOGICAL_DNS' | 'ORIGINAL_DST' | 'DYNAMIC';

export interface ClusterInput {
  /** `outbound|9080|v1|reviews.default.svc.cluster.local`. */
  readonly name: string;
  readonly service: { readonly host: string; readonly name: string; readonly namespace: string };
  /** '' for the whole service. */
  readonly subset: string;
  readonly meshExternal: boolean;
  readonly port: { readonly number: number; readonly name: string };
  readonly protocol: Protocol;
  readonly discovery: Discovery;
  /** Port to connect to instead of the one asked for (ORIGINAL_DST); 0 for none. */
  readonly upstreamPort: number;
  /** Inline endpoints of DNS clusters; empty for the others. */
  readonly endpoints: readonly LocalityGroup[];
  readonly policy: PortPolicy;
  readonly tls: UpstreamTls | undefined;
  readonly localityLb: LocalityLb | undefined;
  /** Unhealthy endpoints are always sent and never used (trafficDistribution). */
  readonly neverPanics: boolean;
  /** True for sidecars, which pass sniffed protocols on as they came; gateways don't sniff. */
  readonly followsDownstreamProtocol: boolean;
  readonly ipFamilies: Viewer['ipFamilies'];
  readonly preservesHeaderCase: boolean;
  /** Endpoints that drain are kept for sessions that stay with them. */
  readonly keepsDraining: boolean;
  /** Connects to all addresses of a name at once. */
  readonly racesConnections: boolean;
  readonly facts: ClusterFacts;
}

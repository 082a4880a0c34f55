/**
 * One host as one viewer sees it: the service that wins for that host name, and the DestinationRule settings that
 * apply. Input of clusters, endpoints, routes and outbound listeners. Holds no endpoints.
 */
import type { Cause } from '#base/cause.ts';
import type { DestinationRuleJson } from '#proto/istio/networking/v1alpha3/destination_rule_pb.ts';
import type { Service } from '#model/service.ts';

type Spec = Required<Pick<DestinationRuleJson, 'subsets'>> & DestinationRuleJson;

/** Merged DestinationRule settings for one host; all rules of one (namespace, host) merged as Istio merges them. */
export interface DestinationPolicy {
  readonly trafficPolicy: NonNullable<Spec['trafficPolicy']> | undefined;
  readonly subsets: readonly NonNullable<Spec['subsets']>[number][];
  readonly causes: readonly Cause[];
  /** Set where the policy is for some client workloads only; such a policy may name credentials for sidecars too. */
  readonly clientSelector: Readonly<Record<string, string>> | undefined;
  /** Where each subset comes from (`spec.subsets[i]` of its rule), in step with `subsets`. */
  readonly subsetCauses: readonly Cause[];
}

/** Keyed `viewer|hostname`. */
export interface OutboundHost {
  readonly viewer: string;
  readonly viewerNamespace: string;
  readonly service: Service;
  readonly policy: DestinationPolicy | undefined;
}

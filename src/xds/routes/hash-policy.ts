/** Consistent-hash settings of a DestinationRule as the hash policy of a route. Pure. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type RouteAction_HashPolicy,
  RouteAction_HashPolicySchema,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import type { LoadBalancerSettings_ConsistentHashLBJson } from '#proto/istio/networking/v1alpha3/destination_rule_pb.ts';
import { parseDuration } from './duration.ts';

/** The part of DestinationRule that shapes a route. */
export type ConsistentHash = LoadBalancerSettings_ConsistentHashLBJson;

type Specifier = NonNullable<MessageInitShape<typeof RouteAction_HashPolicySchema>['policySpecifier']>;

/** Builds the hash policy; undefined when no hash key is named. Source: istio route.go ConsistentHashToHashPolicy. */
export function buildHashPolicy(hash: ConsistentHash | undefined): RouteAction_HashPolicy | undefined {
  const policySpecifier = hash === undefined ? undefined : specifier(hash);
  return policySpecifier === undefined
    ? undefined
    : create(RouteAction_HashPolicySchema, { policySpecifier });
}

function specifier(hash: ConsistentHash): Specifier | undefined {
  if (hash.httpHeaderName !== undefined)
    return { case: 'header', value: { headerName: hash.httpHeaderName } };
  if (hash.httpCookie !== undefined) {
    const { name = '', path = '', ttl, attributes = [] } = hash.httpCookie;
    return {
      case: 'cookie',
      value: {
        name,
        path,
        ...(ttl === undefined ? {} : { ttl: parseDuration(ttl) }),
        attributes: attributes.map((attribute) => ({
          name: attribute.name ?? '',
          value: attribute.value ?? '',
        })),
      },
    };
  }
  if (hash.useSourceIp !== undefined) {
    return { case: 'connectionProperties', value: { sourceIp: hash.useSourceIp } };
  }
  if (hash.httpQueryParameterName !== undefined) {
    return { case: 'queryParameter', value: { name: hash.httpQueryParameterName } };
  }
  return undefined;
}

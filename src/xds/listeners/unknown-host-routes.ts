/**
 * Where requests go whose host no service has, under outbound policy ALLOW_ANY_DYNAMIC_DNS: by the name in the request instead of the
 * address that the connection was for. Source: istio listener_builder.go buildAllowAnyDynamicDNSHTTPFilterChain.
 */
import { create } from '@bufbuild/protobuf';
import { type RouteConfiguration, RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { durationFromMs } from '#xds/duration.ts';
import { UNKNOWN_HOSTS_CLUSTER } from '#xds/names.ts';

const NAME = 'allow_any_dynamic_dns';
const MAX_DIRECT_RESPONSE_BYTES = 1024 * 1024;

/** The inline routes of the chain. */
export function buildUnknownHostRoutes(): RouteConfiguration {
  const action = {
    clusterSpecifier: { case: 'cluster' as const, value: UNKNOWN_HOSTS_CLUSTER },
    timeout: durationFromMs(0),
    maxGrpcTimeout: durationFromMs(0),
  };
  const everything = { case: 'prefix' as const, value: '/' };
  return create(RouteConfigurationSchema, {
    name: NAME,
    virtualHosts: [
      {
        name: NAME,
        domains: ['*'],
        includeRequestAttemptCount: true,
        routes: [
          { name: NAME, match: { pathSpecifier: everything }, action: { case: 'route', value: action } },
        ],
      },
    ],
    validateClusters: false,
    maxDirectResponseBodySizeBytes: MAX_DIRECT_RESPONSE_BYTES,
    ignorePortInHostMatching: true,
  });
}

/**
 * The inline route configuration of an inbound port: everything goes to the workload itself. Timeouts and retries are
 * the client's business; only a request that the application never began is tried again, unless mesh config says more.
 * Source: istio pilot/pkg/networking/core/route.go BuildSidecarInboundHTTPRouteConfig.
 */
import { create } from '@bufbuild/protobuf';
import type { RouteConfiguration } from '#proto/envoy/config/route/v3/route_pb.ts';
import type { RetryPolicy } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { durationFromMs } from '#xds/duration.ts';

/** What the routes of one port depend on. */
export interface InboundRouteInput {
  readonly cluster: string;
  /** Names the service port in the virtual host: `80`, or `0` for pass-through. */
  readonly label: string;
  /** Name of the span. */
  readonly operation: string;
  readonly retryPolicy: RetryPolicy | undefined;
}

/** Builds the route configuration. */
export function buildInboundRoutes(input: InboundRouteInput): RouteConfiguration {
  const { cluster, label, operation } = input;
  return create(RouteConfigurationSchema, {
    name: cluster,
    validateClusters: false,
    virtualHosts: [
      {
        name: `inbound|http|${label}`,
        domains: ['*'],
        routes: [
          {
            name: 'default',
            match: { pathSpecifier: { case: 'prefix', value: '/' } },
            decorator: { operation },
            action: {
              case: 'route',
              value: {
                clusterSpecifier: { case: 'cluster', value: cluster },
                timeout: durationFromMs(0),
                ...(input.retryPolicy === undefined ? {} : { retryPolicy: input.retryPolicy }),
                maxStreamDuration: {
                  maxStreamDuration: durationFromMs(0),
                  grpcTimeoutHeaderMax: durationFromMs(0),
                },
              },
            },
          },
        ],
      },
    ],
  });
}

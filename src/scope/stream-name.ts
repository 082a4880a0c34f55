/**
 * Names of byte streams in statistics, after the mesh's pattern for outbound clusters. Without a pattern nothing is looked up.
 * Source: istio pilot/pkg/networking/core/networkfilter.go buildOutboundNetworkFilters, tls.go, gateway.go.
 */
import { telemetryName } from '#model/service.ts';
import { statName } from '#model/stat-name.ts';
import type { HostLookup } from './route-destination.ts';

/** Where the stream goes. */
export interface NamedStream {
  readonly hostname: string;
  readonly subset: string;
  readonly port: { readonly number: number; readonly name: string };
}

/** '' where the name is that of the cluster: without a pattern, and for hosts that the proxy does not see. */
export function streamName(pattern: string, lookup: HostLookup, stream: NamedStream): string {
  const service = pattern === '' ? undefined : lookup(stream.hostname)?.service;
  if (service === undefined) return '';
  const { hostname: host, namespace } = service;
  const { subset, port } = stream;
  return statName(pattern, {
    service: { host, name: telemetryName(service), namespace },
    subset,
    port,
    targetPort: 0,
  });
}

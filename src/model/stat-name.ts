/** Names of clusters in statistics after a pattern of mesh config. Pure. Source: istio pilot/pkg/networking/telemetry BuildStatPrefix. */

/** What a pattern may speak of. */
export interface StatSubject {
  readonly service: { readonly host: string; readonly name: string; readonly namespace: string };
  readonly subset: string;
  readonly targetPort: number;
  readonly port: { readonly number: number; readonly name: string };
}

/** The pattern with its placeholders filled in, '' for none. Services of Kubernetes have a short name. */
export function statName(pattern: string, { service, subset, targetPort, port }: StatSubject): string {
  const isKubernetes = service.name !== service.host;
  return pattern
    .replaceAll('%SERVICE%', isKubernetes ? `${service.name}.${service.namespace}` : service.host)
    .replaceAll('%SERVICE_NAME%', service.name)
    .replaceAll('%SERVICE_FQDN%', service.host)
    .replaceAll('%SUBSET_NAME%', subset)
    .replaceAll('%TARGET_PORT%', String(targetPort))
    .replaceAll('%SERVICE_PORT%', String(port.number))
    .replaceAll('%SERVICE_PORT_NAME%', port.name);
}

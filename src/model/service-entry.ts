/**
 * ServiceEntry -> Services: one per host. Pure; endpoints are made in endpoint-entry.ts.
 * Source: Istio pilot/pkg/serviceregistry/serviceentry/conversion.go convertServices.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { ServiceEntryPort, ServiceEntrySpec } from '#api/service-entry.ts';
import { persistentSessionOf, type Resolution, type Service, type ServicePort } from './service.ts';
import { cappedVisibility } from './service-entry-visibility.ts';
import type { ServiceContext } from './service-kubernetes.ts';
import { parseProtocol } from './service-protocol.ts';
import { trafficDistributionOf } from './service-traffic-distribution.ts';
import { visibilityOf } from './service-visibility.ts';

const CONNECT_STRATEGY = 'istio.io/connect-strategy';

/** The services that a ServiceEntry declares, one for each of its hosts. */
export function servicesFromEntry(
  object: MeshObject<ServiceEntrySpec>,
  context: ServiceContext,
): readonly Service[] {
  const { spec } = object;
  const common = {
    namespace: object.namespace,
    name: object.name,
    registry: 'External',
    ports: (spec.ports ?? []).map(portFromEntry),
    addresses: (spec.addresses ?? []).map(singleAddress),
    autoAllocatedAddresses: [],
    resolution: resolutionOf(spec),
    meshExternal: spec.location !== 'MESH_INTERNAL',
    headless: false,
    externalName: '',
    externalAddresses: [],
    selector: spec.workloadSelector?.labels ?? {},
    visibility: cappedVisibility(
      visibilityOf(exportToOf(spec) ?? context.defaultExportTo, object.namespace),
      context.entryVisibility,
      { name: object.namespace, labels: context.namespaceLabels },
    ),
    subjectAltNames: spec.subjectAltNames ?? [],
    labels: object.labels,
    annotations: object.annotations,
    publishNotReady: false,
    internalTrafficPolicy: 'Cluster',
    trafficDistribution: trafficDistributionOf('', object.annotations, context.namespaceAnnotations),
    persistentSession: persistentSessionOf(object.labels, context.flags),
    racesConnections: (object.annotations[CONNECT_STRATEGY] ?? '').toUpperCase() === 'RACE_FIRST_TCP_CONNECT',
    sessionAffinitySeconds: 0,
    serviceAccounts: spec.subjectAltNames ?? [],
    createdAtMs: object.createdAtMs,
    cause: { kind: 'ServiceEntry', namespace: object.namespace, name: object.name, path: '' },
    mergedFrom: [],
  } as const;
  return (spec.hosts ?? []).map((hostname) => ({ ...common, hostname }));
}

function exportToOf(spec: ServiceEntrySpec): readonly string[] | undefined {
  return spec.exportTo === undefined || spec.exportTo.length === 0 ? undefined : spec.exportTo;
}

function portFromEntry(port: ServiceEntryPort): ServicePort {
  return {
    name: port.name ?? '',
    number: port.number ?? 0,
    protocol: parseProtocol(port.protocol ?? ''),
    targetPort: port.targetPort ?? 0,
    targetPortName: '',
  };
}

function resolutionOf(spec: ServiceEntrySpec): Resolution {
  return spec.resolution ?? 'NONE';
}

/** A prefix that covers one address is that address. */
function singleAddress(address: string): string {
  const [ip, bits] = address.split('/', 2);
  if (ip === undefined || bits === undefined) return address;
  return bits === (ip.includes(':') ? '128' : '32') ? ip : address;
}

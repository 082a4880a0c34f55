/**
 * Kubernetes Service -> Service. Pure; endpoints are none of its business (endpoint-kubernetes.ts).
 * Source: Istio pilot/pkg/serviceregistry/kube/conversion.go ConvertService.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { ServicePortSpec, ServiceSpec } from '#api/service.ts';
import type { ServiceEntryVisibilityJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { MeshFlags } from './mesh-flags.ts';
import { persistentSessionOf, type Resolution, type Service, type ServicePort } from './service.ts';
import { serviceHostname } from './service-hostname.ts';
import { kubernetesProtocol } from './service-protocol.ts';
import { trafficDistributionOf } from './service-traffic-distribution.ts';
import { visibilityOf } from './service-visibility.ts';
import { spiffeId } from './workload-identity.ts';

/** What a service takes from its surroundings. */
export interface ServiceContext {
  readonly clusterDomain: string;
  readonly trustDomain: string;
  /** exportTo of services that name none. */
  readonly defaultExportTo: readonly string[];
  readonly namespaceAnnotations: Readonly<Record<string, string>>;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  /** How far ServiceEntries may be seen at most. */
  readonly entryVisibility: ServiceEntryVisibilityJson | undefined;
  readonly flags: MeshFlags;
}

/** The service that a Kubernetes Service declares. */
export function serviceFromKubernetes(object: MeshObject<ServiceSpec>, context: ServiceContext): Service {
  const { spec, annotations } = object;
  const headless = spec.clusterIP === 'None';
  const externalName = spec.type === 'ExternalName' ? spec.externalName : '';
  return {
    hostname: serviceHostname(object.name, object.namespace, context.clusterDomain),
    namespace: object.namespace,
    name: object.name,
    registry: 'Kubernetes',
    ports: spec.ports.map(portFromKubernetes),
    addresses: headless ? [] : addressesOf(spec),
    autoAllocatedAddresses: [],
    resolution: resolutionOf(headless, externalName),
    meshExternal: externalName !== '',
    headless,
    externalName,
    externalAddresses: externalAddressesOf(spec),
    selector: spec.selector,
    visibility: visibilityOf(exportToOf(annotations) ?? context.defaultExportTo, object.namespace),
    subjectAltNames: [],
    labels: object.labels,
    annotations,
    publishNotReady: spec.publishNotReadyAddresses,
    internalTrafficPolicy: spec.internalTrafficPolicy,
    trafficDistribution: trafficDistributionOf(
      spec.trafficDistribution,
      annotations,
      context.namespaceAnnotations,
    ),
    persistentSession: persistentSessionOf(object.labels, context.flags),
    racesConnections: false,
    sessionAffinitySeconds: spec.sessionAffinityTimeoutSeconds,
    serviceAccounts: serviceAccountsOf(object, context.trustDomain),
    createdAtMs: object.createdAtMs,
    cause: { kind: 'Service', namespace: object.namespace, name: object.name, path: '' },
    mergedFrom: [],
  };
}

function addressesOf(spec: ServiceSpec): readonly string[] {
  if (spec.clusterIP === '') return [];
  return spec.clusterIPs.length > 1 ? spec.clusterIPs : [spec.clusterIP];
}

function externalAddressesOf({ type, loadBalancerIngress, externalIPs }: ServiceSpec): readonly string[] {
  const balanced = type === 'LoadBalancer' ? loadBalancerIngress : [];
  return [...balanced.flatMap(({ ip, hostname }) => ip || hostname || []), ...externalIPs];
}

function resolutionOf(headless: boolean, externalName: string): Resolution {
  if (headless) return 'NONE';
  return externalName === '' ? 'STATIC' : 'ALIAS';
}

function portFromKubernetes(port: ServicePortSpec): ServicePort {
  const isNamed = typeof port.targetPort === 'string';
  return {
    name: port.name,
    number: port.port,
    protocol: kubernetesProtocol(port),
    targetPort: isNamed ? 0 : (port.targetPort as number),
    targetPortName: isNamed ? (port.targetPort as string) : '',
  };
}

function exportToOf(annotations: Readonly<Record<string, string>>): readonly string[] | undefined {
  return listOf(annotations['networking.istio.io/exportTo']);
}

function serviceAccountsOf(object: MeshObject<ServiceSpec>, trustDomain: string): readonly string[] {
  const canonical = listOf(object.annotations['alpha.istio.io/canonical-serviceaccounts']) ?? [];
  const ofKubernetes = listOf(object.annotations['alpha.istio.io/kubernetes-serviceaccounts']) ?? [];
  return [...canonical, ...ofKubernetes.map((name) => spiffeId(trustDomain, object.namespace, name))];
}

/** A comma-separated annotation; undefined when absent or empty. */
function listOf(text: string | undefined): readonly string[] | undefined {
  if (text === undefined || text === '') return undefined;
  return text.split(',').map((entry) => entry.trim());
}

/** `/debug/configz`, `/debug/registryz`, `/debug/endpointz`: objects, services and endpoints as the mesh has them. */
import type { MeshObject } from '#api/mesh-object.ts';
import { toKubernetesForm } from '#api/print-object.ts';
import type { ServiceEndpoints } from '#model/endpoint.ts';
import type { Service } from '#model/service.ts';

/** All Istio objects; secrets never. Source: istio pilot/pkg/xds/debug.go configz. */
export function configPage(objects: Iterable<MeshObject>): object[] {
  return [...objects]
    .filter((object) => object.apiVersion.includes('istio.io'))
    .map((object) => toKubernetesForm(object));
}

/** All services. Source: istio model.Service as registryz prints it. */
export function registryPage(services: Iterable<Service>): object[] {
  return Array.from(services, (service) => ({
    Attributes: {
      ServiceRegistry: service.registry,
      Name: service.name,
      Namespace: service.namespace,
      ExportTo: service.visibility.public
        ? { '*': {} }
        : Object.fromEntries(service.visibility.namespaces.map((ns) => [ns, {}])),
      LabelSelectors: service.selector,
    },
    hostname: service.hostname,
    defaultAddress: service.addresses[0] ?? '0.0.0.0',
    ports: service.ports.map(({ name, number, protocol }) => ({ name, port: number, protocol })),
    Resolution: service.resolution,
    MeshExternal: service.meshExternal,
  }));
}

/** Endpoints by service port. Source: istio endpointz. */
export function endpointPage(
  services: Iterable<readonly [string, Service]>,
  endpoints: { get(key: string): ServiceEndpoints | undefined },
): object[] {
  return [...services].flatMap(([key, service]) =>
    service.ports.map((port) => ({
      svc: `${service.hostname}:${port.name}`,
      ep: (endpoints.get(key)?.endpoints ?? [])
        .filter((endpoint) => endpoint.servicePort === port.number)
        .map(({ address, port: number, labels, identity, locality, weight, tlsMode, health }) => {
          return {
            address,
            port: number,
            labels,
            serviceAccount: identity,
            locality,
            weight,
            tlsMode,
            health,
          };
        }),
    })),
  );
}

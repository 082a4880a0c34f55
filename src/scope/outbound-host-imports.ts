/**
 * What a Sidecar object lets its proxies see: services by namespace and host (`egress.hosts`), on all ports or the
 * listener's one, and besides these the destinations of VirtualServices that it imports. One small value per viewer with
 * a Sidecar; a changed VirtualService costs these viewers one walk over the VirtualServices and changes nothing unless
 * the set of destinations changes.
 * Source: Istio pilot/pkg/model/sidecar.go convertIstioListenerToWrapper, collectImportedServices.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarSpec } from '#api/sidecar.ts';
import type { VirtualServiceSpec } from '#api/virtual-service.ts';
import type { Collection, Engine } from '#collections/collection.ts';
import type { Service } from '#model/service.ts';
import { doHostsOverlap, resolveHostname } from '#model/service-hostname.ts';
import type { ServiceModel } from '#model/service-model.ts';
import { isVisibleTo, visibilityOf } from '#model/service-visibility.ts';
import { type EgressListener, egressListeners, importsService } from './egress-listener.ts';
import type { Viewer } from './viewer.ts';

/** What one viewer imports. Keyed by viewer. */
export interface Imports {
  readonly namespace: string;
  readonly listeners: readonly EgressListener[];
  /** Hosts that imported VirtualServices send to, with the ports they name; 0 stands for all ports. */
  readonly destinations: ReadonlyMap<string, readonly number[]>;
}

/** What imports are made of. */
export interface ImportSources {
  readonly engine: Engine;
  readonly viewers: Collection<Viewer>;
  readonly serviceModel: Pick<ServiceModel, 'clusterDomain'>;
  readonly sidecars: Collection<MeshObject<SidecarSpec>>;
  readonly virtualServices: Collection<MeshObject<VirtualServiceSpec>>;
}

/** Builds the collection; viewers without a Sidecar object have no entry. */
export function createImports(sources: ImportSources): Collection<Imports> {
  return sources.engine.derive('scope.imports', sources.viewers, (fetch, viewer) => {
    if (viewer.sidecar === '') return undefined;
    const sidecar = fetch.get(sources.sidecars, viewer.sidecar);
    if (sidecar === undefined) return undefined;
    const listeners = egressListeners(sidecar, viewer.namespace);
    const imported = [...fetch.all(sources.virtualServices).values()].filter((object) =>
      isImported(object, listeners, viewer.namespace, sources.serviceModel.clusterDomain),
    );
    const destinations = destinationsOf(imported, sources.serviceModel.clusterDomain);
    return { namespace: viewer.namespace, listeners, destinations };
  });
}

/** The service as the viewer imports it, with those ports that some listener imports; undefined when none does. */
export function importedService(imports: Imports, service: Service, isVisible: boolean): Service | undefined {
  const ports = isVisible ? importedPorts(imports, service) : new Set<number>();
  if (ports === 'all') return service;
  if (ports.size === 0) {
    const isReachable = isVisible || service.namespace === imports.namespace;
    for (const port of (isReachable && imports.destinations.get(service.hostname)) || []) ports.add(port);
  }
  if (ports.has(0)) return service;
  const kept = service.ports.filter((port) => ports.has(port.number));
  if (kept.length === service.ports.length) return service;
  return kept.length === 0 ? undefined : { ...service, ports: kept };
}

function importedPorts(imports: Imports, service: Service): 'all' | Set<number> {
  const ports = new Set<number>();
  for (const listener of imports.listeners) {
    if (!importsService(listener, service)) continue;
    if (listener.port === 0 || listener.isHttpProxy) return 'all';
    ports.add(listener.port);
  }
  return ports;
}

/** True for VirtualServices of the mesh gateway that the viewer may see and whose hosts some listener imports. */
function isImported(
  object: MeshObject<VirtualServiceSpec>,
  listeners: readonly EgressListener[],
  namespace: string,
  clusterDomain: string,
): boolean {
  const { spec } = object;
  if (spec.gateways !== undefined && spec.gateways.length > 0 && !spec.gateways.includes('mesh'))
    return false;
  const exportTo = spec.exportTo === undefined || spec.exportTo.length === 0 ? ['*'] : spec.exportTo;
  if (!isVisibleTo(visibilityOf(exportTo, object.namespace), namespace)) return false;
  const hosts = (spec.hosts ?? []).map((host) => resolveHostname(host, object.namespace, clusterDomain));
  return listeners.some(({ included }) =>
    included.some(
      (pattern) =>
        (pattern.namespace === '*' || pattern.namespace === object.namespace) &&
        hosts.some((host) => doHostsOverlap(host, pattern.host)),
    ),
  );
}

function destinationsOf(
  objects: readonly MeshObject<VirtualServiceSpec>[],
  clusterDomain: string,
): ReadonlyMap<string, readonly number[]> {
  const ports = new Map<string, Set<number>>();
  for (const object of objects) {
    for (const { host, port } of routedDestinations(object.spec)) {
      const hostname = resolveHostname(host, object.namespace, clusterDomain);
      const known = ports.get(hostname) ?? new Set();
      ports.set(hostname, known.add(port));
    }
  }
  return new Map([...ports].map(([hostname, set]) => [hostname, [...set].sort((a, b) => a - b)]));
}

interface RoutedDestination {
  readonly host: string;
  readonly port: number;
}

function routedDestinations(spec: VirtualServiceSpec): readonly RoutedDestination[] {
  const ofHttp = (spec.http ?? []).flatMap((route) => [
    ...(route.route ?? []).map((entry) => entry.destination),
    route.mirror,
    ...(route.mirrors ?? []).map((entry) => entry.destination),
  ]);
  const ofStreams = [...(spec.tls ?? []), ...(spec.tcp ?? [])].flatMap((route) =>
    (route.route ?? []).map((entry) => entry.destination),
  );
  return [...ofHttp, ...ofStreams].flatMap((destination) =>
    destination?.host === undefined ? [] : [{ host: destination.host, port: destination.port?.number ?? 0 }],
  );
}

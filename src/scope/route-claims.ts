/**
 * Hosts that are named by VirtualServices only: no service of the viewer has them on the port, yet requests for them are
 * routed. They are found from the VirtualService's side; services are found from their own.
 * Cost: O(hosts of the VirtualService x viewers that see it); wildcard hosts also look at every host of those viewers.
 */
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { RouteModel } from '#model/route-model.ts';
import { doHostsOverlap, isWildcardHost } from '#model/service-hostname.ts';
import { isVisibleTo } from '#model/service-visibility.ts';
import { isHttp } from '#model/service-protocol.ts';
import type { ServicePort } from '#model/service.ts';
import { MESH_GATEWAY, type VirtualService, virtualServiceKey } from '#model/virtual-service.ts';
import type { OutboundHost } from './outbound-host.ts';
import { seesService, seesVirtualService, virtualServicesFor } from './route-binding.ts';
import { listenerContexts, type RouteContext } from './route-context.ts';
import { viewerKey } from './viewer.ts';

/** The port on which hosts without service are always served: Istio's own rule, for tables of ports. */
const HTTP_PORT = 80;

/** A VirtualService's wish for a virtual host. Keyed `viewer|port|listener|host|namespace/name`. */
export interface HostClaim {
  readonly viewer: string;
  /** As in RouteContext. */
  readonly listener: string;
  readonly port: number;
  readonly host: string;
  readonly virtualService: VirtualService;
}

export interface HostClaimDeps {
  readonly engine: Engine;
  readonly model: RouteModel;
  readonly contexts: Collection<RouteContext>;
  readonly hosts: Collection<OutboundHost>;
  readonly hostsByViewer: Index<OutboundHost>;
}

/** Derives all claims, indexed by `viewer|port|listener|host`. */
export function createHostClaims(deps: HostClaimDeps): Index<HostClaim> {
  const claims = deps.engine.deriveMany('scope.hostClaims', deps.model.virtualServices, (fetch, object) => {
    if (!object.gateways.includes(MESH_GATEWAY) || object.http.length === 0) return [];
    return [...fetch.all(deps.contexts).values()]
      .filter((context) => isVisibleTo(object.visibility, context.viewer.namespace))
      .flatMap(listenerContexts)
      .flatMap((context) => new ClaimFinder(deps, fetch, context, object).claims());
  });
  return deps.engine.index('scope.hostClaims.byHost', claims, (claim) => [
    `${viewerKey(claim.viewer, String(claim.port))}|${claim.listener}|${claim.host}`,
  ]);
}

/** True for ports whose requests may be routed: HTTP, or not known before the first bytes. */
export function isRoutable(port: ServicePort): boolean {
  return isHttp(port.protocol) || port.protocol === 'Unsupported';
}

/** Claims of one VirtualService at one viewer. Source: istio route.go buildSidecarVirtualHostsForVirtualService. */
class ClaimFinder {
  readonly #deps: HostClaimDeps;
  readonly #fetch: Fetch;
  readonly #context: RouteContext;
  readonly #object: VirtualService;

  constructor(deps: HostClaimDeps, fetch: Fetch, context: RouteContext, object: VirtualService) {
    this.#deps = deps;
    this.#fetch = fetch;
    this.#context = context;
    this.#object = object;
  }

  claims(): (readonly [string, HostClaim])[] {
    const found = this.#object.hosts.map((host) => ({ host, services: this.#servicesOf(host) }));
    const ports = new Set(this.#context.listener === '' ? [HTTP_PORT] : []);
    for (const { host, services } of found) {
      for (const service of services) {
        for (const port of service.service.ports) {
          if (isRoutable(port) && this.#binds(host, service, port.number)) ports.add(port.number);
        }
      }
    }
    return [...ports].flatMap((port) => {
      if (!seesVirtualService(this.#context, this.#object, port)) return [];
      return found
        .filter(({ services }) => !services.some((service) => this.#isOn(service, port)))
        .map(({ host }) => this.#claim(host, port));
    });
  }

  #servicesOf(host: string): readonly OutboundHost[] {
    const { viewer } = this.#context;
    if (!isWildcardHost(host)) {
      const service = this.#fetch.get(this.#deps.hosts, viewerKey(viewer.key, host));
      return service === undefined ? [] : [service];
    }
    const all = [...this.#fetch.bucket(this.#deps.hostsByViewer, viewer.key).values()];
    return all.filter((candidate) => doHostsOverlap(candidate.service.hostname, host));
  }

  /** True when this VirtualService, and no more specific one, routes the service on the port. */
  #binds(host: string, { service }: OutboundHost, port: number): boolean {
    if (!seesService(this.#context, service, port)) return false;
    if (!isWildcardHost(host)) return true;
    const lookup = (name: string): Iterable<VirtualService> =>
      this.#fetch.bucket(this.#deps.model.byMeshHost, name).values();
    const [first] = virtualServicesFor(lookup, this.#context, service.hostname, port);
    return first !== undefined && virtualServiceKey(first) === virtualServiceKey(this.#object);
  }

  #isOn({ service }: OutboundHost, number: number): boolean {
    return (
      service.ports.some((port) => port.number === number) && seesService(this.#context, service, number)
    );
  }

  #claim(host: string, port: number): readonly [string, HostClaim] {
    const { viewer, listener } = this.#context;
    const claim = { viewer: viewer.key, listener, port, host, virtualService: this.#object };
    return [
      `${viewerKey(viewer.key, String(port))}|${listener}|${host}|${virtualServiceKey(this.#object)}`,
      claim,
    ];
  }
}

/**
 * First step from the object to the model: short names become full ones against the object's own namespace, gateways
 * become `namespace/name`, exportTo becomes visibility. Pure; costs one copy of the parts that hold names.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { Destination, HttpMatch, HttpRoute, VirtualServiceSpec } from '#api/virtual-service.ts';
import { resolveHostname } from './service-hostname.ts';
import { visibilityOf } from './service-visibility.ts';
import {
  MESH_GATEWAY,
  type RouteSemantics,
  type VirtualService,
  virtualServiceCause,
} from './virtual-service.ts';

/** Written by the converters of Ingress and Gateway API objects. */
const SEMANTICS_ANNOTATION = 'internal.istio.io/route-semantics';

export interface ResolutionContext {
  readonly clusterDomain: string;
  /** Mesh config defaultVirtualServiceExportTo. */
  readonly defaultExportTo: readonly string[];
}

/**
 * Resolves one object; its rules may still name delegates. Objects without hosts are delegates.
 * Source: istio pilot/pkg/model/virtualservice.go ResolveVirtualServiceShortnames.
 */
export function resolveVirtualService(
  object: MeshObject<VirtualServiceSpec>,
  context: ResolutionContext,
): VirtualService {
  const { spec, namespace } = object;
  const names = new NameResolver(namespace, context.clusterDomain);
  const exportTo =
    spec.exportTo !== undefined && spec.exportTo.length > 0 ? spec.exportTo : context.defaultExportTo;
  const gateways = (spec.gateways ?? []).map((gateway) => resolveGatewayName(gateway, namespace));
  return {
    name: object.name,
    namespace,
    createdAtMs: object.createdAtMs,
    hosts: (spec.hosts ?? []).map((host) => names.host(host).toLowerCase()),
    gateways: gateways.length === 0 ? [MESH_GATEWAY] : gateways,
    visibility: visibilityOf(exportTo, namespace),
    semantics: semanticsOf(object.annotations[SEMANTICS_ANNOTATION]),
    http: (spec.http ?? []).map((route, i) => ({
      route: names.httpRoute(route),
      cause: virtualServiceCause(object, `spec.http[${i}]`),
    })),
    tls: (spec.tls ?? []).map((route) => names.layer4Route(route)),
    tcp: (spec.tcp ?? []).map((route) => names.layer4Route(route)),
  };
}

/**
 * The gateway that a VirtualService in `namespace` means: `mesh`, `namespace/name`, `./name`, a short name, or the old
 * form `name.namespace.svc…`. Source: istio pilot/pkg/model/config.go resolveGatewayName.
 */
export function resolveGatewayName(gateway: string, namespace: string): string {
  if (gateway === MESH_GATEWAY) return gateway;
  if (gateway.startsWith('./')) return `${namespace}/${gateway.slice(2)}`;
  if (gateway.includes('/')) return gateway;
  const [name = '', ownNamespace = namespace] = gateway.split('.');
  return `${ownNamespace}/${name}`;
}

function semanticsOf(annotation: string | undefined): RouteSemantics {
  if (annotation === 'gateway') return 'gateway-api';
  return annotation === 'ingress' ? 'ingress' : 'virtual-service';
}

/** Resolves the names inside one object. */
class NameResolver {
  readonly #namespace: string;
  readonly #clusterDomain: string;

  constructor(namespace: string, clusterDomain: string) {
    this.#namespace = namespace;
    this.#clusterDomain = clusterDomain;
  }

  host(host: string): string {
    // IPv6 addresses have no dot and are no short names.
    return host.includes(':') ? host : resolveHostname(host, this.#namespace, this.#clusterDomain);
  }

  httpRoute(route: HttpRoute): HttpRoute {
    return {
      ...route,
      ...(route.match === undefined ? {} : { match: this.#matches<HttpMatch>(route.match) }),
      ...(route.route === undefined ? {} : { route: this.#destinations(route.route) }),
      ...(route.mirror === undefined ? {} : { mirror: this.#destination(route.mirror) }),
      ...(route.mirrors === undefined ? {} : { mirrors: this.#destinations(route.mirrors) }),
    };
  }

  layer4Route<R extends Layer4Route>(route: R): R {
    return {
      ...route,
      ...(route.match === undefined ? {} : { match: this.#matches(route.match) }),
      ...(route.route === undefined ? {} : { route: this.#destinations(route.route) }),
    };
  }

  #matches<M extends { readonly gateways?: string[] }>(matches: readonly M[]): M[] {
    return matches.map((match) =>
      match.gateways === undefined
        ? match
        : {
            ...match,
            gateways: match.gateways.map((gateway) => resolveGatewayName(gateway, this.#namespace)),
          },
    );
  }

  #destinations<D extends { readonly destination?: Destination }>(entries: readonly D[]): D[] {
    return entries.map((entry) =>
      entry.destination === undefined
        ? entry
        : { ...entry, destination: this.#destination(entry.destination) },
    );
  }

  #destination(destination: Destination): Destination {
    return { ...destination, host: this.host(destination.host ?? '') };
  }
}

interface Layer4Route {
  readonly match?: { readonly gateways?: string[] }[];
  readonly route?: { readonly destination?: Destination }[];
}

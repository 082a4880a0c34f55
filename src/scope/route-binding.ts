/**
 * Which VirtualServices route a host for a sidecar, in order of precedence; and how virtual hosts are ranked where two
 * lay claim to one name.
 */
import { compareBytes } from '#base/bytes-order.ts';
import type { Service } from '#model/service.ts';
import { isSubsetHost, isWildcardHost } from '#model/service-hostname.ts';
import { isVisibleTo } from '#model/service-visibility.ts';
import { comparePrecedenceIn, type VirtualService } from '#model/virtual-service.ts';
import { importsService, importsVirtualService, listenerForPort } from './egress-listener.ts';
import type { RouteContext } from './route-context.ts';

/** True when sidecars of the viewer take the VirtualService into account for requests to the port. */
export function seesVirtualService(context: RouteContext, object: VirtualService, port: number): boolean {
  if (!isVisibleTo(object.visibility, context.viewer.namespace)) return false;
  if (context.egress === undefined) return true;
  const listener = listenerForPort(context.egress, port);
  return listener !== undefined && importsVirtualService(listener, object);
}

/** True when the viewer's Sidecar object, if any, lets the service be asked for on the port. */
export function seesService(context: RouteContext, service: Service, port: number): boolean {
  if (context.egress === undefined) return true;
  const listener = listenerForPort(context.egress, port);
  return listener !== undefined && importsService(listener, service);
}

/** Finds the VirtualServices for sidecars that have a host, exactly as written: a full name or a wildcard. */
export type VirtualServiceLookup = (host: string) => Iterable<VirtualService>;

/**
 * The VirtualServices for a host on a port: those that name it; where none does, the first of the most specific
 * wildcard. Of several that name it, the first with a route for the asker wins, whole: rules of two are never mixed.
 * Source: istio route.go separateVSHostsAndServices, sidecar.go computeWildcardHostVirtualServiceIndex.
 */
export function virtualServicesFor(
  lookup: VirtualServiceLookup,
  context: RouteContext,
  host: string,
  port: number,
): readonly VirtualService[] {
  const exact = visible(lookup(host), context, port);
  if (exact.length > 0) return isWildcardHost(host) ? exact.slice(0, 1) : exact;
  for (const wildcard of context.wildcards) {
    if (!isSubsetHost(host, wildcard)) continue;
    const matching = visible(lookup(wildcard), context, port);
    if (matching.length > 0) return matching.slice(0, 1);
  }
  return NONE;
}

const NONE: readonly VirtualService[] = [];

function visible(
  objects: Iterable<VirtualService>,
  context: RouteContext,
  port: number,
): readonly VirtualService[] {
  return [...objects]
    .filter((object) => seesVirtualService(context, object, port))
    .sort((a, b) => comparePrecedenceIn(context.viewer.namespace, a, b));
}

/** Place of a virtual host in the order in which names are taken. */
export interface HostRank {
  readonly virtualService: VirtualService | undefined;
  /** Hosts that are no service come before the services of the same VirtualService. */
  readonly isService: boolean;
  readonly name: string;
}

/** Virtual hosts of VirtualServices first, in their order, then plain services by name. */
export function compareRanks(namespace: string, a: HostRank, b: HostRank): number {
  if (a.virtualService === undefined || b.virtualService === undefined) {
    const plain = Number(a.virtualService === undefined) - Number(b.virtualService === undefined);
    return plain || compareBytes(a.name, b.name);
  }
  return (
    comparePrecedenceIn(namespace, a.virtualService, b.virtualService) ||
    Number(a.isService) - Number(b.isService) ||
    compareBytes(a.name, b.name)
  );
}

/**
 * A VirtualService as the rest of the program sees it: names resolved, delegates merged in. Made by
 * virtual-service-resolution.ts and virtual-service-delegation.ts; independent of who looks at it.
 */
import type { HttpRoute, TcpRoute, TlsRoute } from '#api/virtual-service.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Cause } from '#base/cause.ts';
import type { Visibility } from './service.ts';

/** The gateway name that means all sidecars. */
export const MESH_GATEWAY = 'mesh';

/**
 * What the object was written as: Ingress and Gateway API objects are turned into VirtualServices too, and differ in
 * how they match paths, name routes and answer for missing backends.
 */
export type RouteSemantics = 'virtual-service' | 'ingress' | 'gateway-api';

/** One HTTP rule, with the object and field that it was written in (a delegate's rules come from the delegate). */
export interface HttpRule {
  readonly route: HttpRoute;
  readonly cause: Cause;
}

/** Keyed `namespace/name`. Delegates themselves are not in the collection. */
export interface VirtualService {
  readonly name: string;
  readonly namespace: string;
  readonly createdAtMs: number;
  /** Full names in lower case, or wildcards. */
  readonly hosts: readonly string[];
  /** `mesh` or `namespace/name`; never empty. */
  readonly gateways: readonly string[];
  readonly visibility: Visibility;
  readonly semantics: RouteSemantics;
  readonly http: readonly HttpRule[];
  readonly tls: readonly TlsRoute[];
  readonly tcp: readonly TcpRoute[];
}

/** Key of a VirtualService in its collection. */
export function virtualServiceKey(virtualService: Pick<VirtualService, 'namespace' | 'name'>): string {
  return `${virtualService.namespace}/${virtualService.name}`;
}

/**
 * Precedence between VirtualServices of one class: older first, then by name, then by namespace.
 * Source: istio pilot/pkg/model configCompareByCreationTime.
 */
export function comparePrecedence(a: VirtualService, b: VirtualService): number {
  return (
    a.createdAtMs - b.createdAtMs || compareBytes(a.name, b.name) || compareBytes(a.namespace, b.namespace)
  );
}

/**
 * Precedence as a proxy of `namespace` sees it: objects private to the namespace, then those exported to it by name,
 * then public ones (there Gateway API routes of the own namespace first), each by `comparePrecedence`.
 * Source: istio push_context.go VirtualServicesForGateway.
 */
export function comparePrecedenceIn(namespace: string, a: VirtualService, b: VirtualService): number {
  return visibilityRank(namespace, a) - visibilityRank(namespace, b) || comparePrecedence(a, b);
}

function visibilityRank(namespace: string, virtualService: VirtualService): number {
  if (virtualService.visibility.public) {
    return virtualService.semantics === 'gateway-api' && virtualService.namespace === namespace ? 2 : 3;
  }
  return virtualService.namespace === namespace ? 0 : 1;
}

/** The object itself as a cause, with a field path. */
export function virtualServiceCause(
  object: { readonly namespace: string; readonly name: string },
  path: string,
): Cause {
  return { kind: 'VirtualService', namespace: object.namespace, name: object.name, path };
}

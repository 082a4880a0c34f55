/**
 * The egress listeners of a Sidecar object as routes see them: which services and VirtualServices count on which port,
 * and what becomes of unknown hosts. Pure; one small record per viewer with a Sidecar.
 * Source: istio pilot/pkg/model/sidecar.go convertIstioListenerToWrapper, GetEgressListenerForRDS, SelectVirtualServices.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarEgressListener, SidecarSpec } from '#api/sidecar.ts';
import type { Service } from '#model/service.ts';
import { doHostsOverlap, isSubsetHost } from '#model/service-hostname.ts';
import type { VirtualService } from '#model/virtual-service.ts';

/** One entry of `hosts`, `namespace/host`; namespace '*' is any. */
interface HostPattern {
  readonly namespace: string;
  readonly host: string;
}

export interface EgressListener {
  /** 0 for the listener of all ports that have none of their own. */
  readonly port: number;
  /** It speaks HTTP proxy: requests for all ports arrive on it. */
  readonly isHttpProxy: boolean;
  readonly included: readonly HostPattern[];
  readonly excluded: readonly HostPattern[];
}

/** The listeners in the order of the object; without any, one that imports everything. */
export function egressListeners(
  sidecar: MeshObject<SidecarSpec>,
  namespace: string,
): readonly EgressListener[] {
  const egress = sidecar.spec.egress ?? [];
  const entries = egress.length === 0 ? [{ hosts: ['*/*'] }] : egress;
  return entries.map((entry) => egressListener(entry, namespace));
}

/** The listener that decides for a port; undefined where the Sidecar has none for it. */
export function listenerForPort(
  listeners: readonly EgressListener[],
  port: number,
): EgressListener | undefined {
  const own = listeners.find((listener) => listener.port === port && !listener.isHttpProxy);
  return (
    own ??
    listeners.find((listener) => listener.port === 0) ??
    listeners.find((listener) => listener.isHttpProxy)
  );
}

/** True when the listener imports the service. */
export function importsService(listener: EgressListener, service: Service): boolean {
  return importsHost(listener, service.namespace, service.hostname, isSubsetHost);
}

/**
 * True when the listener imports the VirtualService: one of its hosts meets a pattern. Wildcards meet in both
 * directions, except for Gateway API routes.
 */
export function importsVirtualService(listener: EgressListener, object: VirtualService): boolean {
  const meets = object.semantics === 'gateway-api' ? isSubsetHost : doHostsOverlap;
  return object.hosts.some((host) => importsHost(listener, object.namespace, host, meets));
}

function importsHost(
  listener: EgressListener,
  namespace: string,
  host: string,
  meets: (host: string, pattern: string) => boolean,
): boolean {
  const isFor = (pattern: HostPattern): boolean =>
    pattern.namespace === '*' || pattern.namespace === namespace;
  if (listener.excluded.some((pattern) => isFor(pattern) && isSubsetHost(host, pattern.host))) return false;
  return listener.included.some((pattern) => isFor(pattern) && meets(host, pattern.host));
}

function egressListener(entry: SidecarEgressListener, namespace: string): EgressListener {
  const included: HostPattern[] = [];
  const excluded: HostPattern[] = [];
  for (const text of entry.hosts ?? []) {
    const [scope = '', host = '', extra] = text.split('/');
    if (host === '' || extra !== undefined) continue;
    const plain = scope.startsWith('~') ? scope.slice(1) || '*' : scope;
    (scope.startsWith('~') ? excluded : included).push({
      namespace: plain === '.' ? namespace : plain,
      host,
    });
  }
  return {
    port: entry.port?.number ?? 0,
    isHttpProxy: entry.port?.protocol?.toUpperCase() === 'HTTP_PROXY',
    included,
    excluded,
  };
}

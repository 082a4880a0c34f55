/**
 * The egress listeners of a Sidecar object: which services and VirtualServices count on which port, and where its own sockets are.
 * Pure; one small record per viewer with a Sidecar.
 * Source: istio pilot/pkg/model/sidecar.go convertIstioListenerToWrapper, GetEgressListenerForRDS, SelectVirtualServices.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarEgressListener, SidecarSpec } from '#api/sidecar.ts';
import type { Protocol, Service } from '#model/service.ts';
import { doHostsOverlap, isSubsetHost } from '#model/service-hostname.ts';
import { parseProtocol } from '#model/service-protocol.ts';
import type { VirtualService } from '#model/virtual-service.ts';

/** One entry of `hosts`, `namespace/host`; namespace '*' is any. */
interface HostPattern {
  readonly namespace: string;
  readonly host: string;
}

export interface EgressListener {
  /** 0 for the listener of all ports that have none of their own, and for Unix sockets. */
  readonly port: number;
  /** The listener of all ports that have none of their own. */
  readonly isCatchAll: boolean;
  /** It speaks HTTP proxy: requests for all ports arrive on it. */
  readonly isHttpProxy: boolean;
  /** What its own port carries; undefined where each service says so. */
  readonly protocol: Protocol | undefined;
  /** Address or `unix://` path to listen on; '' for the usual one. */
  readonly bind: string;
  /** It has a socket even where connections are captured. */
  readonly isBound: boolean;
  readonly included: readonly HostPattern[];
  readonly excluded: readonly HostPattern[];
}

const UNIX_PREFIX = 'unix://';

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
  return own ?? listeners.find((listener) => listener.isCatchAll);
}

/** Requests for the ports of all services arrive on it: an HTTP proxy, or a Unix socket. */
export function takesAllPorts({ port, isCatchAll, isHttpProxy }: EgressListener): boolean {
  return isHttpProxy || (port === 0 && !isCatchAll);
}

/** True for a `unix://` path. */
export function isUnixSocket(address: string): boolean {
  return address.startsWith(UNIX_PREFIX);
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
  const { port, bind = '' } = entry;
  const protocol = port === undefined ? undefined : parseProtocol(port.protocol ?? '');
  return {
    port: port?.number ?? 0,
    isCatchAll: port === undefined,
    isHttpProxy: protocol === 'HTTP_PROXY',
    protocol,
    bind,
    isBound: entry.captureMode === 'NONE' || isUnixSocket(bind),
    included,
    excluded,
  };
}

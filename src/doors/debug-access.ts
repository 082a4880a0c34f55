/**
 * Who may see the debug pages: callers on the control plane's own machine, and identities of the system namespace, all of them; other
 * identities of the mesh what pages show of their own namespace; nobody else anything.
 * A caller on this machine must also have asked by a name of this machine: a web page that points its own name at 127.0.0.1
 * (DNS rebinding) reads nothing.
 * Source: istio pilot/pkg/xds/debug.go allowAuthenticatedOrLocalhost, AuthorizeDebugRequest; the Host header is ours.
 */
import type { DoorCaller, DoorKeeper, DoorPass } from './http-server.ts';

export interface DebugAccess {
  /** The namespace of the identity that an Authorization header proves; undefined when it proves none. */
  readonly identify: (authorization: string) => Promise<string | undefined>;
  readonly systemNamespace: () => string;
  /** Namespaces whose identities see everything too (DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES). */
  readonly allowedNamespaces: readonly string[];
  /** False: every identity of the mesh sees everything (ENABLE_DEBUG_ENDPOINT_AUTH=false). */
  readonly isByNamespace: boolean;
}

const UNAUTHORIZED: DoorPass = { kind: 'refused', status: 401 };
const EVERYTHING: DoorPass = { kind: 'all' };

/** The keeper of the debug pages. */
export function debugKeeper(access: DebugAccess): DoorKeeper {
  return { admit: (caller) => (isOnThisMachine(caller) ? EVERYTHING : admitIdentity(access, caller)) };
}

async function admitIdentity(access: DebugAccess, { authorization }: DoorCaller): Promise<DoorPass> {
  const namespace = authorization === '' ? undefined : await access.identify(authorization);
  if (namespace === undefined) return UNAUTHORIZED;
  const seesAll =
    !access.isByNamespace ||
    namespace === access.systemNamespace() ||
    access.allowedNamespaces.includes(namespace);
  return seesAll ? EVERYTHING : { kind: 'namespace', namespace };
}

function isOnThisMachine({ remoteAddress, host }: DoorCaller): boolean {
  return isLoopback(remoteAddress) && (host === 'localhost' || host === '[::1]' || isLoopback(host));
}

function isLoopback(address: string): boolean {
  return /^(::ffff:)?127(\.\d{1,3}){3}$/.test(address) || address === '::1';
}

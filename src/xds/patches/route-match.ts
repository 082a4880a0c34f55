/**
 * Which route configurations, virtual hosts and routes a patch means. An absent match means everything.
 * Source: istio pilot/pkg/networking/core/envoyfilter/rc_patch.go.
 */
import type { EnvoyPatch } from '#model/envoy-filter.ts';
import type { Route } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { parseClusterName } from '#xds/names.ts';

/** The route configuration of a sidecar: by name, and by the port in it. */
export function meansSidecarRoutes({ match }: EnvoyPatch, tableName: string): boolean {
  const { name = '', portNumber = 0 } = match.routeConfiguration ?? {};
  if (name !== '' && name !== tableName) return false;
  return portNumber === 0 || portNumber === sidecarPort(tableName);
}

/** Only names that are a port, and those of inbound clusters, have one: not `host:80`, not `http_proxy`. */
function sidecarPort(tableName: string): number {
  if (tableName.startsWith('inbound')) return parseClusterName(tableName)?.port ?? 0;
  return wholeNumber(tableName);
}

/**
 * The route configuration of a gateway: by name, by the port's name and the Gateway where it is a server's own, and by port:
 * `ports` are those that the servers on the listener's port have in their Gateways.
 */
export function meansGatewayRoutes(
  { match }: EnvoyPatch,
  tableName: string,
  ports: readonly number[],
): boolean {
  const { name = '', portName = '', gateway = '', portNumber = 0 } = match.routeConfiguration ?? {};
  if (name !== '' && name !== tableName) return false;
  const parts = gatewayTableParts(tableName);
  if (portName !== '' && portName !== parts.portName) return false;
  if (gateway !== '' && gateway !== parts.gateway) return false;
  return portNumber === 0 || (ports.length > 0 ? ports : [parts.port]).includes(portNumber);
}

/** The parts of `http.8080` and of `https.443.name.gateway.namespace`. */
export function gatewayTableParts(name: string): {
  readonly port: number;
  readonly portName: string;
  readonly gateway: string;
} {
  const [scheme = '', port = '', portName = '', gateway = '', namespace = '', ...rest] = name.split('.');
  if (scheme === 'http') return { port: wholeNumber(name.slice('http.'.length)), portName: '', gateway: '' };
  if (scheme !== 'https' || name.split('.').length !== 5 || rest.length > 0)
    return { port: 0, portName: '', gateway: '' };
  return { port: wholeNumber(port), portName, gateway: `${namespace}/${gateway}` };
}

/** By name and by one of the domains. */
export function meansVirtualHost(
  { match }: EnvoyPatch,
  host: { readonly name: string; readonly domains: readonly string[] },
): boolean {
  const { name = '', domainName = '' } = match.routeConfiguration?.vhost ?? {};
  return (name === '' || name === host.name) && (domainName === '' || host.domains.includes(domainName));
}

/** True when the patch says which route it means. */
export function namesRoute({ match }: EnvoyPatch): boolean {
  return match.routeConfiguration?.vhost?.route !== undefined;
}

const ACTIONS: Readonly<Record<string, string>> = {
  route: 'ROUTE',
  redirect: 'REDIRECT',
  directResponse: 'DIRECT_RESPONSE',
};

/** By name and by what the route does; a route that does none of the things that can be asked for is meant by all of them. */
export function meansRoute({ match }: EnvoyPatch, route: Route): boolean {
  const { name = '', action = 'ANY' } = match.routeConfiguration?.vhost?.route ?? {};
  if (name !== '' && name !== route.name) return false;
  const own = ACTIONS[route.action.case ?? ''];
  return action === 'ANY' || own === undefined || own === action;
}

function wholeNumber(text: string): number {
  return /^\d{1,5}$/.test(text) ? Number(text) : 0;
}

/** What kind of server a Gateway's server is. Source: istio pkg/config/gateway. Pure. */
import type { GatewayServer } from '#model/gateway.ts';
import { isHttp } from '#model/service-protocol.ts';

/** TLS goes through to the backend untouched. */
export function isPassthrough(server: GatewayServer): boolean {
  return server.tls !== undefined && (mode(server) === 'PASSTHROUGH' || mode(server) === 'AUTO_PASSTHROUGH');
}

/** Requests are routed: plain HTTP, or HTTPS that ends here. */
export function isHttpServer(server: GatewayServer): boolean {
  return isHttp(server.protocol) || terminatesHttps(server);
}

/** HTTPS that ends here. */
export function terminatesHttps(server: GatewayServer): boolean {
  return server.protocol === 'HTTPS' && server.tls !== undefined && !isPassthrough(server);
}

/** Connections are told apart by server name; a plain HTTP server that only redirects to https is none. */
export function isTlsServer(server: GatewayServer): boolean {
  return server.tls !== undefined && !isHttp(server.protocol);
}

/** The TLS mode; an unset one is PASSTHROUGH, the first of Istio's enum. */
export function mode(server: GatewayServer): NonNullable<NonNullable<GatewayServer['tls']>['mode']> {
  return server.tls?.mode ?? 'PASSTHROUGH';
}

/** Server names of the connections that the server takes: its hosts without namespaces, sorted, each once. */
export function sniHostsOf(server: GatewayServer): readonly string[] {
  return [...new Set(server.hosts.map(withoutNamespace))].sort();
}

/** `host` of `namespace/host`. */
export function withoutNamespace(host: string): string {
  return host.slice(host.indexOf('/') + 1);
}

/**
 * Name of a server's route table: `http.<bound port>`, shared by all HTTP servers of the port, or
 * `https.<port>.<port name>.<gateway>.<namespace>`; '' when it has none. Source: istio gateway.go gatewayRDSRouteName.
 */
export function routeTableName(server: GatewayServer, boundPort: number): string {
  const bind = server.bind === '' ? '' : `.${server.bind}`;
  if (isHttp(server.protocol)) return `http.${boundPort}${bind}`;
  if (server.protocol !== 'HTTPS' || isPassthrough(server)) return '';
  const [namespace = '', name = ''] = server.gateway.split('/');
  return `https.${server.port}.${server.portName}.${name}.${namespace}${bind}`;
}

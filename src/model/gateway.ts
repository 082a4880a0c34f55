/**
 * A Gateway as the model has it: hosts with their namespaces resolved, protocols parsed. Which proxies it configures and
 * how it merges with others is decided in scope/gateway-*.ts.
 */
import type { GatewaySpec, ServerTlsSettings } from '#api/gateway.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Cause } from '#base/cause.ts';
import { parseProtocol } from './service-protocol.ts';
import type { Protocol } from './service.ts';

/** Keyed `namespace/name`. */
export interface Gateway {
  readonly name: string;
  readonly namespace: string;
  readonly createdAtMs: number;
  /** Labels that a proxy must have; undefined: every proxy, as Istio has it for an absent selector. */
  readonly selector: Readonly<Record<string, string>> | undefined;
  readonly servers: readonly GatewayServer[];
}

/** One server of a Gateway. */
export interface GatewayServer {
  readonly gateway: string;
  /** The port as written; the port that is bound may differ (targetPort of the gateway's Service). */
  readonly port: number;
  readonly portName: string;
  readonly protocol: Protocol;
  readonly bind: string;
  /** `host`, or `namespace/host` to take VirtualServices of that namespace only. */
  readonly hosts: readonly string[];
  readonly tls: ServerTlsSettings | undefined;
  readonly name: string;
  readonly cause: Cause;
}

/** Resolves one object. Servers without port are left out: the schema refuses them. */
export function resolveGateway(object: MeshObject<GatewaySpec>): Gateway {
  const { namespace, name, spec } = object;
  return {
    name,
    namespace,
    createdAtMs: object.createdAtMs,
    selector: spec.selector,
    servers: (spec.servers ?? []).flatMap((server, i) => {
      if (server.port === undefined) return [];
      return [
        {
          gateway: `${namespace}/${name}`,
          port: server.port.number ?? 0,
          portName: server.port.name ?? '',
          protocol: parseProtocol(server.port.protocol ?? ''),
          bind: server.bind ?? '',
          hosts: resolveHosts(server.hosts ?? [], namespace),
          tls: server.tls,
          name: server.name ?? '',
          cause: { kind: 'Gateway', namespace, name, path: `spec.servers[${i}]` },
        },
      ];
    }),
  };
}

/** Older first, then by name and namespace. Source: istio configCompareByCreationTime. */
export function compareGateways(a: Gateway, b: Gateway): number {
  return (
    a.createdAtMs - b.createdAtMs || compareBytes(a.name, b.name) || compareBytes(a.namespace, b.namespace)
  );
}

/**
 * Hosts with `.` as the Gateway's namespace and without `*` in front of the slash (any namespace); a host that is
 * `*`/`*` makes the server take everything. Source: istio gateway.go sanitizeServerHostNamespace.
 */
function resolveHosts(hosts: readonly string[], namespace: string): readonly string[] {
  if (hosts.includes('*/*')) return ['*'];
  return hosts.map((host) => {
    const slash = host.indexOf('/');
    if (slash < 0) return host;
    const prefix = host.slice(0, slash);
    const rest = host.slice(slash + 1);
    if (prefix === '*') return rest;
    return prefix === '.' ? `${namespace}/${rest}` : host;
  });
}

/**
 * Names under which gRPC libraries ask for listeners: what an application dials, `host:port`, and where a server listens.
 * Source: Istio pilot/pkg/networking/grpcgen/lds.go newListenerNameFilter, tryFindFQDN; pkg/istio-agent/grpcxds.
 */

/** Stands before the `address:port` of a server's listener. */
export const SERVER_LISTENER_PREFIX = 'xds.istio.io/grpc/lds/inbound/';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** The parts of `host:port`; an IPv6 address stands in brackets. Undefined for anything else. */
export function parseHostPort(name: string): HostPort | undefined {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[^:[\]]+)):(?<port>\d{1,5})$/.exec(name);
  const host = match?.groups?.['v6'] ?? match?.groups?.['host'];
  const port = Number(match?.groups?.['port']);
  return host === undefined || port === 0 || port > 65_535 ? undefined : { host, port };
}

/** The host names that a dialled name may stand for, the name itself first. `dnsDomain` is that of the client's namespace. */
export function hostCandidates(host: string, namespace: string, dnsDomain: string): readonly string[] {
  if (!host.includes('.')) return [host, `${host}.${dnsDomain}`];
  for (const suffix of [`${namespace}.svc`, namespace]) {
    if (host.endsWith(`.${suffix}`) && dnsDomain.startsWith(suffix))
      return [host, `${host.slice(0, -suffix.length - 1)}.${dnsDomain}`];
  }
  return [host];
}

/**
 * Which connections an inbound listener looks into before it chooses a chain: an inspector waits for the client's first bytes, so it
 * looks only where a chain asks for what it finds. Read off the chains.
 * Source: istio pilot/pkg/networking/core/listener_inbound.go populateListenerFilters, buildTLSInspector, buildHTTPInspector.
 */
import type { FilterChain, ListenerFilter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { httpInspectorFilter, tlsInspectorFilter } from './listener-filters.ts';

/** What is looked for on one port; port 0 stands for all that no chain names. */
interface PortNeeds {
  tls: boolean;
  http: boolean;
}

/** The inspectors, TLS first: what it has recognised the other leaves alone. */
export function inboundInspectors(chains: readonly FilterChain[]): ListenerFilter[] {
  const needs = new Map<number, PortNeeds>();
  for (const { filterChainMatch: match } of chains) {
    const port = match?.destinationPort ?? 0;
    const needed = needs.get(port) ?? { tls: false, http: false };
    needed.tls ||= match?.transportProtocol === 'tls';
    needed.http ||=
      match?.applicationProtocols.some((name) => name === 'http/1.1' || name === 'h2c') ?? false;
    needs.set(port, needed);
  }
  const portsWhere = (test: (needed: PortNeeds) => boolean): number[] =>
    [...needs]
      .filter(([, needed]) => test(needed))
      .map(([port]) => port)
      .sort((a, b) => a - b);
  const withTls = portsWhere(({ tls }) => tls);
  const withoutTls = portsWhere(({ tls }) => !tls);
  const withoutHttp = portsWhere(({ http }) => !http);
  const isTlsDefault = needs.get(0)?.tls === true;
  return [
    ...(withTls.length === 0
      ? []
      : [tlsInspectorFilter(isTlsDefault ? { except: withoutTls } : { only: withTls })]),
    ...(withoutHttp.length === needs.size ? [] : [httpInspectorFilter({ except: withoutHttp })]),
  ];
}

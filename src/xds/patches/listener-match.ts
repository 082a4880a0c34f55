/**
 * Which listeners, filter chains and filters a patch means. Each question takes for granted that the one before was answered
 * with yes. An absent match means everything.
 * Source: istio pilot/pkg/networking/core/envoyfilter/listener_patch.go.
 */
import type { EnvoyPatch } from '#model/envoy-filter.ts';
import type { FilterChain } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { VIRTUAL_INBOUND, VIRTUAL_OUTBOUND } from '#xds/names.ts';

/** Listeners of captured traffic have all ports, so a port number means the filter chains of that port. */
function isVirtual({ name }: Listener): boolean {
  return name === VIRTUAL_INBOUND || name === VIRTUAL_OUTBOUND;
}

/** By name, and by the port that it listens on. */
export function meansListener({ match, applyTo }: EnvoyPatch, listener: Listener): boolean {
  const { name = '', portNumber = 0 } = match.listener ?? {};
  if (name !== '' && name !== listener.name) return false;
  if (portNumber === 0 || (applyTo !== 'LISTENER' && isVirtual(listener))) return true;
  const address = listener.address?.address;
  if (address?.case !== 'socketAddress') return false;
  const { portSpecifier } = address.value;
  return portSpecifier.case === 'portValue' && portSpecifier.value === portNumber;
}

/** By name and by what the chain matches on. */
export function meansChain({ match }: EnvoyPatch, listener: Listener, chain: FilterChain): boolean {
  const { portNumber = 0, filterChain } = match.listener ?? {};
  const { filterChainMatch } = chain;
  if (portNumber > 0 && isVirtual(listener) && filterChainMatch?.destinationPort !== portNumber) return false;
  const { name = '', sni = '', transportProtocol = '', applicationProtocols = '' } = filterChain ?? {};
  if (name !== '' && name !== chain.name) return false;
  if (sni !== '' && !filterChainMatch?.serverNames.includes(sni)) return false;
  if (transportProtocol !== '' && filterChainMatch?.transportProtocol !== transportProtocol) return false;
  const protocols = applicationProtocols === '' ? [] : applicationProtocols.split(',');
  if (protocols.some((protocol) => !filterChainMatch?.applicationProtocols.includes(protocol))) return false;
  const { destinationPort = 0 } = filterChain ?? {};
  return destinationPort === 0 || filterChainMatch?.destinationPort === destinationPort;
}

/** The listener filter that the patch means; undefined when it does not say. */
export function listenerFilterName({ match }: EnvoyPatch): string | undefined {
  return match.listener?.listenerFilter || undefined;
}

/** The network filter that the patch means; undefined when it does not say. */
export function networkFilterName({ match }: EnvoyPatch): string | undefined {
  const filter = match.listener?.filterChain?.filter;
  return filter && (filter.name ?? '');
}

export function meansNetworkFilter(patch: EnvoyPatch, filter: { readonly name: string }): boolean {
  return (networkFilterName(patch) ?? filter.name) === filter.name;
}

/** The HTTP filter that the patch means; undefined when it does not say. */
export function httpFilterName({ match }: EnvoyPatch): string | undefined {
  const filter = match.listener?.filterChain?.filter?.subFilter;
  return filter && (filter.name ?? '');
}

export function meansHttpFilter(patch: EnvoyPatch, filter: { readonly name: string }): boolean {
  return (httpFilterName(patch) ?? filter.name) === filter.name;
}

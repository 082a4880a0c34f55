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

/** True when the patch says which listener filter it means. */
export function namesListenerFilter({ match }: EnvoyPatch): boolean {
  return (match.listener?.listenerFilter ?? '') !== '';
}

export function meansListenerFilter(patch: EnvoyPatch, filter: { readonly name: string }): boolean {
  return !namesListenerFilter(patch) || patch.match.listener?.listenerFilter === filter.name;
}

/** True when the patch says which network filter it means. */
export function namesNetworkFilter({ match }: EnvoyPatch): boolean {
  return match.listener?.filterChain?.filter !== undefined;
}

export function meansNetworkFilter(patch: EnvoyPatch, filter: { readonly name: string }): boolean {
  const wanted = patch.match.listener?.filterChain?.filter;
  return wanted === undefined || (wanted.name ?? '') === filter.name;
}

/** True when the patch says which HTTP filter it means. */
export function namesHttpFilter({ match }: EnvoyPatch): boolean {
  return match.listener?.filterChain?.filter?.subFilter !== undefined;
}

export function meansHttpFilter(patch: EnvoyPatch, filter: { readonly name: string }): boolean {
  const wanted = patch.match.listener?.filterChain?.filter?.subFilter;
  return wanted === undefined || (wanted.name ?? '') === filter.name;
}

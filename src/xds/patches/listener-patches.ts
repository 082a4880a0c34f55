/**
 * Patches on a listener: on itself, its listener filters, its filter chains, and through these on filters.
 * Source: istio pilot/pkg/networking/core/envoyfilter/listener_patch.go.
 */
import type { EnvoyPatch } from '#model/envoy-filter.ts';
import {
  type FilterChain,
  FilterChainSchema,
  type ListenerFilter,
  ListenerFilterSchema,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { mergePacked } from './any-message.ts';
import { changeList } from './filter-list.ts';
import { patchFilters } from './filter-patches.ts';
import { listenerFilterName, meansChain, meansListener } from './listener-match.ts';
import { type PatchList, type PatchTrace, patchesFor } from './patch-list.ts';
import { isMerge, mergeNamed, mergeValue, valueAs } from './patch-value.ts';
import { mergeSocket } from './transport-socket.ts';

/** Patches a listener in place. False when it is removed. */
export function patchListener(listener: Listener, list: PatchList, trace: PatchTrace): boolean {
  for (const patch of patchesFor(list, 'LISTENER')) {
    if (patch.operation === 'ADD' || !meansListener(patch, listener)) continue;
    trace.mark(patch);
    if (patch.operation === 'REMOVE') return false;
    if (isMerge(patch)) mergeNamed(listener, patch);
  }
  for (const patch of patchesFor(list, 'LISTENER_FILTER')) {
    if (meansListener(patch, listener)) patchListenerFilters(listener, patch, trace);
  }
  patchChains(listener, list, trace);
  return true;
}

function patchListenerFilters(listener: Listener, patch: EnvoyPatch, trace: PatchTrace): void {
  if (patch.operation === 'MERGE') {
    const name = listenerFilterName(patch);
    for (const filter of listener.listenerFilters) {
      if (filter.name === name) mergeListenerFilter(filter, patch, trace);
    }
    return;
  }
  const changed = changeList<ListenerFilter>(listener.listenerFilters, {
    operation: patch.operation,
    filterName: listenerFilterName(patch),
    value: valueAs(patch, ListenerFilterSchema),
  });
  if (changed === listener.listenerFilters) return;
  listener.listenerFilters = changed;
  trace.mark(patch);
}

/** The configuration alone: unlike other filters, a listener filter keeps its name. */
function mergeListenerFilter(filter: ListenerFilter, patch: EnvoyPatch, trace: PatchTrace): void {
  const value = valueAs(patch, ListenerFilterSchema);
  if (filter.configType.case !== 'typedConfig' || value?.configType.case !== 'typedConfig') return;
  const merged = mergePacked(filter.configType.value, value.configType.value);
  if (merged === undefined) return;
  filter.configType.value = merged;
  trace.mark(patch);
}

/** Chains without filters are no chains to Istio, whether generated or added. */
function patchChains(listener: Listener, list: PatchList, trace: PatchTrace): void {
  const stays = (chain: FilterChain): boolean =>
    chain.filters.length === 0 || patchChain(listener, chain, list, trace);
  listener.filterChains = listener.filterChains.filter(stays);
  if (listener.defaultFilterChain !== undefined && !stays(listener.defaultFilterChain))
    delete listener.defaultFilterChain;
  for (const patch of patchesFor(list, 'FILTER_CHAIN')) {
    if (patch.operation !== 'ADD' || !meansListener(patch, listener)) continue;
    const chain = valueAs(patch, FilterChainSchema);
    if (chain === undefined || chain.filters.length === 0) continue;
    listener.filterChains.push(chain);
    trace.mark(patch);
  }
}

/** False when the chain is removed. */
function patchChain(listener: Listener, chain: FilterChain, list: PatchList, trace: PatchTrace): boolean {
  for (const patch of patchesFor(list, 'FILTER_CHAIN')) {
    if (patch.operation === 'ADD') continue;
    if (!meansListener(patch, listener) || !meansChain(patch, listener, chain)) continue;
    if (patch.operation === 'REMOVE') {
      trace.mark(patch);
      return false;
    }
    if (isMerge(patch)) mergeChain(chain, patch, trace);
  }
  patchFilters(listener, chain, list, trace);
  return true;
}

/** A patch with a transport socket of the chain's own kind patches that alone, as in Istio. */
function mergeChain(chain: FilterChain, patch: EnvoyPatch, trace: PatchTrace): void {
  const socket = valueAs(patch, FilterChainSchema)?.transportSocket;
  const known = chain.transportSocket;
  if (socket !== undefined && known !== undefined && known.name === socket.name)
    return mergeSocket(known, socket, patch, trace);
  mergeValue(patch, chain);
  trace.mark(patch);
}

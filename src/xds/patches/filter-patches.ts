/**
 * Patches on the network filters of a filter chain, and on the HTTP filters of its connection managers. Filters are put in,
 * taken out and replaced first, patch by patch; then each filter that is there is merged with.
 * Source: istio pilot/pkg/networking/core/envoyfilter/listener_patch.go.
 */
import { fromBinary } from '@bufbuild/protobuf';
import type { EnvoyPatch } from '#model/envoy-filter.ts';
import {
  type Filter,
  type FilterChain,
  FilterSchema,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
  type HttpFilter,
  HttpFilterSchema,
} from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { packAny } from '#xds/encode.ts';
import { mergePacked } from './any-message.ts';
import { changeList } from './filter-list.ts';
import {
  httpFilterName,
  meansChain,
  meansHttpFilter,
  meansListener,
  meansNetworkFilter,
  networkFilterName,
} from './listener-match.ts';
import { type PatchList, type PatchTrace, patchesFor } from './patch-list.ts';
import { valueAs } from './patch-value.ts';

/** The name under which connection managers are generated. */
export const CONNECTION_MANAGER = 'envoy.filters.network.http_connection_manager';

/** Patches the filters of a chain in place. */
export function patchFilters(
  listener: Listener,
  chain: FilterChain,
  list: PatchList,
  trace: PatchTrace,
): void {
  const ofChain = (patch: EnvoyPatch): boolean =>
    meansListener(patch, listener) && meansChain(patch, listener, chain);
  const patches = patchesFor(list, 'NETWORK_FILTER').filter(ofChain);
  for (const patch of patches) {
    const changed = changeList<Filter>(chain.filters, {
      operation: patch.operation,
      filterName: networkFilterName(patch),
      value: valueAs(patch, FilterSchema),
    });
    if (changed !== chain.filters) trace.mark(patch);
    chain.filters = changed;
  }
  const httpPatches = patchesFor(list, 'HTTP_FILTER').filter(ofChain);
  for (const filter of chain.filters) {
    for (const patch of patches) {
      if (patch.operation === 'MERGE' && meansNetworkFilter(patch, filter))
        mergeFilter(filter, valueAs(patch, FilterSchema), patch, trace);
    }
    const ofFilter = httpPatches.filter((patch) => meansNetworkFilter(patch, filter));
    if (filter.name === CONNECTION_MANAGER && ofFilter.length > 0) patchHttpFilters(filter, ofFilter, trace);
  }
}

function patchHttpFilters(filter: Filter, patches: readonly EnvoyPatch[], trace: PatchTrace): void {
  const manager = connectionManagerOf(filter);
  if (manager === undefined) return;
  for (const patch of patches) {
    const changed = changeList<HttpFilter>(manager.httpFilters, {
      operation: patch.operation,
      filterName: httpFilterName(patch),
      value: valueAs(patch, HttpFilterSchema),
    });
    if (changed !== manager.httpFilters) trace.mark(patch);
    manager.httpFilters = changed;
  }
  for (const one of manager.httpFilters) {
    for (const patch of patches) {
      if (patch.operation === 'MERGE' && meansHttpFilter(patch, one))
        mergeFilter(one, valueAs(patch, HttpFilterSchema), patch, trace);
    }
  }
  setConnectionManager(filter, manager);
}

/** Name and configuration; other fields of a filter are not merged. A filter without typed_config is left alone. */
function mergeFilter<F extends Filter | HttpFilter>(
  filter: F,
  value: F | undefined,
  patch: EnvoyPatch,
  trace: PatchTrace,
): void {
  if (filter.configType.case !== 'typedConfig' || value === undefined) return;
  if (value.configType.case === 'typedConfig') {
    const merged = mergePacked(filter.configType.value, value.configType.value);
    if (merged === undefined) return;
    filter.configType.value = merged;
  }
  if (value.name !== '') filter.name = value.name;
  trace.mark(patch);
}

/** The connection manager of a network filter; undefined when it is another filter. */
export function connectionManagerOf({ configType }: Filter): HttpConnectionManager | undefined {
  if (configType.case !== 'typedConfig') return undefined;
  const { typeUrl, value } = configType.value;
  if (!typeUrl.endsWith(`/${HttpConnectionManagerSchema.typeName}`)) return undefined;
  return fromBinary(HttpConnectionManagerSchema, value);
}

/** Puts a changed connection manager back. */
export function setConnectionManager(filter: Filter, manager: HttpConnectionManager): void {
  filter.configType = { case: 'typedConfig', value: packAny(HttpConnectionManagerSchema, manager) };
}

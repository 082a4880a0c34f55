/**
 * Lists of filters, whose order counts: listener filters, network filters and HTTP filters take the same operations.
 * Source: istio pilot/pkg/networking/core/envoyfilter/listener_patch.go, util.go.
 */
import type { PatchOperation } from '#api/envoy-filter-operation.ts';
import { placeBeside } from './stand-ins.ts';

/** One operation on a list. */
export interface ListChange<T extends { readonly name: string }> {
  readonly operation: PatchOperation;
  /** The filter that the patch means; undefined when it does not say: some operations then do nothing. */
  readonly filterName: string | undefined;
  /** The filter to put in; undefined for REMOVE. */
  readonly value: T | undefined;
}

/** The list after the operation; the same array when nothing changed. MERGE is not for lists. */
export function changeList<T extends { readonly name: string }>(filters: T[], change: ListChange<T>): T[] {
  const { operation, filterName, value } = change;
  if (operation === 'REMOVE') {
    const kept = filterName === undefined ? filters : filters.filter(({ name }) => name !== filterName);
    return kept.length === filters.length ? filters : kept;
  }
  if (value === undefined) return filters;
  const at = filters.findIndex(({ name }) => name === filterName);
  switch (operation) {
    case 'ADD':
      return [...filters, value];
    case 'INSERT_FIRST':
      return [value, ...filters];
    case 'INSERT_BEFORE':
      if (filterName === undefined) return [value, ...filters];
      return insertAt(filters, at < 0 ? placeBeside(filterName, 'before', filters) : at, value);
    case 'INSERT_AFTER':
      if (filterName === undefined) return [...filters, value];
      return insertAt(filters, at < 0 ? placeBeside(filterName, 'behind', filters) : at + 1, value);
    case 'REPLACE':
      return at < 0 ? filters : filters.with(at, value);
    default:
      return filters;
  }
}

function insertAt<T>(filters: T[], place: number | undefined, value: T): T[] {
  return place === undefined ? filters : filters.toSpliced(place, 0, value);
}

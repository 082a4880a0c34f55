/**
 * Lists of filters, whose order counts: listener filters, network filters and HTTP filters take the same operations.
 * Source: istio pilot/pkg/networking/core/envoyfilter/listener_patch.go, util.go.
 */
import type { PatchOperation } from '#api/envoy-filter-operation.ts';

/** One operation on a list. */
export interface ListChange<T> {
  readonly operation: PatchOperation;
  /** Whether the patch says which filter it means; without that some operations do nothing. */
  readonly namesFilter: boolean;
  /** True for the filters that it means. */
  readonly matches: (filter: T) => boolean;
  /** The filter to put in; undefined for REMOVE. */
  readonly value: T | undefined;
}

/** The list after the operation; the same array when nothing changed. MERGE is not for lists. */
export function changeList<T>(filters: T[], change: ListChange<T>): T[] {
  const { operation, namesFilter, matches, value } = change;
  if (operation === 'REMOVE') {
    const kept = namesFilter ? filters.filter((filter) => !matches(filter)) : filters;
    return kept.length === filters.length ? filters : kept;
  }
  if (value === undefined) return filters;
  const at = filters.findIndex(matches);
  switch (operation) {
    case 'ADD':
      return [...filters, value];
    case 'INSERT_FIRST':
      return [value, ...filters];
    case 'INSERT_BEFORE':
      if (!namesFilter) return [value, ...filters];
      return at < 0 ? filters : filters.toSpliced(at, 0, value);
    case 'INSERT_AFTER':
      if (!namesFilter) return [...filters, value];
      return at < 0 ? filters : filters.toSpliced(at + 1, 0, value);
    case 'REPLACE':
      return at < 0 || !namesFilter ? filters : filters.with(at, value);
    default:
      return filters;
  }
}

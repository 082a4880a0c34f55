/**
 * Header operations of routes and weighted destinations. Names that Envoy may not change (pseudo headers, Host) are
 * dropped; a Host that is set becomes a rewrite of the authority. Pure.
 */
import { create } from '@bufbuild/protobuf';
import { sortedBy } from '#base/bytes-order.ts';
import {
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction,
  HeaderValueOptionSchema,
} from '#proto/envoy/config/core/v3/base_pb.ts';
import type { HeadersJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';

export interface HeaderOperations {
  readonly requestHeadersToAdd: HeaderValueOption[];
  readonly requestHeadersToRemove: string[];
  readonly responseHeadersToAdd: HeaderValueOption[];
  readonly responseHeadersToRemove: string[];
  /** New authority of the request, '' when it stays. */
  readonly authority: string;
}

/**
 * Builds the operations: `set` (overwrite) before `add` (append), each sorted by name.
 * Source: istio route.go TranslateHeadersOperations.
 */
export function buildHeaderOperations(headers: HeadersJson | undefined): HeaderOperations {
  const request = headers?.request;
  const response = headers?.response;
  return {
    requestHeadersToAdd: [...overwrites(request?.set), ...appends(request?.add)],
    requestHeadersToRemove: removable(request?.remove),
    responseHeadersToAdd: [...overwrites(response?.set), ...appends(response?.add)],
    responseHeadersToRemove: removable(response?.remove),
    authority: authorityIn(request?.set) || authorityIn(request?.add),
  };
}

type Values = Readonly<Record<string, string>> | undefined;

function overwrites(values: Values): HeaderValueOption[] {
  return options(values, HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD);
}

function appends(values: Values): HeaderValueOption[] {
  return options(values, HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD);
}

function options(values: Values, appendAction: HeaderValueOption['appendAction']): HeaderValueOption[] {
  return sortedBy(Object.entries(values ?? {}), ([key]) => key)
    .filter(([key]) => !isInternal(key))
    .map(([key, value]) => create(HeaderValueOptionSchema, { header: { key, value }, appendAction }));
}

function removable(names: readonly string[] | undefined): string[] {
  return (names ?? []).filter((name) => !isInternal(name));
}

function isInternal(name: string): boolean {
  return name.startsWith(':') || name.toLowerCase() === 'host';
}

function authorityIn(values: Values): string {
  const entry = sortedBy(Object.entries(values ?? {}), ([key]) => key).findLast(([key]) => isAuthority(key));
  return entry?.[1] ?? '';
}

function isAuthority(name: string): boolean {
  return name.toLowerCase() === ':authority' || name.toLowerCase() === 'host';
}

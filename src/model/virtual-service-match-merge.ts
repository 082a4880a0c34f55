/**
 * Merging the match conditions of a root rule with those of its delegate's rule: a delegate may only narrow what the
 * root lets through. Source: istio pilot/pkg/model/virtualservice.go mergeHTTPMatchRequests, hasConflict. Pure.
 */
import type { HttpMatch, StringMatch } from '#api/virtual-service.ts';

/**
 * The conditions of the merged rule: every pair of root and delegate match that agree. Undefined when some match of the
 * delegate fits no match of the root: the delegate's rule is then dropped whole.
 */
export function mergeMatches(
  root: readonly HttpMatch[],
  delegate: readonly HttpMatch[],
): HttpMatch[] | undefined {
  if (root.length === 0) return [...delegate];
  if (delegate.length === 0) return [...root];
  const merged: HttpMatch[] = [];
  for (const inner of delegate) {
    const fitting = root.filter((outer) => !inConflict(outer, inner));
    if (fitting.length === 0) return undefined;
    for (const outer of fitting) merged.push(mergeMatch(outer, inner));
  }
  return merged;
}

function mergeMatch(root: HttpMatch, delegate: HttpMatch): HttpMatch {
  const merged: HttpMatch = {
    ...root,
    ...delegate,
    headers: { ...root.headers, ...delegate.headers },
    withoutHeaders: { ...root.withoutHeaders, ...delegate.withoutHeaders },
    queryParams: { ...root.queryParams, ...delegate.queryParams },
    sourceLabels: { ...root.sourceLabels, ...delegate.sourceLabels },
    port: delegate.port || root.port || 0,
    sourceNamespace: delegate.sourceNamespace || root.sourceNamespace || '',
    statPrefix: delegate.statPrefix || root.statPrefix || '',
  };
  const name = joinNames(root.name, delegate.name);
  const gateways =
    delegate.gateways !== undefined && delegate.gateways.length > 0 ? delegate.gateways : root.gateways;
  return { ...merged, name, ...(gateways === undefined ? {} : { gateways }) };
}

/** `root-delegate`, or the one that there is. */
export function joinNames(root: string | undefined, delegate: string | undefined): string {
  if (!delegate) return root ?? '';
  return root ? `${root}-${delegate}` : delegate;
}

function inConflict(root: HttpMatch, delegate: HttpMatch): boolean {
  const singles: readonly (readonly [StringMatch | undefined, StringMatch | undefined])[] = [
    [root.uri, delegate.uri],
    [root.scheme, delegate.scheme],
    [root.method, delegate.method],
    [root.authority, delegate.authority],
  ];
  return (
    singles.some(([outer, inner]) => disagree(outer, inner)) ||
    anyDisagree(root.headers, delegate.headers) ||
    anyDisagree(root.withoutHeaders, delegate.withoutHeaders) ||
    anyDisagree(root.queryParams, delegate.queryParams) ||
    (root.ignoreUriCase ?? false) !== (delegate.ignoreUriCase ?? false) ||
    (!!root.port && !!delegate.port && root.port !== delegate.port) ||
    (!!root.sourceNamespace && (delegate.sourceNamespace ?? '') !== root.sourceNamespace) ||
    labelsDisagree(root.sourceLabels, delegate.sourceLabels) ||
    gatewaysDisagree(root.gateways ?? [], delegate.gateways ?? [])
  );
}

function anyDisagree(root: StringMatches, delegate: StringMatches): boolean {
  return Object.entries(delegate ?? {}).some(([key, inner]) => disagree(own(root, key), inner));
}

type StringMatches = Readonly<Record<string, StringMatch>> | undefined;

/** True unless the delegate's match lies within the root's. Two regexes, or a regex beside another match, never do. */
function disagree(root: StringMatch | undefined, delegate: StringMatch | undefined): boolean {
  if (root === undefined || delegate === undefined) return false;
  const isSet = (match: StringMatch): boolean => !!match.exact || !!match.prefix || !!match.regex;
  if ((root.regex && isSet(delegate)) || (delegate.regex && isSet(root))) return true;
  if (root.exact) return !!delegate.prefix || (delegate.exact ?? '') !== root.exact;
  if (root.prefix) {
    const inner = delegate.prefix || delegate.exact;
    if (inner) return !inner.startsWith(root.prefix);
  }
  return true;
}

function labelsDisagree(root: HttpMatch['sourceLabels'], delegate: HttpMatch['sourceLabels']): boolean {
  return Object.entries(delegate ?? {}).some(([key, inner]) => {
    const outer = own(root, key);
    return outer !== undefined && outer !== inner;
  });
}

function gatewaysDisagree(root: readonly string[], delegate: readonly string[]): boolean {
  if (root.length === 0 || delegate.length === 0) return false;
  return root.length < delegate.length || delegate.some((gateway) => !root.includes(gateway));
}

/** Keys are the user's: `constructor` and the like must not find what no user wrote. */
function own<T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}

/**
 * Second step: rules that name a delegate are replaced by the delegate's rules, merged with the root's. A delegate that
 * is missing, not exported to the root or in conflict with it costs only the rules concerned, and says so. Pure.
 */
import type { HttpRoute } from '#api/virtual-service.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { isVisibleTo } from './service-visibility.ts';
import type { HttpRule, VirtualService } from './virtual-service.ts';
import { joinNames, mergeMatches } from './virtual-service-match-merge.ts';

/** A merged VirtualService and what was wrong with its delegates. */
export interface Delegation {
  readonly virtualService: VirtualService;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Merges the delegates of `root`. `findDelegate` takes a key `namespace/name` and gives only objects without hosts.
 * Errors: diagnostics IST0101 (delegate not found), LTN5001 (not exported to the root's namespace), LTN5002 (rule in
 * conflict with the root's match), LTN5003 (a delegate names a delegate: one level is all that there is).
 * Source: istio virtualservice_controller.go mergeVirtualServices, virtualservice.go MergeHTTPRoutes.
 */
export function mergeDelegates(
  root: VirtualService,
  findDelegate: (key: string) => VirtualService | undefined,
): Delegation {
  if (root.semantics !== 'virtual-service' || !root.http.some((rule) => rule.route.delegate !== undefined)) {
    return { virtualService: root, diagnostics: [] };
  }
  const diagnostics: Diagnostic[] = [];
  const http = root.http.flatMap((rule) => {
    const reference = rule.route.delegate;
    if (reference === undefined) return [rule];
    const key = `${reference.namespace || root.namespace}/${reference.name ?? ''}`;
    const delegate = findDelegate(key);
    if (delegate === undefined || !isVisibleTo(delegate.visibility, root.namespace)) {
      diagnostics.push(missing(rule, key, delegate === undefined));
      return [];
    }
    return mergeRules(rule, delegate, diagnostics);
  });
  return { virtualService: { ...root, http }, diagnostics };
}

function mergeRules(root: HttpRule, delegate: VirtualService, diagnostics: Diagnostic[]): HttpRule[] {
  return delegate.http.flatMap((rule) => {
    if (rule.route.delegate !== undefined) {
      diagnostics.push(finding('LTN5003', rule, {}));
      return [];
    }
    const match = mergeMatches(root.route.match ?? [], rule.route.match ?? []);
    if (match === undefined) {
      diagnostics.push(finding('LTN5002', rule, { root: `${root.cause.namespace}/${root.cause.name}` }));
      return [];
    }
    return [{ route: mergeRoute(root.route, rule.route, match), cause: rule.cause }];
  });
}

/** Fields that the delegate leaves out come from the root. */
function mergeRoute(root: HttpRoute, delegate: HttpRoute, match: NonNullable<HttpRoute['match']>): HttpRoute {
  const inherited: HttpRoute = {};
  for (const field of INHERITED) {
    if (root[field] !== undefined) Object.assign(inherited, { [field]: root[field] });
  }
  const { match: _own, ...rest } = delegate;
  return {
    ...inherited,
    ...rest,
    name: joinNames(root.name, delegate.name),
    ...(match.length === 0 ? {} : { match }),
  };
}

const INHERITED = [
  'rewrite',
  'directResponse',
  'timeout',
  'retries',
  'fault',
  'mirror',
  'mirrorPercent',
  'mirrorPercentage',
  'corsPolicy',
  'mirrors',
  'headers',
] as const satisfies readonly (keyof HttpRoute)[];

function missing(rule: HttpRule, delegate: string, isUnknown: boolean): Diagnostic {
  if (isUnknown) return finding('IST0101', rule, { reftype: 'delegate virtual service', refval: delegate });
  return finding('LTN5001', rule, { delegate });
}

function finding(code: string, rule: HttpRule, args: Readonly<Record<string, string>>): Diagnostic {
  const { path, ...resource } = rule.cause;
  return { code, severity: code === 'IST0101' ? 'error' : 'warning', resource, path, args };
}

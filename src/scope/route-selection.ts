/**
 * Which rules of a VirtualService a client gets, and in which of its matches: decided by what is known before any
 * request (port, gateway, the client's labels and namespace). What is left goes to the route builder.
 */
import type { HttpMatch } from '#api/virtual-service.ts';
import type { HttpRule, VirtualService } from '#model/virtual-service.ts';

/** Who asks, and where. */
export interface RouteAsker {
  /** Port of the virtual host; a server's port at gateways. */
  readonly port: number;
  /** `mesh` for sidecars, else the gateway's `namespace/name`. */
  readonly gateway: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** One route to build: a rule with one of its matches, or with none. */
export interface SelectedRule {
  readonly rule: HttpRule;
  readonly match: HttpMatch | undefined;
  /** Field path of the match below the rule, '' without one. */
  readonly matchPath: string;
}

/**
 * The routes in order. A rule without matches takes everything, so the list ends with it.
 * Source: istio route.go BuildHTTPRoutesForVirtualService, sourceMatchHTTP: a match that names gateways is decided by
 * them alone, sourceLabels and sourceNamespace count only without.
 */
export function selectRules(virtualService: VirtualService, asker: RouteAsker): readonly SelectedRule[] {
  const selected: SelectedRule[] = [];
  for (const rule of virtualService.http) {
    const matches = rule.route.match ?? [];
    if (matches.length === 0) {
      selected.push({ rule, match: undefined, matchPath: '' });
      break;
    }
    matches.forEach((match, i) => {
      if (appliesTo(match, asker)) selected.push({ rule, match, matchPath: `.match[${i}]` });
    });
  }
  return selected;
}

function appliesTo(match: HttpMatch, asker: RouteAsker): boolean {
  if (match.port !== undefined && match.port !== 0 && match.port !== asker.port) return false;
  if (match.gateways !== undefined && match.gateways.length > 0)
    return match.gateways.includes(asker.gateway);
  const labelsFit = Object.entries(match.sourceLabels ?? {}).every(
    ([key, value]) => Object.hasOwn(asker.labels, key) && asker.labels[key] === value,
  );
  return labelsFit && (!match.sourceNamespace || match.sourceNamespace === asker.namespace);
}

/** Label pairs `key=value` that the matches of a VirtualService ask of clients. */
export function sourceLabelPairs(virtualService: VirtualService): readonly string[] {
  const pairs = virtualService.http.flatMap((rule) =>
    (rule.route.match ?? []).flatMap((match) =>
      Object.entries(match.sourceLabels ?? {}).map(([key, value]) => `${key}=${value}`),
    ),
  );
  return [...new Set(pairs)];
}

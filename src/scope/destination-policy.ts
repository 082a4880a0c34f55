/**
 * Which DestinationRule applies to a host for a client: the client's namespace is asked first, then the service's, then
 * the root namespace; in each the exact host before wildcards, the longest wildcard first.
 * Pure look-ups in merged rules; what is returned is shared, so equal answers are identical.
 * Source: Istio pilot/pkg/model/push_context.go destinationRule, sidecar.go DestinationRule.
 */
import { compareBytes } from '#base/bytes-order.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import type { HostRules, MergedRule } from '#model/destination-rule.ts';
import { isSubsetHost } from '#model/service-hostname.ts';

/** The rules of one namespace that can concern one host. */
export interface NamespaceRules {
  readonly exact: HostRules | undefined;
  readonly wildcards: PersistentMap<HostRules>;
}

/** The form of the rules that a client sees. */
export type RuleForm = 'local' | 'exported' | 'privateOnly';

/** The most specific rules for a host in one namespace; empty when none concerns it. */
export function rulesForHost(rules: NamespaceRules, hostname: string, form: RuleForm): readonly MergedRule[] {
  const exact = rules.exact?.[form] ?? [];
  if (exact.length > 0) return exact;
  const matching = [...rules.wildcards.values()].filter(
    (candidate) => candidate[form].length > 0 && isSubsetHost(hostname, candidate.host),
  );
  const [best] = matching.sort((a, b) => b.host.length - a.host.length || compareBytes(a.host, b.host));
  return best?.[form] ?? [];
}

/** The rules of another namespace that are exported to clients in `clientNamespace`. */
export function exportedTo(rules: readonly MergedRule[], clientNamespace: string): readonly MergedRule[] {
  return rules.filter(
    ({ exportTo }) => exportTo.length === 0 || exportTo.includes('*') || exportTo.includes(clientNamespace),
  );
}

/** Who asks: a client's namespace, and the names of the selective rules there that match its labels. */
export interface RuleClient {
  readonly namespace: string;
  readonly selectiveRules: readonly string[];
}

/**
 * The one rule for a client: a rule for just such workloads, else the rule for all. Where several rules for all stand
 * beside each other (different exportTo), Istio takes the last.
 */
export function ruleForClient(rules: readonly MergedRule[], client: RuleClient): MergedRule | undefined {
  const selective = rules.find((rule) => isSelectedBy(rule, client));
  return selective ?? rules.findLast((rule) => rule.clientSelector === undefined);
}

function isSelectedBy(rule: MergedRule, client: RuleClient): boolean {
  if (rule.clientSelector === undefined || rule.namespace !== client.namespace) return false;
  const name = rule.causes[0]?.name;
  return name !== undefined && client.selectiveRules.includes(name);
}

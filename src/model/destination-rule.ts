/**
 * DestinationRules by namespace and host: rules for one host in one namespace merged as Istio merges them, in the forms
 * in which others meet them (own namespace, exported, private in the root namespace). Which form applies to a proxy is
 * decided in scope/destination-policy.ts. A changed rule costs the rules of its namespace and host.
 * Source: Istio pilot/pkg/model/push_context.go setDestinationRules, destination_rule.go mergeDestinationRule.
 */
import type { DestinationRuleSpec, Subset, TrafficPolicy } from '#api/destination-rule.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Cause } from '#base/cause.ts';
import { deepEqual } from '#base/deep-equal.ts';
import type { Collection, Engine, Index } from '#collections/collection.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import { meshFact, type PolicyFacts, policyFacts } from './mesh-facts.ts';
import { isWildcardHost, resolveHostname } from './service-hostname.ts';

/** One or several rules for one host as one. */
export interface MergedRule {
  readonly namespace: string;
  /** Full host name or wildcard. */
  readonly host: string;
  readonly trafficPolicy: TrafficPolicy | undefined;
  readonly subsets: readonly Subset[];
  /** Labels of the client workloads that it applies to; undefined for all. */
  readonly clientSelector: Readonly<Record<string, string>> | undefined;
  /** exportTo as written, sorted; empty when not set. */
  readonly exportTo: readonly string[];
  /** The rules that were merged, the first one first. */
  readonly causes: readonly Cause[];
  /** Where each subset comes from, in step with `subsets`. */
  readonly subsetCauses: readonly Cause[];
}

/** All rules for one host in one namespace. Keyed `namespace|host`. */
export interface HostRules {
  readonly namespace: string;
  readonly host: string;
  /** What clients in this namespace see. */
  readonly local: readonly MergedRule[];
  /** What clients elsewhere may see, each rule subject to its exportTo. */
  readonly exported: readonly MergedRule[];
  /** The rules that are not exported: all that clients in the root namespace see of it as their own. */
  readonly privateOnly: readonly MergedRule[];
}

/** DestinationRules ready for look-up. */
export interface DestinationRuleModel {
  readonly hostRules: Collection<HostRules>;
  /** Rules for exact hosts, by host. */
  readonly rulesByHost: Index<HostRules>;
  /** Rules for wildcard hosts, by namespace. */
  readonly wildcardRulesByNamespace: Index<HostRules>;
  /** Rules that apply to some clients only, by namespace; keyed `namespace/name`. */
  readonly selectiveRulesByNamespace: Index<MeshObject<DestinationRuleSpec>>;
}

/** What the model is made of. */
export interface DestinationRuleSources {
  readonly engine: Engine;
  readonly destinationRules: Collection<MeshObject<DestinationRuleSpec>>;
  readonly policyFacts: Collection<PolicyFacts>;
  readonly clusterDomain: string;
}

/** Builds the collections. */
export function createDestinationRuleModel(sources: DestinationRuleSources): DestinationRuleModel {
  const { engine, clusterDomain } = sources;
  const withHost = sources.destinationRules;
  const byHost = engine.index('model.destinationRulesByHost', withHost, (rule) => {
    const host = resolveHostname(rule.spec.host ?? '', rule.namespace, clusterDomain);
    return host === '' ? [] : [`${rule.namespace}|${host}`];
  });
  const grouped = engine.group('model.destinationRules.groups', byHost);
  const hostRules = engine.derive('model.destinationRules', grouped, (fetch, rules, key) =>
    hostRulesOf(key, rules, meshFact(fetch, sources.policyFacts, policyFacts)),
  );
  return {
    hostRules,
    rulesByHost: engine.index('model.rulesByHost', hostRules, (rules) =>
      isWildcardHost(rules.host) ? [] : [rules.host],
    ),
    wildcardRulesByNamespace: engine.index('model.wildcardRulesByNamespace', hostRules, (rules) =>
      isWildcardHost(rules.host) ? [rules.namespace] : [],
    ),
    selectiveRulesByNamespace: engine.index('model.selectiveRulesByNamespace', withHost, (rule) =>
      rule.spec.workloadSelector === undefined ? [] : [rule.namespace],
    ),
  };
}

function hostRulesOf(
  key: string,
  objects: PersistentMap<MeshObject<DestinationRuleSpec>>,
  facts: PolicyFacts,
): HostRules {
  const separator = key.indexOf('|');
  const namespace = key.slice(0, separator);
  const host = key.slice(separator + 1);
  const rules = [...objects.values()].sort(compareRules).map((object) => singleRule(object, host));
  const merge = (some: readonly MergedRule[]) => mergeRules(some, facts.mergesByExportTo);
  const isPrivate = (rule: MergedRule): boolean => isPrivateRule(rule, facts.defaultDestinationRuleExportTo);
  return {
    namespace,
    host,
    local: merge(rules.filter(isForOwnNamespace)),
    exported: merge(rules.filter((rule) => !isPrivate(rule))),
    privateOnly: merge(rules.filter(isPrivate)),
  };
}

/** Rules for some clients first, then the older, then by name. */
function compareRules(a: MeshObject<DestinationRuleSpec>, b: MeshObject<DestinationRuleSpec>): number {
  const aRank = a.spec.workloadSelector === undefined ? 1 : 0;
  const bRank = b.spec.workloadSelector === undefined ? 1 : 0;
  return aRank - bRank || a.createdAtMs - b.createdAtMs || compareBytes(a.name, b.name);
}

function singleRule(object: MeshObject<DestinationRuleSpec>, host: string): MergedRule {
  const { spec, namespace, name } = object;
  const isSelective = spec.workloadSelector !== undefined;
  const cause = (path: string): Cause => ({ kind: 'DestinationRule', namespace, name, path });
  const subsets = spec.subsets ?? [];
  return {
    namespace,
    host,
    trafficPolicy: spec.trafficPolicy,
    subsets,
    clientSelector: isSelective ? (spec.workloadSelector?.matchLabels ?? {}) : undefined,
    // A rule for some clients of its namespace is nobody else's business.
    exportTo: isSelective ? ['.'] : [...new Set(spec.exportTo ?? [])].sort(compareBytes),
    causes: [cause('')],
    subsetCauses: subsets.map((_subset, i) => cause(`spec.subsets[${i}]`)),
  };
}

function isForOwnNamespace(rule: MergedRule): boolean {
  const { exportTo } = rule;
  return exportTo.length === 0 || ['*', '.', rule.namespace].some((entry) => exportTo.includes(entry));
}

function isPrivateRule(rule: MergedRule, defaultExportTo: readonly string[]): boolean {
  if (rule.exportTo.length === 0) return defaultExportTo.includes('.');
  const [only] = rule.exportTo;
  return rule.exportTo.length === 1 && (only === '.' || only === rule.namespace);
}

/**
 * Rules in order of precedence -> the list of rules that stand beside each other after merging. A rule joins those that are
 * exported to the same or fewer namespaces and that no other selector separates. Whether it also stands alone is up to the
 * last rule that it met: Istio's behaviour, on which the choice between rules that stand beside each other depends.
 */
function mergeRules(rules: readonly MergedRule[], byExportTo: boolean): readonly MergedRule[] {
  const merged: MergedRule[] = [];
  for (const rule of rules) {
    let standsAlone = true;
    for (const [i, existing] of merged.entries()) {
      const isExportedAlike = deepEqual(existing.exportTo, rule.exportTo);
      if (byExportTo) standsAlone = !isExportedAlike;
      if (byExportTo && !isExportedAlike && !isExportedFurther(existing, rule)) continue;
      const selectsAlike = deepEqual(existing.clientSelector, rule.clientSelector);
      if (selectsAlike) standsAlone = false;
      else if (existing.clientSelector !== undefined && rule.clientSelector !== undefined) {
        standsAlone = true;
        continue;
      }
      merged[i] = mergeInto(existing, rule);
    }
    if (standsAlone) merged.push(rule);
  }
  return merged;
}

/** True when the rule is seen wherever the existing one is; one without exportTo says nothing about it. */
function isExportedFurther(existing: MergedRule, rule: MergedRule): boolean {
  return existing.exportTo.length > 0 && existing.exportTo.every((entry) => rule.exportTo.includes(entry));
}

/** The first rule's policy stays; subsets with new names are added. */
function mergeInto(existing: MergedRule, rule: MergedRule): MergedRule {
  const names = new Set(existing.subsets.map((subset) => subset.name));
  const added = rule.subsets.flatMap((subset, i) => (names.has(subset.name) ? [] : [{ subset, i }]));
  return {
    ...existing,
    trafficPolicy: existing.trafficPolicy ?? rule.trafficPolicy,
    subsets: [...existing.subsets, ...added.map(({ subset }) => subset)],
    causes: [...existing.causes, ...rule.causes],
    subsetCauses: [...existing.subsetCauses, ...added.flatMap(({ i }) => rule.subsetCauses[i] ?? [])],
  };
}

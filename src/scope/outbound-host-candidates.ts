/**
 * Everything about one host name that does not depend on who looks: the services that claim it, in order of precedence,
 * and the DestinationRules that can concern it. Computed once for all viewers; a changed service or rule costs the host
 * names that it matches.
 */
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import type { DestinationRuleModel, HostRules, MergedRule } from '#model/destination-rule.ts';
import { meshFact, type PolicyFacts, policyFacts } from '#model/mesh-facts.ts';
import type { Service } from '#model/service.ts';
import { compareServices } from '#model/service-merge.ts';
import type { ServiceModel } from '#model/service-model.ts';
import { rulesForHost } from './destination-policy.ts';

/** One service that claims the host, with the rules of its namespace. */
export interface ServiceCandidate {
  readonly service: Service;
  /** Rules of the service's namespace that are exported, whoever may see them. */
  readonly exportedRules: readonly MergedRule[];
}

/** Keyed by host name. */
export interface HostCandidates {
  readonly hostname: string;
  /** Kubernetes before ServiceEntry, privately exported before public, older before younger. */
  readonly services: readonly ServiceCandidate[];
  /** Rules for exactly this host, by namespace. */
  readonly exactRules: ReadonlyMap<string, HostRules>;
  /** Rules of the root namespace that are exported. */
  readonly rootRules: readonly MergedRule[];
}

/** What candidates are made of. */
export interface CandidateSources {
  readonly engine: Engine;
  readonly services: Pick<ServiceModel, 'servicesByHostname'>;
  readonly rules: DestinationRuleModel;
  readonly policyFacts: Collection<PolicyFacts>;
}

/** Builds the collection. */
export function createHostCandidates(sources: CandidateSources): Collection<HostCandidates> {
  const { engine, rules } = sources;
  const byHostname = engine.group('scope.servicesByHostname', sources.services.servicesByHostname);
  return engine.derive('scope.hostCandidates', byHostname, (fetch, services, hostname) => {
    const rulesOfHost = fetch.bucket(rules.rulesByHost, hostname).values();
    const exactRules = new Map([...rulesOfHost].map((found) => [found.namespace, found]));
    const { rootNamespace } = meshFact(fetch, sources.policyFacts, policyFacts);
    const exportedIn = (namespace: string): readonly MergedRule[] =>
      exportedRules(fetch, rules, { hostname, namespace, exactRules });
    return {
      hostname,
      services: [...services.values()].sort(comparePrecedence).map((service) => ({
        service,
        exportedRules: exportedIn(service.namespace),
      })),
      exactRules,
      rootRules: exportedIn(rootNamespace),
    };
  });
}

interface RuleLookup {
  readonly hostname: string;
  readonly namespace: string;
  readonly exactRules: ReadonlyMap<string, HostRules>;
}

function exportedRules(fetch: Fetch, rules: DestinationRuleModel, lookup: RuleLookup): readonly MergedRule[] {
  const ofNamespace = {
    exact: lookup.exactRules.get(lookup.namespace),
    wildcards: fetch.bucket(rules.wildcardRulesByNamespace, lookup.namespace),
  };
  return rulesForHost(ofNamespace, lookup.hostname, 'exported');
}

/** Source: Istio pilot/pkg/model/sidecar.go selectServices. */
function comparePrecedence(a: Service, b: Service): number {
  return registryRank(a) - registryRank(b) || visibilityRank(a) - visibilityRank(b) || compareServices(a, b);
}

function registryRank(service: Service): number {
  return service.registry === 'Kubernetes' ? 0 : 1;
}

function visibilityRank(service: Service): number {
  return service.visibility.public ? 1 : 0;
}

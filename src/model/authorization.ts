/**
 * AuthorizationPolicy as an answer: which policies hold for one workload. The answer is plain data that builders take as
 * their input; why it is so (causes) and what is wrong with it (findings) stand beside it.
 * Costs a look at the policies of two namespaces that share a label with the workload, or have no selector.
 * Source: istio pilot/pkg/model/authorization.go, policyattachment.go.
 */
import type { AuthorizationPolicySpec, AuthorizationRule } from '#api/authorization-policy.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { compareBytes, sortedBy } from '#base/bytes-order.ts';
import type { Cause } from '#base/cause.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import type { AuthorizerResolution, ExternalAuthorizer } from './external-authorizer.ts';
import { type PolicyIndex, type PolicySubject, policiesOf, policyBuckets } from './policy-target.ts';

export type AuthorizationAction = 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM';

/** One policy that holds for a workload. */
export interface WorkloadPolicy {
  readonly namespace: string;
  readonly name: string;
  readonly action: AuthorizationAction;
  /** Evaluated and counted, not enforced (annotation istio.io/dry-run). */
  readonly dryRun: boolean;
  /** Extension provider of action CUSTOM, '' otherwise. */
  readonly provider: string;
  /** None: the policy matches nothing, so that ALLOW allows nothing. */
  readonly rules: readonly AuthorizationRule[];
}

/** Everything about authorization that a workload's filters depend on. */
export interface AuthorizationFacet {
  /** The mesh's trust domain and its aliases: one identity under several names. */
  readonly trustDomains: readonly string[];
  /** Sorted by namespace, then name. */
  readonly policies: readonly WorkloadPolicy[];
  /** Several authorizers may be asked for one workload; else CUSTOM policies of several providers deny. */
  readonly mayAskSeveral: boolean;
  /** Those that CUSTOM policies among them name and that can be asked, sorted by name. */
  readonly authorizers: readonly ExternalAuthorizer[];
}

/** The facet, why it is so, and what does not work in it. */
export interface WorkloadAuthorization {
  readonly facet: AuthorizationFacet;
  readonly causes: readonly Cause[];
  readonly findings: readonly Diagnostic[];
}

/** AuthorizationPolicy objects, and external authorizers by name. */
export interface AuthorizationModel {
  readonly policies: PolicyIndex<AuthorizationPolicySpec>;
  readonly authorizers: Collection<AuthorizerResolution>;
  readonly mayAskSeveral: boolean;
}

/** Mesh-wide settings of the question. */
export interface AuthorizationScopeFacts {
  readonly rootNamespace: string;
  readonly trustDomains: readonly string[];
}

const DRY_RUN_ANNOTATION = 'istio.io/dry-run';
/** What Go's strconv.ParseBool takes for true. */
const TRUE_TEXTS: ReadonlySet<string> = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);

export function createAuthorizationModel(
  engine: Engine,
  objects: Collection<MeshObject<AuthorizationPolicySpec>>,
  authorizers: Collection<AuthorizerResolution>,
  mayAskSeveral = false,
): AuthorizationModel {
  return {
    mayAskSeveral,
    authorizers,
    policies: engine.index('model.authorizationPolicies', objects, policyBuckets),
  };
}

/** The policies of the root namespace and of the workload's own that select it. Reads a bucket per label and namespace. */
export function authorizationFor(
  fetch: Fetch,
  model: AuthorizationModel,
  facts: AuthorizationScopeFacts,
  subject: PolicySubject,
): WorkloadAuthorization {
  const namespaces = new Set([facts.rootNamespace, subject.namespace]);
  const policies = [...namespaces]
    .flatMap((namespace) => policiesOf(fetch, model.policies, namespace, subject))
    .sort((a, b) => compareBytes(a.namespace, b.namespace) || compareBytes(a.name, b.name));
  const { authorizers, faults } = authorizersOf(fetch, model, policies);
  return {
    facet: {
      trustDomains: facts.trustDomains,
      policies: policies.map(workloadPolicy),
      mayAskSeveral: model.mayAskSeveral,
      authorizers,
    },
    causes: policies.map(({ kind, namespace, name }) => ({ kind, namespace, name, path: 'spec' })),
    findings: policies.flatMap((policy) => findingsOf(policy, faults)),
  };
}

function workloadPolicy(policy: MeshObject<AuthorizationPolicySpec>): WorkloadPolicy {
  const { action, provider, rules } = policy.spec;
  return {
    namespace: policy.namespace,
    name: policy.name,
    action: action ?? 'ALLOW',
    dryRun: isDryRun(policy.annotations),
    provider: provider?.name ?? '',
    rules: rules ?? [],
  };
}

/** True for a policy that is evaluated and counted, not enforced. */
export function isDryRun(annotations: Readonly<Record<string, string>>): boolean {
  return TRUE_TEXTS.has(annotations[DRY_RUN_ANNOTATION] ?? '');
}

/** The providers that enforced CUSTOM policies name: those to ask, and why others cannot be asked. */
function authorizersOf(
  fetch: Fetch,
  model: AuthorizationModel,
  policies: readonly MeshObject<AuthorizationPolicySpec>[],
): { readonly authorizers: readonly ExternalAuthorizer[]; readonly faults: ReadonlyMap<string, string> } {
  const custom = policies.filter(
    ({ spec, annotations }) => spec.action === 'CUSTOM' && !isDryRun(annotations),
  );
  const names = sortedBy(new Set(custom.map(({ spec }) => spec.provider?.name ?? '')), (name) => name);
  const authorizers: ExternalAuthorizer[] = [];
  const faults = new Map<string, string>();
  for (const name of names) {
    const found = fetch.get(model.authorizers, name) ?? {
      fault: 'mesh config has no such extension provider',
    };
    if ('fault' in found) faults.set(name, found.fault);
    else authorizers.push(found.authorizer);
    if (names.length > 1 && !model.mayAskSeveral)
      faults.set(name, `the workload has policies of several providers: ${names.join(', ')}`);
  }
  return { authorizers, faults };
}

/** A CUSTOM policy whose provider cannot be asked denies what it selects (law 9). */
function findingsOf(
  policy: MeshObject<AuthorizationPolicySpec>,
  faults: ReadonlyMap<string, string>,
): Diagnostic[] {
  const { kind, namespace, name, spec } = policy;
  const provider = spec.provider?.name ?? '';
  const fault = faults.get(provider);
  if (spec.action !== 'CUSTOM' || isDryRun(policy.annotations) || fault === undefined) return [];
  return [
    {
      code: 'LTN2901',
      severity: 'error',
      resource: { kind, namespace, name },
      path: 'spec.provider.name',
      args: { provider, reason: fault },
    },
  ];
}

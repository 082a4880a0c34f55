/**
 * RequestAuthentication as an answer: which tokens a workload accepts, with the keys that verify them. Plain data that
 * builders take as their input; causes and findings stand beside it.
 * Costs a look at the policies of two namespaces that share a label with the workload or have no selector, and a look at each key set that they name.
 * Source: istio pilot/pkg/model/authentication.go, pilot/pkg/security/authn/policy_applier.go.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { JwtRule, RequestAuthenticationSpec } from '#api/request-authentication.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Cause } from '#base/cause.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import { type KeySetState, keySetKey } from './jwt-key-set.ts';
import { type PolicyIndex, type PolicySubject, policiesOf, policyBuckets } from './policy-target.ts';

/** A rule with the keys that hold for it. */
export interface TokenRule {
  readonly rule: Omit<JwtRule, 'jwks' | 'jwksUri' | 'timeout'>;
  /** JWKS document; '' while there is none: then no token of the issuer is valid. */
  readonly keys: string;
}

/** What a workload accepts. */
export interface RequestAuthentication {
  /** Sorted by issuer; rules of one issuer in the order of their objects' age. */
  readonly rules: readonly TokenRule[];
  /** Where each rule stands, in step with `rules`. */
  readonly ruleCauses: readonly Cause[];
  readonly causes: readonly Cause[];
  readonly findings: readonly Diagnostic[];
}

export interface RequestAuthenticationModel {
  readonly policies: PolicyIndex<RequestAuthenticationSpec>;
  /** Keyed by `keySetKey`. */
  readonly keySets: Collection<KeySetState>;
}

export function createRequestAuthenticationModel(
  engine: Engine,
  objects: Collection<MeshObject<RequestAuthenticationSpec>>,
  keySets: Collection<KeySetState>,
): RequestAuthenticationModel {
  return {
    keySets,
    policies: engine.index('model.requestAuthentications', objects, policyBuckets),
  };
}

/** The rules of the workload's namespace and of the root one that select it. Reads a bucket per label and namespace. */
export function requestAuthenticationFor(
  fetch: Fetch,
  model: RequestAuthenticationModel,
  rootNamespace: string,
  subject: PolicySubject,
): RequestAuthentication {
  const objects = [...new Set([subject.namespace, rootNamespace])].flatMap((namespace) =>
    [...policiesOf(fetch, model.policies, namespace, subject)].sort(
      (a, b) => a.createdAtMs - b.createdAtMs || compareBytes(a.name, b.name),
    ),
  );
  const findings: Diagnostic[] = [];
  const rules = objects.flatMap((object) =>
    (object.spec.jwtRules ?? []).map((rule, at): readonly [TokenRule, Cause] => {
      const { kind, namespace, name } = object;
      const cause = { kind, namespace, name, path: `spec.jwtRules[${at}]` };
      const { jwks = '', jwksUri, timeout: _timeout, ...rest } = rule;
      if (jwks !== '') return [{ rule: rest, keys: jwks }, cause];
      const state = fetch.get(model.keySets, keySetKey(rule));
      if (state !== undefined && state.fault !== '') findings.push(faultOf(object, at, jwksUri, state));
      return [{ rule: rest, keys: state?.keys ?? '' }, cause];
    }),
  );
  rules.sort(([a], [b]) => compareBytes(a.rule.issuer ?? '', b.rule.issuer ?? ''));
  return {
    rules: rules.map(([rule]) => rule),
    ruleCauses: rules.map(([, cause]) => cause),
    causes: objects.map(({ kind, namespace, name }) => ({ kind, namespace, name, path: 'spec' })),
    findings,
  };
}

function faultOf(
  { kind, namespace, name, spec }: MeshObject<RequestAuthenticationSpec>,
  at: number,
  jwksUri: string | undefined,
  { keys, fault }: KeySetState,
): Diagnostic {
  const issuer = spec.jwtRules?.[at]?.issuer ?? '';
  return {
    code: keys === '' ? 'LTN2902' : 'LTN2903',
    severity: keys === '' ? 'error' : 'warning',
    resource: { kind, namespace, name },
    path: `spec.jwtRules[${at}]${jwksUri === undefined ? '.issuer' : '.jwksUri'}`,
    args: { source: jwksUri ?? issuer, reason: fault },
  };
}

/**
 * AuthorizationPolicy: who may call what.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import type {
  AuthorizationPolicyJson,
  AuthorizationPolicy_ActionJson,
  ConditionJson,
  OperationJson,
  RuleJson,
  SourceJson,
} from '#proto/istio/security/v1beta1/authorization_policy_pb.ts';
import { checkCondition, checkOperation, checkSource } from './authorization-rules.ts';
import { checkPolicyTarget } from './field-rules.ts';
import { Findings } from './findings.ts';
import type { MeshObject } from './mesh-object.ts';

/** spec of an AuthorizationPolicy. */
export type AuthorizationPolicySpec = AuthorizationPolicyJson;
/** ALLOW, DENY, AUDIT or CUSTOM; absent means ALLOW. */
export type AuthorizationAction = AuthorizationPolicy_ActionJson;
/** One entry of spec.rules: who (from), what (to), under which conditions (when). */
export type AuthorizationRule = RuleJson;
/** Who calls; all attributes that are set must fit. */
export type AuthorizationSource = SourceJson;
/** What is called; all attributes that are set must fit. */
export type AuthorizationOperation = OperationJson;
/** A further condition on an attribute named by `key`. */
export type AuthorizationCondition = ConditionJson;

const CUSTOM_UNSUPPORTED_SOURCES = [
  'namespaces',
  'notNamespaces',
  'serviceAccounts',
  'notServiceAccounts',
  'trustDomains',
  'notTrustDomains',
  'principals',
  'notPrincipals',
  'requestPrincipals',
  'notRequestPrincipals',
] as const;

const CUSTOM_UNSUPPORTED_KEYS: ReadonlySet<string> = new Set([
  'source.namespace',
  'source.serviceAccount',
  'source.trustDomain',
  'source.principal',
]);

/** Sources that exist without HTTP: a rule with one of them works on plain TCP connections. */
const TCP_SOURCES = [
  'principals',
  'notPrincipals',
  'ipBlocks',
  'notIpBlocks',
  'namespaces',
  'notNamespaces',
  'remoteIpBlocks',
  'notRemoteIpBlocks',
  'serviceAccounts',
  'notServiceAccounts',
] as const;

/** Findings about an AuthorizationPolicy beyond its schema. Source: istio pkg/config/validation ValidateAuthorizationPolicy. */
export function validateAuthorizationPolicy(object: MeshObject<AuthorizationPolicySpec>): Diagnostic[] {
  const findings = new Findings(object);
  const { spec } = object;
  checkPolicyTarget(spec, findings);
  checkAction(spec, findings);
  for (const [index, rule] of (spec.rules ?? []).entries()) {
    checkRule(rule, spec.action === 'DENY', `spec.rules[${index}]`, findings);
  }
  return findings.all;
}

function checkAction(spec: AuthorizationPolicySpec, findings: Findings): void {
  const action = spec.action ?? 'ALLOW';
  const rules = spec.rules ?? [];
  if (action === 'CUSTOM' && rules.length > 0 && (spec.provider?.name ?? '') === '') {
    findings.missing('spec', 'provider.name', 'provider: {name: my-authorizer}');
  }
  if (action !== 'CUSTOM' && spec.provider !== undefined) {
    findings.add('LTN2037', 'spec.provider', { field: 'provider', when: 'unless action is CUSTOM' });
  }
  if ((action === 'CUSTOM' || action === 'DENY') && rules.length === 0) {
    findings.missing('spec', 'rules', 'rules: [{}], which means every request');
  }
  if (action === 'CUSTOM')
    for (const [index, rule] of rules.entries()) checkCustom(rule, `spec.rules[${index}]`, findings);
}

/** A policy with action CUSTOM is evaluated before the client's identity is known. */
function checkCustom(rule: AuthorizationRule, path: string, findings: Findings): void {
  for (const [i, from] of (rule.from ?? []).entries()) {
    for (const field of CUSTOM_UNSUPPORTED_SOURCES) {
      if ((from.source?.[field] ?? []).length === 0) continue;
      findings.add('LTN2037', `${path}.from[${i}].source.${field}`, { field, when: 'with action CUSTOM' });
    }
  }
  for (const [i, { key = '' }] of (rule.when ?? []).entries()) {
    if (!CUSTOM_UNSUPPORTED_KEYS.has(key) && !key.startsWith('request.auth.')) continue;
    findings.add('LTN2037', `${path}.when[${i}].key`, { field: key, when: 'with action CUSTOM' });
  }
}

function checkRule(rule: AuthorizationRule, isDeny: boolean, path: string, findings: Findings): void {
  let hasSource = false;
  let hasOperation = false;
  let sourceWorksOnTcp = false;
  let operationWorksOnTcp = false;
  for (const [i, { source }] of (rule.from ?? []).entries()) {
    const at = `${path}.from[${i}]`;
    if (source === undefined) {
      findings.missing(at, 'source', 'source: {namespaces: [default]}');
      continue;
    }
    hasSource = true;
    sourceWorksOnTcp ||= TCP_SOURCES.some((field) => (source[field] ?? []).length > 0);
    checkSource(source, `${at}.source`, findings);
  }
  for (const [i, { operation }] of (rule.to ?? []).entries()) {
    const at = `${path}.to[${i}]`;
    if (operation === undefined) {
      findings.missing(at, 'operation', 'operation: {methods: [GET]}');
      continue;
    }
    hasOperation = true;
    operationWorksOnTcp ||= (operation.ports ?? []).length + (operation.notPorts ?? []).length > 0;
    checkOperation(operation, `${at}.operation`, findings);
  }
  for (const [i, condition] of (rule.when ?? []).entries())
    checkCondition(condition, `${path}.when[${i}]`, findings);
  const httpOnly =
    (hasSource && !hasOperation && !sourceWorksOnTcp) || (hasOperation && !operationWorksOnTcp);
  if (isDeny && httpOnly) findings.add('LTN2501', path);
}

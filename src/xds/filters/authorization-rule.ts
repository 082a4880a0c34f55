/**
 * One rule of an AuthorizationPolicy as an RBAC policy: any of `from` and any of `to`, each together with all of `when`.
 * Source: istio pilot/pkg/security/authz/model/model.go.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  AuthorizationCondition,
  AuthorizationOperation,
  AuthorizationRule,
  AuthorizationSource,
} from '#api/authorization-policy.ts';
import type { PolicySchema } from '#proto/envoy/config/rbac/v3/rbac_pb.ts';
import {
  buildCondition,
  type Condition,
  findKey,
  type KeyEntry,
  type Logic,
  type RuleContext,
} from './authorization-condition.ts';
import {
  allPermissions,
  anyPermission,
  FILTER_METADATA_ENTRY,
  HOST_KEY,
  isFilterMetadataKey,
  METHOD_KEY,
  PATH_KEY,
  PERMISSION_KEYS,
  PERMISSION_LOGIC,
  type Permission,
  PORT_KEY,
} from './authorization-permission.ts';
import {
  allPrincipals,
  anyPrincipal,
  NAMESPACE_KEY,
  PRINCIPAL_KEY,
  PRINCIPAL_KEYS,
  PRINCIPAL_LOGIC,
  type Principal,
  REMOTE_IP_KEY,
  REQUEST_PRINCIPAL_KEY,
  SERVICE_ACCOUNT_KEY,
  SOURCE_IP_KEY,
  TRUST_DOMAIN_KEY,
} from './authorization-principal.ts';
import { withPrincipalAliases, withTrustDomainAliases } from './authorization-trust-domain.ts';

export type RbacPolicy = MessageInitShape<typeof PolicySchema>;

/** A policy that no request matches: what a policy without rules is. */
export function neverMatches(): RbacPolicy {
  return {
    permissions: [PERMISSION_LOGIC.not(anyPermission())],
    principals: [PRINCIPAL_LOGIC.not(anyPrincipal())],
  };
}

/** Builds a rule; undefined when it can't be expressed for what the context says, and so never matches. */
export function buildRule(
  rule: AuthorizationRule,
  trustDomains: readonly string[],
  context: RuleContext,
): RbacPolicy | undefined {
  const when = splitWhen(rule.when ?? []);
  if (context.strict && when.unknown.length > 0) return undefined;
  const froms = (rule.from ?? []).map((from) => sourceConditions(from.source ?? {}));
  const tos = (rule.to ?? []).map((to) => operationConditions(to.operation ?? {}));
  const principals = alternatives(froms, when.principal, (conditions) =>
    together(
      conditions.map((condition) => withAliases(condition, trustDomains)),
      principalEntry,
      PRINCIPAL_LOGIC,
      context,
    ),
  );
  const permissions = alternatives(tos, when.permission, (conditions) =>
    together(conditions, permissionEntry, PERMISSION_LOGIC, context),
  );
  if (principals === undefined || permissions === undefined) return undefined;
  return { permissions: permissions.map(allPermissions), principals: principals.map(allPrincipals) };
}

/** Each alternative with the conditions that always hold; without any, those alone. */
function alternatives<T>(
  lists: readonly (readonly Condition[])[],
  always: readonly Condition[],
  build: (conditions: readonly Condition[]) => T[] | undefined,
): T[][] | undefined {
  const built = (lists.length === 0 ? [[]] : lists).map((list) => build([...list, ...always]));
  const known = built.filter((parts) => parts !== undefined);
  return known.length < built.length ? undefined : known;
}

function together<T extends Permission | Principal>(
  conditions: readonly Condition[],
  entryOf: (key: string) => KeyEntry<T> | undefined,
  logic: Logic<T>,
  context: RuleContext,
): T[] | undefined {
  const parts: T[] = [];
  for (const condition of conditions) {
    const entry = entryOf(condition.key);
    if (entry === undefined) continue;
    const built = buildCondition(entry, condition, logic, context);
    if (built === undefined) return undefined;
    parts.push(...built);
  }
  return parts;
}

function principalEntry(key: string): KeyEntry<Principal> | undefined {
  return findKey(PRINCIPAL_KEYS, key);
}

function permissionEntry(key: string): KeyEntry<Permission> | undefined {
  return isFilterMetadataKey(key) ? FILTER_METADATA_ENTRY : findKey(PERMISSION_KEYS, key);
}

/**
 * Conditions by what they are about. A key that nobody knows (admission refuses it) counts as one that can't be expressed: Istio
 * drops the whole rule, which for DENY would let through what somebody meant to keep out.
 */
function splitWhen(
  when: readonly AuthorizationCondition[],
): Readonly<Record<'principal' | 'permission' | 'unknown', Condition[]>> {
  const split = { principal: [] as Condition[], permission: [] as Condition[], unknown: [] as Condition[] };
  for (const { key = '', values = [], notValues = [] } of when) {
    const kind = isConditionOf(key);
    split[kind].push({ key, values, notValues });
  }
  return split;
}

function isConditionOf(key: string): 'principal' | 'permission' | 'unknown' {
  if (key.startsWith('operation.')) return 'unknown';
  if (permissionEntry(key) !== undefined) return 'permission';
  return principalEntry(key) === undefined ? 'unknown' : 'principal';
}

function sourceConditions(source: AuthorizationSource): Condition[] {
  return given([
    [PRINCIPAL_KEY, source.principals, source.notPrincipals],
    [REQUEST_PRINCIPAL_KEY, source.requestPrincipals, source.notRequestPrincipals],
    [SERVICE_ACCOUNT_KEY, source.serviceAccounts, source.notServiceAccounts],
    [TRUST_DOMAIN_KEY, source.trustDomains, source.notTrustDomains],
    [NAMESPACE_KEY, source.namespaces, source.notNamespaces],
    [REMOTE_IP_KEY, source.remoteIpBlocks, source.notRemoteIpBlocks],
    [SOURCE_IP_KEY, source.ipBlocks, source.notIpBlocks],
  ]);
}

function operationConditions(operation: AuthorizationOperation): Condition[] {
  return given([
    [HOST_KEY, operation.hosts, operation.notHosts],
    [METHOD_KEY, operation.methods, operation.notMethods],
    [PATH_KEY, operation.paths, operation.notPaths],
    [PORT_KEY, operation.ports, operation.notPorts],
  ]);
}

type Field = readonly [
  key: string,
  values: readonly string[] | undefined,
  notValues: readonly string[] | undefined,
];

function given(fields: readonly Field[]): Condition[] {
  return fields.flatMap(([key, values = [], notValues = []]) =>
    values.length + notValues.length === 0 ? [] : [{ key, values, notValues }],
  );
}

function withAliases(condition: Condition, trustDomains: readonly string[]): Condition {
  const { key, values, notValues } = condition;
  const expand =
    key === PRINCIPAL_KEY
      ? withPrincipalAliases
      : key === TRUST_DOMAIN_KEY
        ? withTrustDomainAliases
        : undefined;
  if (expand === undefined) return condition;
  return { key, values: expand(values, trustDomains), notValues: expand(notValues, trustDomains) };
}

/**
 * Envoy's RBAC rules over a connection or request: which policy matches, and what follows from it.
 * Source: envoy source/extensions/filters/common/rbac/{engine_impl,matchers}.cc.
 */
import type { JsonObject } from '@bufbuild/protobuf';
import type { Cause } from '#base/cause.ts';
import { sortedBy } from '#base/bytes-order.ts';
import type { PathMatcher } from '#proto/envoy/type/matcher/v3/path_pb.ts';
import {
  type Permission,
  type Policy,
  type Principal,
  type Principal_Authenticated,
  type RBAC,
  RBAC_Action,
} from '#proto/envoy/config/rbac/v3/rbac_pb.ts';
import type { CallConnection } from './call.ts';
import type { Evaluation } from './evaluation.ts';
import type { RequestHeaders } from './headers.ts';
import { inCidr } from '#simulation/match/address.ts';
import { matchesHeader } from '#simulation/match/header.ts';
import { matchesTemplate, withoutQuery } from '#simulation/match/path.ts';
import { matchesString } from '#simulation/match/string.ts';
import { type FilterMetadata, matchesMetadata } from '#simulation/match/value.ts';
import type { Peer } from './tls.ts';

/** What rules look at. */
export interface RbacSubject {
  readonly connection: CallConnection;
  readonly serverName: string;
  readonly peer: Peer;
  /** The client's address as the connection manager worked it out; that of the connection for bytes. */
  readonly remoteAddress: string;
  /** Undefined for bytes, of which nothing of HTTP is known. */
  readonly headers: RequestHeaders | undefined;
  readonly metadata: FilterMetadata;
}

export interface RbacDecision {
  readonly isAllowed: boolean;
  /** The policy that matched, undefined for none. */
  readonly policy: string | undefined;
}

/** Decides; policies are tried in order of their names. */
export function decide(evaluation: Evaluation, rules: RBAC, subject: RbacSubject): RbacDecision {
  const policies = sortedBy(Object.entries(rules.policies), ([name]) => name);
  const matched = policies.find(([, policy]) => matchesPolicy(evaluation, policy, subject))?.[0];
  const isMatch = matched !== undefined;
  const isAllowed = rules.action === RBAC_Action.LOG || isMatch === (rules.action === RBAC_Action.ALLOW);
  return { isAllowed, policy: matched };
}

/** What Envoy keeps of a decision that is only looked at. Source: envoy rbac/engine.h DynamicMetadataKeys. */
export function shadowMetadata(prefix: string, { isAllowed, policy }: RbacDecision): JsonObject {
  const result = { [`${prefix}shadow_engine_result`]: isAllowed ? 'allowed' : 'denied' };
  return policy === undefined ? result : { ...result, [`${prefix}shadow_effective_policy_id`]: policy };
}

/** The object behind a policy's name, `ns[NAMESPACE]-policy[NAME]-rule[N]`. */
export function causeOfPolicy(name: string): readonly Cause[] {
  const [, namespace, policy, rule] = /ns\[([^\]]*)\]-policy\[([^\]]*)\]-rule\[(\d+)\]/.exec(name) ?? [];
  if (namespace === undefined || policy === undefined) return [];
  return [{ kind: 'AuthorizationPolicy', namespace, name: policy, path: `spec.rules[${rule}]` }];
}

function matchesPolicy(evaluation: Evaluation, policy: Policy, subject: RbacSubject): boolean {
  if (policy.condition !== undefined || policy.checkedCondition !== undefined) {
    evaluation.notEvaluated('http-filter', 'rbac', 'CEL condition');
    return false;
  }
  const matcher = new PolicyMatcher(evaluation, subject);
  return (
    policy.permissions.some((permission) => matcher.permits(permission)) &&
    policy.principals.some((principal) => matcher.is(principal))
  );
}

class PolicyMatcher {
  readonly #evaluation: Evaluation;
  readonly #subject: RbacSubject;

  constructor(evaluation: Evaluation, subject: RbacSubject) {
    this.#evaluation = evaluation;
    this.#subject = subject;
  }

  permits({ rule }: Permission): boolean {
    const { connection, headers, serverName, metadata } = this.#subject;
    switch (rule.case) {
      case 'any':
        return rule.value;
      case 'andRules':
        return rule.value.rules.every((one) => this.permits(one));
      case 'orRules':
        return rule.value.rules.some((one) => this.permits(one));
      case 'notRule':
        return !this.permits(rule.value);
      case 'header':
        return headers !== undefined && matchesHeader(rule.value, headers);
      case 'urlPath':
        return this.#hasPath(rule.value);
      case 'uriTemplate':
        return (
          headers !== undefined && (matchesTemplate(rule.value, headers.path) ?? this.#unknown(rule.case))
        );
      case 'destinationIp':
        return inCidr(rule.value, connection.address);
      case 'destinationPort':
        return rule.value === connection.port;
      case 'destinationPortRange':
        return connection.port >= rule.value.start && connection.port < rule.value.end;
      case 'requestedServerName':
        return matchesString(rule.value, serverName);
      case 'metadata':
        return matchesMetadata(rule.value, metadata);
      default:
        return this.#unknown(`permission ${rule.case}`);
    }
  }

  is({ identifier }: Principal): boolean {
    const { connection, headers, remoteAddress, metadata } = this.#subject;
    switch (identifier.case) {
      case 'any':
        return identifier.value;
      case 'andIds':
        return identifier.value.ids.every((one) => this.is(one));
      case 'orIds':
        return identifier.value.ids.some((one) => this.is(one));
      case 'notId':
        return !this.is(identifier.value);
      case 'authenticated':
        return this.#isAuthenticated(identifier.value);
      case 'sourceIp':
      case 'directRemoteIp':
        return inCidr(identifier.value, connection.sourceAddress);
      case 'remoteIp':
        return inCidr(identifier.value, remoteAddress);
      case 'header':
        return headers !== undefined && matchesHeader(identifier.value, headers);
      case 'urlPath':
        return this.#hasPath(identifier.value);
      case 'metadata':
        return matchesMetadata(identifier.value, metadata);
      default:
        return this.#unknown(`principal ${identifier.case}`);
    }
  }

  #hasPath({ rule }: PathMatcher): boolean {
    const { headers } = this.#subject;
    return (
      rule.case === 'path' && headers !== undefined && matchesString(rule.value, withoutQuery(headers.path))
    );
  }

  /** By URI SANs, then DNS SANs, then the subject. */
  #isAuthenticated({ principalName }: Principal_Authenticated): boolean {
    const { isTls, certificate } = this.#subject.peer;
    if (!isTls) return false;
    if (principalName === undefined) return true;
    const names = [
      ...(certificate?.uris ?? []),
      ...(certificate?.dnsNames ?? []),
      certificate?.subject ?? '',
    ];
    return names.some((name) => matchesString(principalName, name));
  }

  #unknown(what: string): boolean {
    this.#evaluation.notEvaluated('http-filter', 'rbac', what);
    return false;
  }
}

/** The form of the policy tests: policies, and the calls that they let through or not. */
import type { AuthorizationRule } from '#api/authorization-policy.ts';
import type { AuthorizationAction, WorkloadPolicy } from '#model/authorization.ts';
import type { PathNormalization } from '#scope/http-settings.ts';

/** Who calls: nobody known, or the workload with this SPIFFE id. */
export type Caller = 'plain' | `spiffe://${string}`;

export interface Call {
  readonly from?: Caller;
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Status for HTTP; for TCP 200 is an echo and 403 a closed connection. */
  readonly expect: number;
}

export interface PolicyCase {
  readonly name: string;
  readonly policies: readonly WorkloadPolicy[];
  readonly carries?: 'http' | 'tcp';
  readonly paths?: PathNormalization;
  readonly trustDomains?: readonly string[];
  readonly calls: readonly Call[];
}

export function policy(
  name: string,
  action: AuthorizationAction,
  rules: readonly AuthorizationRule[],
  more: Partial<WorkloadPolicy> = {},
): WorkloadPolicy {
  return { namespace: 'bookinfo', name, action, dryRun: false, provider: '', rules, ...more };
}

export const from = (
  source: NonNullable<NonNullable<AuthorizationRule['from']>[number]['source']>,
): AuthorizationRule => ({
  from: [{ source }],
});
export const to = (
  operation: NonNullable<NonNullable<AuthorizationRule['to']>[number]['operation']>,
): AuthorizationRule => ({
  to: [{ operation }],
});
export const when = (key: string, ...values: string[]): AuthorizationRule => ({ when: [{ key, values }] });

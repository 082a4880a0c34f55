/**
 * JWT_RULE: which issuer's tokens the control plane takes for identities, as Istio's variable has it: a JWTRule in JSON, of which
 * issuer, keys and audiences count. Fields that are not known are passed over, as by Istio.
 * Source: istio.io/api security/v1beta1 JWTRule; pilot/pkg/bootstrap/server.go initOIDC.
 */
import { fail, ok, type Result } from '#base/result.ts';

/** The rule. */
export interface TokenRule {
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** Where the keys are; '' to ask the issuer by OpenID discovery. */
  readonly jwksUri: string;
  /** The keys themselves; '' to fetch them. */
  readonly jwks: string;
}

/** Reads the rule. Errors: a text for whoever started the control plane. */
export function parseTokenRule(text: string): Result<TokenRule, string> {
  const rule = parseObject(text);
  if (rule === undefined) return fail('JWT_RULE is no JSON object');
  const issuer = textOf(rule.get('issuer'));
  const jwksUri = textOf(rule.get('jwksUri') ?? rule.get('jwks_uri'));
  const jwks = textOf(rule.get('jwks'));
  const audiences = rule.get('audiences') ?? [];
  if (issuer === undefined || jwksUri === undefined || jwks === undefined)
    return fail('JWT_RULE: issuer, jwksUri and jwks are texts');
  if (issuer === '') return fail('JWT_RULE names no issuer');
  if (!Array.isArray(audiences) || !audiences.every((one) => typeof one === 'string'))
    return fail('JWT_RULE: audiences is a list of texts');
  if (audiences.length === 0) return fail('JWT_RULE names no audiences: it would take no token');
  return ok({ issuer, audiences: audiences as readonly string[], jwksUri, jwks });
}

function textOf(value: unknown): string | undefined {
  return value === undefined || value === null ? '' : typeof value === 'string' ? value : undefined;
}

function parseObject(text: string): ReadonlyMap<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? new Map(Object.entries(value)) : undefined;
  } catch {
    return undefined;
  }
}

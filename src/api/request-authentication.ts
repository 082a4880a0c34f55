/**
 * RequestAuthentication: which JWTs are accepted.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import type {
  JWTRuleJson,
  RequestAuthenticationJson,
} from '#proto/istio/security/v1beta1/request_authentication_pb.ts';
import { checkDuration, checkPolicyTarget } from './field-rules.ts';
import { Findings, show } from './findings.ts';
import { checkStrictHeaderName } from './header-rules.ts';
import { isJsonObject } from './json-scalar.ts';
import type { MeshObject } from './mesh-object.ts';

/** spec of a RequestAuthentication. */
export type RequestAuthenticationSpec = RequestAuthenticationJson;
/** One entry of spec.jwtRules: an issuer and its keys. */
export type JwtRule = JWTRuleJson;

/** Members of a JWK that only a private or symmetric key has. */
const PRIVATE_MEMBERS: readonly string[] = ['d', 'k'];
const KEY_TYPES: ReadonlySet<unknown> = new Set(['RSA', 'EC', 'OKP', 'oct']);

/** Findings about a RequestAuthentication beyond its schema. Source: istio pkg/config/validation ValidateRequestAuthentication. */
export function validateRequestAuthentication(object: MeshObject<RequestAuthenticationSpec>): Diagnostic[] {
  const findings = new Findings(object);
  checkPolicyTarget(object.spec, findings);
  for (const [index, rule] of (object.spec.jwtRules ?? []).entries()) {
    checkJwtRule(rule, `spec.jwtRules[${index}]`, findings);
  }
  return findings.all;
}

function checkJwtRule(rule: JwtRule, path: string, findings: Findings): void {
  const { issuer = '', jwksUri = '', jwks = '' } = rule;
  if (issuer === '' && jwksUri === '') findings.add('LTN2039', path, { fields: 'issuer and jwksUri' });
  if (jwksUri !== '' && !isHttpUri(jwksUri)) {
    const args = {
      value: show(jwksUri),
      problem: 'it is not a URI of a key set',
      cure: 'Write http://… or https://….',
    };
    findings.add('LTN2034', `${path}.jwksUri`, args);
  }
  if (jwks !== '') checkJwks(jwks, `${path}.jwks`, findings);
  checkNoEmpty(rule.audiences, `${path}.audiences`, findings);
  checkNoEmpty(rule.fromParams, `${path}.fromParams`, findings);
  checkNoEmpty(rule.fromCookies, `${path}.fromCookies`, findings);
  checkNoEmpty(rule.spaceDelimitedClaims, `${path}.spaceDelimitedClaims`, findings);
  for (const [index, header] of (rule.fromHeaders ?? []).entries()) {
    if ((header.name ?? '') === '') findings.missing(`${path}.fromHeaders[${index}]`, 'name', 'name: x-jwt');
  }
  for (const [index, { header = '', claim = '' }] of (rule.outputClaimToHeaders ?? []).entries()) {
    const at = `${path}.outputClaimToHeaders[${index}]`;
    if (claim === '') findings.missing(at, 'claim', 'claim: sub');
    if (header === '') findings.missing(at, 'header', 'header: x-jwt-sub');
    else checkStrictHeaderName(header, `${at}.header`, findings);
  }
  checkDuration(rule.timeout, `${path}.timeout`, findings);
}

function checkNoEmpty(values: readonly string[] | undefined, path: string, findings: Findings): void {
  const index = (values ?? []).indexOf('');
  if (index >= 0) findings.add('LTN2035', `${path}[${index}]`, { field: 'the value' });
}

function isHttpUri(text: string): boolean {
  const authority = /^https?:\/\/([^/?#]*)/.exec(text)?.[1];
  if (authority === undefined) return false;
  const port = /:([^:\]]*)$/.exec(authority)?.[1] ?? '';
  return /^\d*$/.test(port);
}

/** A JWK set or a single JWK; keys that could sign draw a warning, since only public ones are used. */
function checkJwks(text: string, path: string, findings: Findings): void {
  const keys = parseKeys(text);
  if (keys === undefined) {
    const args = { value: show(text), problem: 'it is not a JSON Web Key Set', cure: 'Write {"keys": […]}.' };
    findings.add('LTN2034', path, args);
    return;
  }
  for (const [index, key] of keys.entries()) {
    if (!PRIVATE_MEMBERS.some((member) => Object.hasOwn(key, member))) continue;
    const reason = `key ${index} is a private key; only public keys are used`;
    findings.add('LTN2041', path, {
      field: 'a private key',
      reason,
      cure: 'Remove the private members of the key.',
    });
  }
}

function parseKeys(text: string): readonly object[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isJsonObject(value)) return undefined;
    const keys: unknown = Object.hasOwn(value, 'keys') ? value['keys'] : [value];
    if (!Array.isArray(keys)) return undefined;
    const valid = keys.every((key) => isJsonObject(key) && KEY_TYPES.has(key['kty']));
    return valid ? (keys as readonly object[]) : undefined;
  } catch {
    return undefined;
  }
}

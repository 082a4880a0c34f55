/**
 * Rules for the parts of an authorization rule: source, operation, condition.
 * Source: istio pkg/config/validation ValidateAuthorizationPolicy and pkg/config/security/security.go.
 */
import { parseCidr } from '#base/cidr.ts';
import type {
  AuthorizationCondition,
  AuthorizationOperation,
  AuthorizationSource,
} from './authorization-policy.ts';
import { type Findings, show } from './findings.ts';
import { suggest } from './suggestion.ts';

const MAX_SERVICE_ACCOUNTS = 16;
const MAX_SERVICE_ACCOUNT_LENGTH = 320;
const PATH_SEGMENT = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]+$/;

const IP_FIELDS = ['ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks'] as const;
const NAME_FIELDS = [
  'principals',
  'notPrincipals',
  'requestPrincipals',
  'notRequestPrincipals',
  'namespaces',
  'notNamespaces',
] as const;
const ACCOUNT_FIELDS = ['serviceAccounts', 'notServiceAccounts'] as const;
const TRUST_DOMAIN_FIELDS = ['trustDomains', 'notTrustDomains'] as const;
const OPERATION_FIELDS = [
  'hosts',
  'notHosts',
  'ports',
  'notPorts',
  'methods',
  'notMethods',
  'paths',
  'notPaths',
] as const;

const PLAIN_KEYS: readonly string[] = [
  'source.ip',
  'remote.ip',
  'source.namespace',
  'source.serviceAccount',
  'source.principal',
  'source.trustDomain',
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'destination.ip',
  'destination.port',
  'connection.sni',
];

/** Keys with a part in brackets: request.headers[User-Agent]. */
const BRACKET_KEYS: readonly string[] = [
  'request.headers',
  'request.auth.claims',
  'experimental.envoy.filters.',
];

/** Checks the source of a rule: at least one attribute, well-formed values. */
export function checkSource(source: AuthorizationSource, path: string, findings: Findings): void {
  const all = [...IP_FIELDS, ...NAME_FIELDS, ...ACCOUNT_FIELDS, ...TRUST_DOMAIN_FIELDS];
  const isSet = (field: (typeof all)[number]): boolean => (source[field] ?? []).length > 0;
  if (!all.some(isSet)) findings.add('LTN2035', path, { field: 'source' });
  const identities = (['principals', 'notPrincipals', 'namespaces', 'notNamespaces'] as const).filter(isSet);
  if (identities.length > 0 && ACCOUNT_FIELDS.some(isSet)) {
    findings.add('LTN2038', path, { field: 'serviceAccounts', other: identities.join(' and ') });
  }
  for (const field of IP_FIELDS) checkIps(source[field], `${path}.${field}`, findings);
  for (const field of NAME_FIELDS) checkNotEmpty(source[field], `${path}.${field}`, findings);
  for (const field of ACCOUNT_FIELDS) checkServiceAccounts(source[field], `${path}.${field}`, findings);
  for (const field of TRUST_DOMAIN_FIELDS) checkTrustDomains(source[field], `${path}.${field}`, findings);
}

/** Checks the operation of a rule: at least one attribute, ports as numbers, path templates as Envoy has them. */
export function checkOperation(operation: AuthorizationOperation, path: string, findings: Findings): void {
  if (OPERATION_FIELDS.every((field) => (operation[field] ?? []).length === 0)) {
    findings.add('LTN2035', path, { field: 'operation' });
  }
  for (const field of OPERATION_FIELDS) checkNotEmpty(operation[field], `${path}.${field}`, findings);
  for (const field of ['ports', 'notPorts'] as const)
    checkPorts(operation[field], `${path}.${field}`, findings);
  for (const field of ['paths', 'notPaths'] as const)
    checkPathTemplates(operation[field], `${path}.${field}`, findings);
}

/** Checks one `when`: a key that policies know, and values that fit it. */
export function checkCondition(condition: AuthorizationCondition, path: string, findings: Findings): void {
  const { key = '', values = [], notValues = [] } = condition;
  if (key === '') {
    findings.missing(path, 'key', 'key: source.ip');
    return;
  }
  if (values.length + notValues.length === 0) {
    findings.add('LTN2039', path, { fields: 'values and notValues' });
    return;
  }
  checkKey(key, `${path}.key`, findings);
  checkConditionValues(key, values, `${path}.values`, findings);
  checkConditionValues(key, notValues, `${path}.notValues`, findings);
}

function checkKey(key: string, path: string, findings: Findings): void {
  const bracketed = BRACKET_KEYS.find((prefix) => key.startsWith(prefix));
  const open = key.indexOf('[');
  if (bracketed !== undefined) {
    if (key.endsWith(']') && open > 0 && open < key.length - 2) return;
    findings.add('LTN2034', path, {
      value: show(key),
      problem: 'the key needs a part in brackets',
      cure: `Write ${bracketed}[name].`,
    });
  } else if (!PLAIN_KEYS.includes(key)) {
    const suggestion = suggest(key, [...PLAIN_KEYS, ...BRACKET_KEYS]) ?? '';
    findings.add('LTN2502', path, { key: show(key), suggestion });
  }
}

function checkConditionValues(
  key: string,
  values: readonly string[],
  path: string,
  findings: Findings,
): void {
  if (key === 'source.serviceAccount') checkServiceAccounts(values, path, findings);
  else if (key === 'source.trustDomain') checkWildcards(values, path, findings);
  else checkNotEmpty(values, path, findings);
  if (key === 'source.ip' || key === 'remote.ip' || key === 'destination.ip')
    checkIps(values, path, findings);
  if (key === 'destination.port') checkPorts(values, path, findings);
}

function checkNotEmpty(values: readonly string[] | undefined, path: string, findings: Findings): void {
  const index = (values ?? []).indexOf('');
  if (index >= 0) findings.add('LTN2035', `${path}[${index}]`, { field: 'the value' });
}

function checkIps(values: readonly string[] | undefined, path: string, findings: Findings): void {
  for (const [index, value] of (values ?? []).entries()) {
    if (!parseCidr(value).ok) findings.add('LTN2008', `${path}[${index}]`, { address: show(value) });
  }
}

function checkPorts(values: readonly string[] | undefined, path: string, findings: Findings): void {
  for (const [index, value] of (values ?? []).entries()) {
    if (/^\d{1,6}$/.test(value) && Number(value) <= 65535) continue;
    findings.add('LTN2034', `${path}[${index}]`, {
      value: show(value),
      problem: 'it is not a port',
      cure: 'Write a port number in quotes.',
    });
  }
}

/** One `*`, at the beginning or at the end. */
function checkWildcards(values: readonly string[] | undefined, path: string, findings: Findings): void {
  checkNotEmpty(values, path, findings);
  for (const [index, value] of (values ?? []).entries()) {
    const star = value.indexOf('*');
    const isMisplaced = star > 0 && star < value.length - 1;
    if (star === value.lastIndexOf('*') && !isMisplaced) continue;
    const args = {
      value: show(value),
      problem: 'a wildcard stands at the beginning or at the end',
      cure: 'Keep one wildcard.',
    };
    findings.add('LTN2034', `${path}[${index}]`, args);
  }
}

function checkTrustDomains(values: readonly string[] | undefined, path: string, findings: Findings): void {
  checkWildcards(values, path, findings);
  for (const [index, value] of (values ?? []).entries()) {
    if (!value.includes('/')) continue;
    const args = {
      value: show(value),
      problem: 'a trust domain has no "/"',
      cure: 'Write the trust domain alone.',
    };
    findings.add('LTN2034', `${path}[${index}]`, args);
  }
}

/** `name` or `namespace/name`, without wildcards. Source: CheckServiceAccount. */
function checkServiceAccounts(values: readonly string[] | undefined, path: string, findings: Findings): void {
  if ((values ?? []).length > MAX_SERVICE_ACCOUNTS) {
    const cure = 'Split the rule into several.';
    const problem = `at most ${MAX_SERVICE_ACCOUNTS} are possible`;
    findings.add('LTN2034', path, { value: `a list of ${values?.length}`, problem, cure });
    return;
  }
  for (const [index, value] of (values ?? []).entries()) {
    const parts = value.split('/');
    const valid =
      parts.length <= 2 &&
      !parts.includes('') &&
      !value.includes('*') &&
      value.length <= MAX_SERVICE_ACCOUNT_LENGTH;
    if (valid) continue;
    const args = {
      value: show(value),
      problem: 'it is not a service account',
      cure: 'Write name or namespace/name.',
    };
    findings.add('LTN2034', `${path}[${index}]`, args);
  }
}

/** `{*}` for one segment and `{**}` for the rest, which must be the last operator. Source: CheckValidPathTemplate. */
function checkPathTemplates(values: readonly string[] | undefined, path: string, findings: Findings): void {
  for (const [index, value] of (values ?? []).entries()) {
    const problem = pathTemplateProblem(value);
    if (problem === '') continue;
    const cure = 'Use {*} for one path segment, or {**} once for the rest.';
    findings.add('LTN2034', `${path}[${index}]`, { value: show(value), problem, cure });
  }
}

function pathTemplateProblem(path: string): string {
  const isTemplate = path.includes('{*}') || path.includes('{**}');
  let restTaken = false;
  for (const segment of path.replace(/^\/+|\/+$/g, '').split('/')) {
    if (segment === '{*}' || segment === '{**}') {
      if (restTaken) return '{**} is not the last operator';
      restTaken = segment === '{**}';
    } else if (/[{}]/.test(segment)) return 'braces stand for {*} and {**} only';
    else if (isTemplate && !PATH_SEGMENT.test(segment))
      return `the segment ${show(segment)} has a character that is not allowed`;
  }
  return '';
}

/**
 * Who a caller is, as RBAC principals: the identity in its certificate, its address, its token's claims, its headers.
 * Identities are matched on the SPIFFE id of the verified peer certificate only.
 * Source: istio pilot/pkg/security/authz/model/{generator,principal,util}.go.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { PrincipalSchema } from '#proto/envoy/config/rbac/v3/rbac_pb.ts';
import {
  type Alternatives,
  each,
  type KeyEntry,
  type Logic,
  nameInBrackets,
  namesInBrackets,
  type RuleContext,
} from './authorization-condition.ts';
import {
  anyValue,
  listWith,
  matchAddress,
  matchExact,
  matchHeader,
  matchMetadata,
  matchPrefix,
  matchPresent,
  matchRegex,
  matchSuffix,
  matchText,
  quoteRegex,
  type StringMatch,
  stringValue,
} from './authorization-matcher.ts';

export type Principal = MessageInitShape<typeof PrincipalSchema>;
type Identifier = NonNullable<Principal['identifier']>;

export const PRINCIPAL_KEY = 'source.principal';
export const TRUST_DOMAIN_KEY = 'source.trustDomain';
export const NAMESPACE_KEY = 'source.namespace';
export const SERVICE_ACCOUNT_KEY = 'source.serviceAccount';
export const SOURCE_IP_KEY = 'source.ip';
export const REMOTE_IP_KEY = 'remote.ip';
export const REQUEST_PRINCIPAL_KEY = 'request.auth.principal';

/** Where the JWT filter leaves what it verified. */
const JWT_FILTER = 'envoy.filters.http.jwt_authn';
const JWT_PAYLOAD = 'payload';
const HEADERS_KEY = 'request.headers';
const CLAIMS_KEY = 'request.auth.claims';

export const PRINCIPAL_LOGIC: Logic<Principal> = {
  any: (parts) => ({ identifier: { case: 'orIds', value: { ids: [...parts] } } }),
  not: (part) => ({ identifier: { case: 'notId', value: part as never } }),
};

/** All parts together; none at all is everybody. */
export function allPrincipals(parts: readonly Principal[]): Principal {
  const ids = parts.length === 0 ? [anyPrincipal()] : [...parts];
  return { identifier: { case: 'andIds', value: { ids } } };
}

export function anyPrincipal(): Principal {
  return { identifier: { case: 'any', value: true } };
}

export const PRINCIPAL_KEYS: readonly KeyEntry<Principal>[] = [
  {
    key: PRINCIPAL_KEY,
    httpOnly: false,
    alternatives: each((text) => identity(matchText(text, 'spiffe://'))),
  },
  { key: NAMESPACE_KEY, httpOnly: false, alternatives: each(namespacePrincipal) },
  { key: SERVICE_ACCOUNT_KEY, httpOnly: false, alternatives: each(serviceAccountPrincipal) },
  { key: TRUST_DOMAIN_KEY, httpOnly: false, alternatives: each(trustDomainPrincipal) },
  {
    key: SOURCE_IP_KEY,
    httpOnly: false,
    alternatives: each((text) => principal('directRemoteIp', matchAddress(text))),
  },
  {
    key: REMOTE_IP_KEY,
    httpOnly: false,
    alternatives: each((text) => principal('remoteIp', matchAddress(text))),
  },
  { key: REQUEST_PRINCIPAL_KEY, httpOnly: true, standsAlone: true, alternatives: each(requestPrincipal) },
  { key: 'request.auth.audiences', httpOnly: true, standsAlone: true, alternatives: claimOf(() => ['aud']) },
  { key: 'request.auth.presenter', httpOnly: true, standsAlone: true, alternatives: claimOf(() => ['azp']) },
  {
    key: `${HEADERS_KEY}[`,
    httpOnly: true,
    alternatives: each((value, _context, key) => {
      const name = nameInBrackets(key.slice(HEADERS_KEY.length));
      return name === undefined ? undefined : principal('header', matchHeader(name, value));
    }),
  },
  {
    key: `${CLAIMS_KEY}[`,
    httpOnly: true,
    standsAlone: true,
    alternatives: claimOf((key) => namesInBrackets(key.slice(CLAIMS_KEY.length))),
  },
];

function principal<C extends Identifier['case']>(
  kind: C,
  value: Extract<Identifier, { case?: C }>['value'] | undefined,
): Principal | undefined {
  return value === undefined ? undefined : { identifier: { case: kind, value } as Identifier };
}

function identity(match: StringMatch): Principal {
  return { identifier: { case: 'authenticated', value: { principalName: match } } };
}

/** A `*` anywhere in a namespace stands for any text. */
function namespacePrincipal(namespace: string): Principal {
  return identity(matchRegex(`.*/ns/${namespace.split('*').map(quoteRegex).join('.*')}/.*`));
}

/** `name` in the policy's own namespace, or `namespace/name`; further parts of a SPIFFE path may stand around them. */
function serviceAccountPrincipal(text: string, context: RuleContext): Principal {
  const slash = text.indexOf('/');
  const namespace = slash < 0 ? context.namespace : text.slice(0, slash);
  const account = text.slice(slash + 1);
  return identity(
    matchRegex(`spiffe://.+/ns/${quoteRegex(namespace)}/(.+/|)sa/${quoteRegex(account)}(/.+)?`),
  );
}

function trustDomainPrincipal(domain: string): Principal {
  if (domain === '*') return identity(matchPrefix('spiffe://'));
  const star = domain.indexOf('*');
  if (star < 0) return identity(matchPrefix(`spiffe://${domain}/`));
  const [before, after] = [domain.slice(0, star), domain.slice(star + 1)];
  return identity(matchRegex(`spiffe://${quoteRegex(before)}[^/]*${quoteRegex(after)}/.*`));
}

/** `issuer/subject` of a verified token; the issuer may hold slashes. A wildcard at either end. */
function requestPrincipal(text: string): Principal {
  const [issuer, subject] = issuerAndSubject(text);
  const claim = (name: string, match: StringMatch): Principal => ({
    identifier: {
      case: 'metadata',
      value: matchMetadata(JWT_FILTER, [JWT_PAYLOAD, name], stringValue(match)),
    },
  });
  return allPrincipals([claim('iss', issuer), claim('sub', subject)]);
}

function issuerAndSubject(text: string): readonly [StringMatch, StringMatch] {
  if (text === '*') return [matchPresent(), matchPresent()];
  const slash = text.lastIndexOf('/');
  const issuer = slash < 0 ? text : text.slice(0, slash);
  const subject = slash < 0 ? '' : text.slice(slash + 1);
  if (text.startsWith('*')) {
    if (slash < 0) return [matchPresent(), matchSuffix(text.slice(1))];
    return [issuer === '*' ? matchPresent() : matchSuffix(issuer.slice(1)), matchExact(subject)];
  }
  if (text.endsWith('*')) {
    if (slash < 0) return [matchPrefix(text.slice(0, -1)), matchPresent()];
    return [matchExact(issuer), subject === '*' ? matchPresent() : matchPrefix(subject.slice(0, -1))];
  }
  return [matchExact(issuer), matchExact(subject)];
}

/** A claim of the token: a text, or a list with such a text in it. */
function claimOf(pathOf: (key: string) => readonly string[] | undefined): Alternatives<Principal> {
  return (values, _context, key) => {
    const path = pathOf(key);
    if (path === undefined) return [undefined];
    const value = anyValue(values.map((text) => stringValue(matchText(text))));
    const either = anyValue([listWith(value), value]);
    return [principal('metadata', matchMetadata(JWT_FILTER, [JWT_PAYLOAD, ...path], either))];
  };
}

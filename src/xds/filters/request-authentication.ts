/**
 * The filter that verifies tokens: a request without one goes on, a request with one that does not verify gets 401. What a
 * valid token says is left in metadata, where policies and routes on claims find it.
 * Source: istio pilot/pkg/security/authn/policy_applier.go convertToEnvoyJwtConfig; Envoy jwt_authn v3.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { sortedBy } from '#base/bytes-order.ts';
import { hasUsableKey } from '#model/jwt-key-set.ts';
import type { TokenRule } from '#model/request-authentication.ts';
import type {
  JwtProviderSchema,
  JwtRequirementSchema,
} from '#proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts';
import { JwtAuthenticationSchema } from '#proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { packAny } from '#xds/encode.ts';
import { httpFilter } from './http-connection-manager.ts';

type Requirement = MessageInitShape<typeof JwtRequirementSchema>;

export interface RequestAuthenticationInput {
  readonly rules: readonly TokenRule[];
  /** Choose the route again once the claims are known: gateways route by them. */
  readonly clearRouteCache: boolean;
}

/** Modulus of an RSA key whose private half was never kept: stands where there are no keys, so that no token verifies (T13). */
const NOBODYS_MODULUS =
  'zHAIUzEBuaj1mxM_d7th2QFDIM_Cgh70RvrI1DYrn1mcn0SIOgI6FAxV5H2k69RlZex339cgGdd2J1NOXC57Rq' +
  'Du4j3C1h2qjH5-NhULQUWmlNQfTFeO0F1i3DxfXMrzibPnrzcvBB9tx4Y9voWmqcgaxSfHBt_oJfAQAfiUlG_u' +
  'qC3gWAxY11JMumSJk4YWWniS4iUHRyYuz65u5ckAZorOiLgKWwY-b3KBZ9I8ZfKh6IYVN7Lr6k7HVHtGmKQ9Yf' +
  '6mMIMBA1V-B06kXYmFOqHoKX1F8bCLgjVm5kgk8O0wQu1oOFvhLSrvQNPhHvBsI7a_FkG67whd2PjtlCU7Ew';

/** The key set of an issuer whose keys are not known, or of which Envoy could not read one. */
export const NOBODYS_KEYS: string = JSON.stringify({ keys: [{ kty: 'RSA', e: 'AQAB', n: NOBODYS_MODULUS }] });

/** Claims that hold several values in one text, by their common meaning (RFC 8693 scope). */
const SPACE_DELIMITED: readonly string[] = ['permission', 'scope'];

/** The filter; none where no rule holds. */
export function buildRequestAuthentication(input: RequestAuthenticationInput): HttpFilter[] {
  if (input.rules.length === 0) return [];
  const names = input.rules.map((_rule, at) => `origins-${at}`);
  const config = create(JwtAuthenticationSchema, {
    providers: Object.fromEntries(
      input.rules.map((rule, at) => [`origins-${at}`, provider(rule, input.clearRouteCache)]),
    ),
    rules: [
      {
        match: { pathSpecifier: { case: 'prefix', value: '/' } },
        requirementType: { case: 'requires', value: requirement(names) },
      },
    ],
    bypassCorsPreflight: true,
  });
  return [httpFilter('envoy.filters.http.jwt_authn', packAny(JwtAuthenticationSchema, config))];
}

function provider(
  { rule, keys }: TokenRule,
  clearRouteCache: boolean,
): MessageInitShape<typeof JwtProviderSchema> {
  const delimited = new Set([...SPACE_DELIMITED, ...(rule.spaceDelimitedClaims ?? [])]);
  return {
    issuer: rule.issuer ?? '',
    audiences: [...(rule.audiences ?? [])],
    forward: rule.forwardOriginalToken ?? false,
    forwardPayloadHeader: rule.outputPayloadToHeader ?? '',
    payloadInMetadata: 'payload',
    normalizePayloadInMetadata: { spaceDelimitedClaims: sortedBy(delimited, (claim) => claim) },
    clearRouteCache,
    claimToHeaders: (rule.outputClaimToHeaders ?? []).map(({ header = '', claim = '' }) => ({
      headerName: header,
      claimName: claim,
    })),
    fromHeaders: (rule.fromHeaders ?? []).map(({ name = '', prefix = '' }) => ({
      name,
      valuePrefix: prefix,
    })),
    fromParams: [...(rule.fromParams ?? [])],
    fromCookies: [...(rule.fromCookies ?? [])],
    jwksSourceSpecifier: {
      case: 'localJwks',
      value: { specifier: { case: 'inlineString', value: hasUsableKey(keys) ? keys : NOBODYS_KEYS } },
    },
  };
}

/**
 * Any one valid token, or for each issuer a valid one or none. The first half lets a token pass that one issuer finds where
 * another looks too and refuses it. Never `allow_missing_or_failed`: an unknown issuer's token is refused (T12).
 */
function requirement(names: readonly string[]): Requirement {
  const validOrMissing = names.map((name) =>
    anyOf([named(name), { requiresType: { case: 'allowMissing', value: {} } }]),
  );
  const [only] = validOrMissing;
  if (validOrMissing.length === 1 && only !== undefined) return only;
  const all: Requirement = {
    requiresType: { case: 'requiresAll', value: { requirements: validOrMissing } },
  };
  return anyOf([...names.map(named), all]);
}

function named(name: string): Requirement {
  return { requiresType: { case: 'providerName', value: name } };
}

function anyOf(requirements: readonly Requirement[]): Requirement {
  return { requiresType: { case: 'requiresAny', value: { requirements: [...requirements] } } };
}

/**
 * Envoy's JWT filter. That a token is genuine is the caller's word: `claims` are those of a token with a good signature; who issued
 * it and for whom is checked here. What it verified lies in metadata, for RBAC and for routes.
 * Source: envoy source/extensions/filters/http/jwt_authn/{filter,verifier,authenticator}.cc.
 */
import type { JsonObject } from '@bufbuild/protobuf';
import type {
  JwtAuthentication,
  JwtProvider,
  JwtRequirement,
} from '#proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts';
import type { Evaluation } from '#simulation/evaluation.ts';
import type { RequestHeaders } from '#simulation/headers.ts';
import { queryParameters } from '#simulation/match/header.ts';
import { matchesString } from '#simulation/match/string.ts';
import { matchesRoute } from '#simulation/route/route-match.ts';
import type { Verdict } from '#simulation/simulated-call.ts';
import { isPreflight } from './cors.ts';
import type { RequestState } from './request-state.ts';
import { chooseRoute } from './route-choice.ts';
import { localStatus, routeOf } from './router.ts';

const FILTER = 'envoy.filters.http.jwt_authn';
const UNAUTHORIZED = 401;
const FORBIDDEN = 403;

/** The refusal, or nothing; the claims of a token that some provider takes are left in metadata. */
export function runJwt(
  evaluation: Evaluation,
  state: RequestState,
  config: JwtAuthentication,
): Verdict | undefined {
  if (config.bypassCorsPreflight && isPreflight(state.headers)) return undefined;
  const requirement = requirementOf(evaluation, state, config);
  if (requirement === undefined) return undefined;
  const check = new RequirementCheck(evaluation, state, config);
  const isMet = check.meets(requirement, []);
  const { claims } = state.call;
  const token = claims === undefined ? 'no token' : `token of ${issuerOf(claims)}`;
  evaluation.note('http-filter', FILTER, `${token}: ${isMet ? 'goes on' : 'refused'}`);
  if (isMet) return undefined;
  const status = localStatus(state, check.isForAnother ? FORBIDDEN : UNAUTHORIZED);
  const route = routeOf(state)?.name ?? '';
  return { kind: 'unauthenticated', status, details: 'jwt_authn_access_denied', route };
}

/** That of the first rule that takes the request. */
function requirementOf(
  evaluation: Evaluation,
  { headers, metadata, peer }: RequestState,
  { rules, requirementMap }: JwtAuthentication,
): JwtRequirement | undefined {
  const subject = {
    headers,
    metadata,
    isTls: peer.isTls,
    hasClientCertificate: peer.certificate !== undefined,
    onUnknown: (what: string) => evaluation.notEvaluated('http-filter', FILTER, what),
  };
  const rule = rules.find(({ match }) => match !== undefined && matchesRoute(match, subject));
  const { requirementType } = rule ?? {};
  if (requirementType?.case === 'requirementName') return requirementMap[requirementType.value];
  return requirementType?.case === 'requires' ? requirementType.value : undefined;
}

class RequirementCheck {
  /** A token of the right issuer is meant for somebody else. */
  isForAnother = false;
  readonly #evaluation: Evaluation;
  readonly #state: RequestState;
  readonly #config: JwtAuthentication;

  constructor(evaluation: Evaluation, state: RequestState, config: JwtAuthentication) {
    this.#evaluation = evaluation;
    this.#state = state;
    this.#config = config;
  }

  /** `siblings` are the providers of the alternatives beside it: a token is missing where none of them finds one. */
  meets({ requiresType }: JwtRequirement, siblings: readonly JwtProvider[]): boolean {
    switch (requiresType.case) {
      case 'providerName':
        return this.#verifies(requiresType.value, undefined);
      case 'providerAndAudiences':
        return this.#verifies(requiresType.value.providerName, requiresType.value.audiences);
      case 'requiresAny': {
        const { requirements } = requiresType.value;
        const providers = requirements.flatMap((one) => this.#providerOf(one) ?? []);
        return requirements.some((one) => this.meets(one, providers));
      }
      case 'requiresAll':
        return requiresType.value.requirements.every((one) => this.meets(one, []));
      case 'allowMissing':
        return siblings.length === 0
          ? this.#state.call.claims === undefined
          : !siblings.some((provider) => this.#finds(provider));
      case 'allowMissingOrFailed':
      case undefined:
        return true;
      default:
        this.#evaluation.notEvaluated('http-filter', FILTER, requiresType.case);
        return true;
    }
  }

  #providerOf({ requiresType }: JwtRequirement): JwtProvider | undefined {
    if (requiresType.case === 'providerName') return this.#provider(requiresType.value);
    if (requiresType.case === 'providerAndAudiences') return this.#provider(requiresType.value.providerName);
    return undefined;
  }

  #provider(name: string): JwtProvider | undefined {
    return Object.hasOwn(this.#config.providers, name) ? this.#config.providers[name] : undefined;
  }

  #finds(provider: JwtProvider): boolean {
    return this.#state.call.claims !== undefined && looksThere(provider, this.#state.headers);
  }

  #verifies(name: string, audiences: readonly string[] | undefined): boolean {
    const provider = this.#provider(name);
    const { claims } = this.#state.call;
    if (provider === undefined || claims === undefined || !this.#finds(provider)) return false;
    if (provider.issuer !== '' && issuerOf(claims) !== provider.issuer) return false;
    const { subjects } = provider;
    if (subjects !== undefined && !matchesString(subjects, String(claims['sub'] ?? ''))) return false;
    if (!isFor(audiences ?? provider.audiences, claims)) {
      this.isForAnother = true;
      return false;
    }
    this.#keep(provider, claims);
    return true;
  }

  #keep(provider: JwtProvider, claims: JsonObject): void {
    const { metadata, headers } = this.#state;
    if (provider.payloadInMetadata !== '') {
      const kept = metadata.get(FILTER) ?? {};
      metadata.set(FILTER, { ...kept, [provider.payloadInMetadata]: normalized(provider, claims) });
    }
    if (!provider.forward && usesDefaultPlace(provider)) headers.remove('authorization');
    for (const { headerName, claimName } of provider.claimToHeaders) {
      const value = claims[claimName];
      if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
        headers.set(headerName, String(value));
      }
    }
    if (provider.clearRouteCache) chooseRoute(this.#evaluation, this.#state);
  }
}

/** Without places of its own a provider looks where tokens are by custom, and there the caller's token is. */
function usesDefaultPlace({ fromHeaders, fromParams, fromCookies }: JwtProvider): boolean {
  return fromHeaders.length + fromParams.length + fromCookies.length === 0;
}

function looksThere(provider: JwtProvider, headers: RequestHeaders): boolean {
  if (usesDefaultPlace(provider)) return true;
  const parameters = queryParameters(headers.path);
  return (
    provider.fromHeaders.some(({ name, valuePrefix }) => headers.get(name)?.includes(valuePrefix) === true) ||
    provider.fromParams.some((name) => parameters.has(name)) ||
    provider.fromCookies.some((name) =>
      headers.values('cookie').some((cookie) => cookie.includes(`${name}=`)),
    )
  );
}

function isFor(audiences: readonly string[], claims: JsonObject): boolean {
  const audience = claims['aud'] ?? [];
  const own = Array.isArray(audience) ? audience : [audience];
  return audiences.length === 0 || audiences.some((one) => own.includes(one));
}

function issuerOf(claims: JsonObject): string {
  return typeof claims['iss'] === 'string' ? claims['iss'] : '';
}

/** Claims that hold several words become lists. */
function normalized({ normalizePayloadInMetadata }: JwtProvider, claims: JsonObject): JsonObject {
  const names = normalizePayloadInMetadata?.spaceDelimitedClaims ?? [];
  const split = names.flatMap((name) => {
    const value = claims[name];
    return typeof value === 'string' ? [[name, value.split(' ').filter((word) => word !== '')] as const] : [];
  });
  return { ...claims, ...Object.fromEntries(split) };
}

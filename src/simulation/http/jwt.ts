/**
 * Envoy's JWT filter. That a token is genuine is the caller's word: `claims` are those of a token with a good signature; who issued
 * it and for whom is checked here. What it verified lies in metadata, for RBAC and for routes.
 * Source: envoy source/extensions/filters/http/jwt_authn/{verifier,authenticator}.cc.
 */
import type { JsonObject } from '@bufbuild/protobuf';
import type {
  JwtAuthentication,
  JwtProvider,
  JwtRequirement,
} from '#proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts';
import type { Evaluation } from '../evaluation.ts';
import { matchesString } from '../match/string.ts';
import { matchesRoute } from '../route/route-match.ts';
import type { Verdict } from '../simulated-call.ts';
import { chooseRoute } from './route-choice.ts';
import type { RequestState } from './request-state.ts';
import { localStatus, routeOf } from './router.ts';

const FILTER = 'envoy.filters.http.jwt_authn';
const UNAUTHORIZED = 401;

/** The refusal, or nothing; the claims of a token that some provider takes are left in metadata. */
export function runJwt(
  evaluation: Evaluation,
  state: RequestState,
  config: JwtAuthentication,
): Verdict | undefined {
  const requirement = requirementOf(evaluation, state, config);
  if (requirement === undefined) return undefined;
  const isMet = new RequirementCheck(evaluation, state, config).meets(requirement);
  const token = state.call.claims === undefined ? 'no token' : `token of ${issuerOf(state.call.claims)}`;
  evaluation.note('http-filter', FILTER, `${token}: ${isMet ? 'goes on' : 'refused'}`);
  if (isMet) return undefined;
  const status = localStatus(state, UNAUTHORIZED);
  return {
    kind: 'unauthenticated',
    status,
    details: 'jwt_authn_access_denied',
    route: routeOf(state)?.name ?? '',
  };
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
  readonly #evaluation: Evaluation;
  readonly #state: RequestState;
  readonly #config: JwtAuthentication;

  constructor(evaluation: Evaluation, state: RequestState, config: JwtAuthentication) {
    this.#evaluation = evaluation;
    this.#state = state;
    this.#config = config;
  }

  meets({ requiresType }: JwtRequirement): boolean {
    const { claims } = this.#state.call;
    switch (requiresType.case) {
      case 'providerName':
        return this.#verifies(requiresType.value, undefined);
      case 'providerAndAudiences':
        return this.#verifies(requiresType.value.providerName, requiresType.value.audiences);
      case 'requiresAny':
        return requiresType.value.requirements.some((one) => this.meets(one));
      case 'requiresAll':
        return requiresType.value.requirements.every((one) => this.meets(one));
      case 'allowMissing':
        return claims === undefined;
      case 'allowMissingOrFailed':
      case undefined:
        return true;
      default:
        this.#evaluation.notEvaluated('http-filter', FILTER, requiresType.case);
        return true;
    }
  }

  #verifies(name: string, audiences: readonly string[] | undefined): boolean {
    const provider = Object.hasOwn(this.#config.providers, name) ? this.#config.providers[name] : undefined;
    const { claims } = this.#state.call;
    if (provider === undefined || claims === undefined) return false;
    if (!accepts(provider, audiences ?? provider.audiences, claims)) return false;
    this.#keep(provider, claims);
    return true;
  }

  #keep(provider: JwtProvider, claims: JsonObject): void {
    const { metadata } = this.#state;
    if (provider.payloadInMetadata !== '') {
      const kept = metadata.get(FILTER) ?? {};
      metadata.set(FILTER, { ...kept, [provider.payloadInMetadata]: normalized(provider, claims) });
    }
    for (const { headerName, claimName } of provider.claimToHeaders) {
      const value = claims[claimName];
      if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
        this.#state.headers.set(headerName, String(value));
      }
    }
    if (provider.clearRouteCache) chooseRoute(this.#evaluation, this.#state);
  }
}

function accepts(provider: JwtProvider, audiences: readonly string[], claims: JsonObject): boolean {
  if (provider.issuer !== '' && issuerOf(claims) !== provider.issuer) return false;
  if (provider.subjects !== undefined && !matchesString(provider.subjects, String(claims['sub'] ?? '')))
    return false;
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

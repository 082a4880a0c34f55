/** The verifiers of other issuers' tokens that the environment names (JWT_RULE, TOKEN_ISSUER), with their keys kept fresh. */
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import { systemRng } from '#base/rng.ts';
import type { AsyncScope } from '#base/disposable.ts';
import type { TokenVerifier } from '#ca/caller.ts';
import { IssuedTokens } from '#ca/issued-tokens.ts';
import type { TokenRule } from '#ca/token-rule.ts';
import { FetchedKeys } from '#controllers/issuer-keys.ts';
import { keyFetcher } from './key-sets.ts';

/** One verifier per rule, in order; `scope` ends the fetching of keys. */
export function openIssuedTokens(
  rules: readonly TokenRule[],
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
  scope: AsyncScope,
): readonly TokenVerifier[] {
  const scoped = log.scope('oidc');
  const fetchText = keyFetcher(false, scoped);
  return rules.map((rule) => {
    const keys = scope.add(new FetchedKeys({ rule, fetchText, clock, rng: systemRng(), log: scoped }));
    const { issuer, audiences } = rule;
    return new IssuedTokens({ issuer, audiences, keys, clock });
  });
}

/** Random RequestAuthentications, and what came of fetching the key sets that they name. */
import fc from 'fast-check';
import type { KeySetState } from '#model/jwt-key-set.ts';
import { all, istioManifests, type Manifest, selector, some } from './mesh-names.ts';

const SOURCES: readonly string[] = ['http://one.example/keys', 'http://two.example/keys'];
const INLINE = '{"keys":[{"kty":"RSA","e":"AQAB","n":"AQAB"}]}';

const rule = fc
  .tuple(
    fc.constantFrom('https://a.example', 'https://b.example'),
    fc.oneof(
      fc.constantFrom(...SOURCES).map((jwksUri) => ({ jwksUri })),
      fc.constantFrom({ jwks: INLINE }, {}),
    ),
    some({
      audiences: fc.constant(['reviews']),
      fromHeaders: fc.constant([{ name: 'x-jwt', prefix: 'JWT ' }]),
      forwardOriginalToken: fc.boolean(),
      outputClaimToHeaders: fc.constant([{ header: 'x-sub', claim: 'sub' }]),
      spaceDelimitedClaims: fc.constant(['roles']),
    }),
  )
  .map(([issuer, keys, more]) => ({ issuer, ...keys, ...more }));

export const TOKEN_KINDS: readonly (readonly [number, fc.Arbitrary<Manifest>])[] = [
  [
    2,
    istioManifests(
      'security',
      'RequestAuthentication',
      fc
        .tuple(
          some({ selector: selector.map((matchLabels) => ({ matchLabels })) }),
          all({ jwtRules: fc.array(rule, { minLength: 1, maxLength: 2 }) }),
        )
        .map(([target, rules]) => ({ ...target, ...rules })),
    ),
  ],
];

/** A key set and its state, in the order of a source collection's `set`. */
export const keySetOutcome: fc.Arbitrary<readonly [string, KeySetState]> = fc.tuple(
  fc.constantFrom(...SOURCES.map((uri) => `uri ${uri}`), 'issuer https://a.example'),
  fc.constantFrom(
    { keys: INLINE, fault: '' },
    { keys: '', fault: 'refused' },
    { keys: INLINE, fault: 'away' },
  ),
);

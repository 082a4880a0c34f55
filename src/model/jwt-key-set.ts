/**
 * Key sets that verify tokens and come from elsewhere: which of them the mesh needs, and what is known of each. A controller
 * fetches what is wanted here and puts the outcome into a source collection; nothing in the model waits for it.
 * Costs one derivation per RequestAuthentication.
 */
import { durationMs } from '#api/duration.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { JwtRule, RequestAuthenticationSpec } from '#api/request-authentication.ts';
import type { Collection, Engine } from '#collections/collection.ts';

/** Where a key set is to be fetched: at a URI, or where the issuer's OpenID discovery document says. */
export interface WantedKeySet {
  readonly uri: string;
  readonly issuer: string;
  readonly timeoutMs: number;
}

/**
 * What is known of a key set: `keys` is the JWKS document that holds now, '' when there never was one; `fault` says why the
 * last attempt failed, '' when it did not. Absent: not tried yet.
 */
export interface KeySetState {
  readonly keys: string;
  readonly fault: string;
}

/** Key sets that are wanted, keyed by `keySetKey`. */
export type WantedKeySets = Collection<WantedKeySet>;

const DEFAULT_TIMEOUT_MS = 5_000;

/** Under what a rule's key set is kept; '' when the keys stand in the rule itself. */
export function keySetKey({ jwks = '', jwksUri = '', issuer = '' }: JwtRule): string {
  if (jwks !== '') return '';
  return jwksUri === '' ? `issuer ${issuer}` : `uri ${jwksUri}`;
}

/** Derives what has to be fetched. Rules that want the same set share it; the first by name of its object decides how long to wait. */
export function createWantedKeySets(
  engine: Engine,
  objects: Collection<MeshObject<RequestAuthenticationSpec>>,
): WantedKeySets {
  return engine.deriveMany('model.wantedKeySets', objects, (_fetch, { spec }) => {
    const wanted = new Map<string, WantedKeySet>();
    for (const rule of spec.jwtRules ?? []) {
      const { issuer = '', jwksUri: uri = '', timeout } = rule;
      const key = keySetKey(rule);
      if (key === '' || wanted.has(key) || (uri === '' && issuer === '')) continue;
      wanted.set(key, { uri, issuer, timeoutMs: durationMs(timeout, DEFAULT_TIMEOUT_MS) });
    }
    return wanted;
  });
}

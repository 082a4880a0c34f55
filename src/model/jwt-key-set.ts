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

/** Fields that a key of a type needs; Envoy refuses a whole listener over a key set in which no key is whole. */
const KEY_FIELDS: Readonly<Record<string, readonly string[]>> = {
  RSA: ['n', 'e'],
  EC: ['crv', 'x', 'y'],
  OKP: ['crv', 'x'],
  oct: ['k'],
};
const BASE64URL = /^[A-Za-z0-9_-]+$/;
/** Of an RSA modulus, in base64url characters: 512 bits. */
const MIN_MODULUS_CHARACTERS = 86;

/** True when the document is a key set with a key that Envoy can read. Source: RFC 7517, RFC 7518 section 6. */
export function hasUsableKey(document: string): boolean {
  try {
    const keys: unknown = (JSON.parse(document) as { keys?: unknown } | null)?.keys;
    return Array.isArray(keys) && keys.some(isUsableKey);
  } catch {
    return false;
  }
}

/** True for a key with everything that its type needs. */
export function isUsableKey(key: unknown): boolean {
  if (typeof key !== 'object' || key === null) return false;
  const fields = key as Readonly<Record<string, unknown>>;
  const { kty, n } = fields;
  const needed = typeof kty === 'string' && Object.hasOwn(KEY_FIELDS, kty) ? KEY_FIELDS[kty] : undefined;
  if (needed === undefined) return false;
  const isWhole = needed.every((name) => {
    const value = fields[name];
    return typeof value === 'string' && BASE64URL.test(value);
  });
  return isWhole && (kty !== 'RSA' || String(n).length >= MIN_MODULUS_CHARACTERS);
}

/**
 * How a registry wants to be asked: nothing, a password, or a token of its token service. Passwords go to the registry and to a
 * token service of the same owner only, never over plain HTTP to another host: what a registry answers must not be able
 * to send them elsewhere (security case T15).
 * Source: distribution specification, token authentication; istio pkg/wasm/imagefetcher.go validateRealmURL.
 */
import { isIP } from 'node:net';
import { Secret } from '#base/secret.ts';
import type { RegistryCredential } from './docker-config.ts';
import { WasmFetchError } from './wasm-error.ts';
import type { Downloader } from './wasm-download.ts';

/** A registry as it is spoken to. */
export interface RegistryOrigin {
  readonly scheme: 'http' | 'https';
  /** Host, and port where there is one. */
  readonly host: string;
}

/** A Bearer challenge. */
interface Challenge {
  readonly realm: string;
  readonly service: string;
  readonly scope: string;
}

const MAX_TOKEN_BYTES = 1 << 20;
const MAX_HEADER_CHARACTERS = 8_192;

/** The authorization header that a 401 asks for; undefined when nothing that we have would help. Errors: WasmFetchError, CallError. */
export async function answerChallenge(
  downloader: Downloader,
  origin: RegistryOrigin,
  challenge: string,
  question: { readonly credential: RegistryCredential | undefined; readonly repository: string },
): Promise<Secret | undefined> {
  const { credential } = question;
  if (credential?.kind === 'token') return new Secret(`Bearer ${credential.token.reveal()}`);
  const text = challenge.slice(0, MAX_HEADER_CHARACTERS);
  if (!/^bearer /i.test(text)) return credential === undefined ? undefined : basic(credential);
  const bearer = readChallenge(text);
  const scope = bearer.scope === '' ? `repository:${question.repository}:pull` : bearer.scope;
  const realm = requireRealm(bearer.realm, origin);
  realm.searchParams.set('scope', scope);
  if (bearer.service !== '') realm.searchParams.set('service', bearer.service);
  const mayKnow = credential !== undefined && isOwn(realm, origin);
  const answer = await downloader.get({
    url: realm.href,
    headers: { accept: 'application/json' },
    authorization: mayKnow ? basic(credential) : undefined,
    maxBytes: MAX_TOKEN_BYTES,
  });
  if (answer.status !== 200) {
    const hint =
      credential !== undefined && !mayKnow ? '; it is no service of the registry and got no password' : '';
    const text = `the token service ${realm.host} answered with status ${answer.status}${hint}`;
    throw new WasmFetchError(text, 'manifest_failure');
  }
  return new Secret(`Bearer ${readToken(answer.body)}`);
}

function basic({ user, password }: RegistryCredential & { readonly kind: 'password' }): Secret {
  return new Secret(`Basic ${Buffer.from(`${user}:${password.reveal()}`).toString('base64')}`);
}

/** `Bearer realm="…",service="…",scope="…"` in any order. */
function readChallenge(text: string): Challenge {
  const parameters = new Map<string, string>();
  for (const [, name = '', quoted, plain] of text.matchAll(/([a-zA-Z]+)=(?:"([^"]*)"|([^",\s]+))/g))
    parameters.set(name.toLowerCase(), quoted ?? plain ?? '');
  const get = (name: string): string => parameters.get(name) ?? '';
  return { realm: get('realm'), service: get('service'), scope: get('scope') };
}

/** A token service must be reached over https, unless it is the registry itself and that isn't. */
function requireRealm(text: string, origin: RegistryOrigin): URL {
  const realm = URL.parse(text);
  const isRegistry = realm?.host === origin.host && realm.protocol === `${origin.scheme}:`;
  if (realm === null || (realm.protocol !== 'https:' && !isRegistry))
    throw new WasmFetchError(
      'the registry names a token service that is not reached over https',
      'manifest_failure',
    );
  return realm;
}

/** The registry itself, or a host beside or above it: auth.docker.io for registry-1.docker.io, gitlab.com for registry.gitlab.com. */
function isOwn(realm: URL, { host }: RegistryOrigin): boolean {
  if (realm.host === host) return true;
  const registry = host.replace(/:[0-9]+$/, '');
  const dot = registry.indexOf('.');
  const parent = registry.slice(dot + 1);
  if (dot < 0 || isIP(registry) !== 0 || !parent.includes('.')) return false;
  return realm.hostname === parent || realm.hostname.endsWith(`.${parent}`);
}

function readToken(body: Buffer): string {
  try {
    const { token, access_token: accessToken } = JSON.parse(body.toString('utf8')) as Readonly<
      Record<string, unknown>
    >;
    const found = token ?? accessToken;
    if (typeof found === 'string' && /^[!-~]+$/.test(found)) return found;
  } catch {
    // Said below, without a word of what came.
  }
  throw new WasmFetchError('the token service gave no token', 'manifest_failure');
}

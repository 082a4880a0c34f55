/**
 * Credentials for registries out of a Docker configuration, as pull secrets hold it. Never throws for what it reads, never
 * prints it.
 * Source: docker/cli config/configfile GetAuthConfig; kubernetes.io/dockerconfigjson.
 */
import { fail, ok, type Result } from '#base/result.ts';
import { Secret } from '#base/secret.ts';
import { DOCKER_HUB } from './image-reference.ts';
import type { JsonObject, JsonValue } from './json-value.ts';
import { isObject } from './proxy-config.ts';

/** What a registry wants to see. */
export type RegistryCredential =
  | { readonly kind: 'password'; readonly user: string; readonly password: Secret }
  /** A token for the registry itself. */
  | { readonly kind: 'token'; readonly token: Secret };

const DOCKER_HUB_KEY = 'https://index.docker.io/v1/';
const MAX_BYTES = 1 << 20;

/** The credential for a registry; undefined when the configuration has none. Errors: a text without any of the content. */
export function credentialFor(
  configuration: Secret,
  registry: string,
): Result<RegistryCredential | undefined, string> {
  const text = configuration.reveal();
  if (Buffer.byteLength(text) > MAX_BYTES) return fail('the pull secret is too large');
  const auths = authsOf(text);
  if (auths === undefined) return fail('the pull secret is no Docker configuration');
  const wanted = registry === DOCKER_HUB ? DOCKER_HUB_KEY : registry;
  const exact = auths.find(([key]) => key === wanted);
  const [, entry] = exact ?? auths.find(([key]) => hostOf(key) === hostOf(wanted)) ?? [];
  return ok(isObject(entry) ? credentialOf(entry) : undefined);
}

function authsOf(text: string): readonly (readonly [string, JsonValue])[] | undefined {
  try {
    const config = JSON.parse(text) as JsonValue;
    if (!isObject(config)) return undefined;
    const auths = new Map(Object.entries(config)).get('auths') ?? {};
    return isObject(auths) ? Object.entries(auths) : undefined;
  } catch {
    return undefined;
  }
}

/** Keys are hosts, or URLs from the time of the first registry API. */
function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

function credentialOf(entry: JsonObject): RegistryCredential | undefined {
  const fields = new Map(Object.entries(entry));
  const text = (name: string): string => {
    const value = fields.get(name);
    return typeof value === 'string' ? value : '';
  };
  const token = text('registrytoken');
  if (token !== '') return { kind: 'token', token: new Secret(token) };
  const both = Buffer.from(text('auth'), 'base64').toString('utf8');
  const colon = both.indexOf(':');
  // One text for both, where Docker itself wrote the file.
  const user = colon < 0 ? text('username') : both.slice(0, colon);
  const password = colon < 0 ? text('password') : both.slice(colon + 1);
  return user === '' ? undefined : { kind: 'password', user, password: new Secret(password) };
}

/** Names of images, and whose password is for which registry. */
import { deepStrictEqual } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Secret } from '#base/secret.ts';
import { credentialFor } from './docker-config.ts';
import { digestHex, parseImageReference } from './image-reference.ts';

const DIGEST = `sha256:${'a1'.repeat(32)}`;
const NAMES: readonly (readonly [text: string, expected: string])[] = [
  ['registry.example.com/a/b:1.0', 'registry.example.com a/b 1.0'],
  ['registry.example.com:5000/b', 'registry.example.com:5000 b latest'],
  ['localhost/b', 'localhost b latest'],
  [`host:1/b:tag@${DIGEST}`, `host:1 b ${DIGEST}`],
  ['b', 'index.docker.io library/b latest'],
  ['me/b:x', 'index.docker.io me/b x'],
  ['docker.io/b', 'index.docker.io library/b latest'],
  ['[::1]:5000/b', '[::1]:5000 b latest'],
  ['registry.example.com/', 'refused'],
  ['registry.example.com/B', 'refused'],
  ['registry.example.com/a/../b', 'refused'],
  ['registry.example.com/a?x=y', 'refused'],
  ['user:pass@registry.example.com/a', 'refused'],
  ['registry.example.com/a@md5:x', 'refused'],
  ['', 'refused'],
  ['a'.repeat(2000), 'refused'],
];

describe('the name of an image', () => {
  for (const [text, expected] of NAMES) {
    it(text.slice(0, 60) || '(empty)', () => {
      const image = parseImageReference(text);
      const shown = image.ok
        ? `${image.value.registry} ${image.value.repository} ${image.value.reference}`
        : 'refused';
      deepStrictEqual(shown, expected);
    });
  }

  it('has a digest or none', () => {
    const digests = [`a.b/c@${DIGEST}`, 'a.b/c:1'].map((text) => {
      const image = parseImageReference(text);
      return image.ok ? digestHex(image.value) : '?';
    });
    deepStrictEqual(digests, ['a1'.repeat(32), '']);
  });
});

const AUTH = Buffer.from('me:pass:word').toString('base64');
const SECRETS: readonly (readonly [
  name: string,
  configuration: unknown,
  registry: string,
  expected: string,
])[] = [
  ['user and password in one', { auths: { 'a.b': { auth: AUTH } } }, 'a.b', 'me pass:word'],
  ['user and password apart', { auths: { 'a.b': { username: 'me', password: 'p' } } }, 'a.b', 'me p'],
  ['a URL as key', { auths: { 'https://a.b/v2/': { auth: AUTH } } }, 'a.b', 'me pass:word'],
  ['ports count', { auths: { 'a.b:1': { auth: AUTH } } }, 'a.b', 'none'],
  ['another registry', { auths: { 'c.d': { auth: AUTH } } }, 'a.b', 'none'],
  [
    'Docker Hub',
    { auths: { 'https://index.docker.io/v1/': { auth: AUTH } } },
    'index.docker.io',
    'me pass:word',
  ],
  ['a token', { auths: { 'a.b': { registrytoken: 'tok' } } }, 'a.b', 'tok'],
  ['an entry without anything', { auths: { 'a.b': {} } }, 'a.b', 'none'],
  ['no entries', {}, 'a.b', 'none'],
  ['names of prototypes', { auths: { __proto__: { auth: AUTH } } }, 'constructor', 'none'],
  ['not an object', 'text', 'a.b', 'the pull secret is no Docker configuration'],
];

describe('the credential for a registry', () => {
  for (const [name, configuration, registry, expected] of SECRETS) {
    it(name, () => {
      const found = credentialFor(new Secret(JSON.stringify(configuration)), registry);
      deepStrictEqual(found.ok ? shown(found.value) : found.error, expected);
    });
  }

  it('is not looked for in what is no JSON, and nothing of that is told', () => {
    deepStrictEqual(credentialFor(new Secret('{"auths": secret'), 'a.b'), {
      ok: false,
      error: 'the pull secret is no Docker configuration',
    });
  });
});

type Credential = Extract<ReturnType<typeof credentialFor>, { ok: true }>['value'];

function shown(credential: Credential): string {
  if (credential === undefined) return 'none';
  return credential.kind === 'token'
    ? credential.token.reveal()
    : `${credential.user} ${credential.password.reveal()}`;
}

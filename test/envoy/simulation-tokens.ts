/** Tokens with good signatures, of an issuer that policies know and of one that they do not. */
import type { JsonObject } from '@bufbuild/protobuf';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

export const ISSUER = 'https://issuer.example.com';

/** A token and what it says. */
export interface Token {
  readonly text: string;
  readonly claims: JsonObject;
}

export interface TokenSet {
  /** The issuers' common key set, as text. */
  readonly jwks: string;
  readonly tokens: readonly Token[];
}

const CLAIMS: readonly JsonObject[] = [
  { iss: ISSUER, sub: 'alice', aud: 'api', groups: ['dev', 'ops'], scope: 'read write' },
  { iss: ISSUER, sub: 'bob', aud: ['other', 'api'], groups: 'dev', nested: { role: 'admin' } },
  { iss: ISSUER, sub: 'carol', aud: 'elsewhere', scope: 'write' },
  { iss: 'https://nobody.example.com', sub: 'alice', aud: 'api' },
];

export async function createTokens(): Promise<TokenSet> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const key = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256' };
  const sign = (claims: JsonObject): Promise<string> =>
    new SignJWT({ ...claims }).setProtectedHeader({ alg: 'ES256', kid: 'one' }).sign(privateKey);
  const tokens = CLAIMS.map(async (claims) => ({ text: await sign(claims), claims }));
  return { jwks: JSON.stringify({ keys: [key] }), tokens: await Promise.all(tokens) };
}

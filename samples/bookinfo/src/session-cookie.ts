/**
 * The product page's session: the user's name in a cookie, signed (HMAC-SHA256) so that nobody can make one up.
 * A demo: anybody may sign in under any name. Forged or damaged cookies read as "not signed in".
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

const cookieName = 'session';
const attributes = 'Path=/; HttpOnly; SameSite=Lax';
const maxUserLength = 64;

/** The Set-Cookie value that signs the user in. */
export function signInCookie(user: string, key: string): string {
  const payload = Buffer.from(user).toString('base64url');
  return `${cookieName}=${payload}.${signature(payload, key)}; ${attributes}`;
}

/** The Set-Cookie value that signs out. */
export function signOutCookie(): string {
  return `${cookieName}=; Max-Age=0; ${attributes}`;
}

/** Makes a typed-in name fit for a session: no control characters, 64 characters at most. May leave it empty. */
export function cleanUserName(text: string): string {
  return text
    .replaceAll(/\p{Cc}/gu, '')
    .trim()
    .slice(0, maxUserLength)
    .toWellFormed();
}

/** The signed-in user of a Cookie header; undefined when there is none that we signed. */
export function findUser(cookieHeader: string | undefined, key: string): string | undefined {
  for (const pair of (cookieHeader ?? '').split(';')) {
    const [name, value = ''] = pair.trim().split('=', 2);
    const [payload = '', mac = ''] = value.split('.', 2);
    if (name === cookieName && payload !== '' && matches(mac, signature(payload, key))) {
      return Buffer.from(payload, 'base64url').toString();
    }
  }
  return undefined;
}

function signature(payload: string, key: string): string {
  return createHmac('sha256', key).update(payload).digest('base64url');
}

function matches(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

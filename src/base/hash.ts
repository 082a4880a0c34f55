/**
 * Fingerprints of bytes and text. The 16-digit form names versions (an accident is as good as impossible, an attacker
 * could make a collision); whatever must withstand an attacker, such as a cache key, takes the whole SHA-256.
 */
import { hash } from 'node:crypto';

/** SHA-256 as 64 hex digits; text is hashed as UTF-8. */
export function sha256Hex(data: string | Uint8Array): string {
  return hash('sha256', data, 'hex');
}

/** The first 16 hex digits of SHA-256: short versions and names. */
export function hashHex(data: string | Uint8Array): string {
  return sha256Hex(data).slice(0, 16);
}

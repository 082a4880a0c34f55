/**
 * PEM armour, read with bounds: what arrives here comes from files and from the network. Linear in the text;
 * anything between blocks (comments of openssl, blank lines) is skipped, a broken block is an error.
 */
import { fail, ok, type Result } from '#base/result.ts';

/** One block: its label (`CERTIFICATE`) and its bytes. */
export interface PemBlock {
  readonly label: string;
  readonly bytes: Buffer;
}

/** Why a text is no PEM. */
export type PemError = 'too large' | 'too many blocks' | 'no block' | 'broken block';

/** Bounds that hold for every certificate chain, request and key that we read. */
export const pemLimits = { sizeBytes: 256 * 1024, blocks: 100 };

const beginMark = '-----BEGIN ';
const dashes = '-----';
const base64Pattern = /^[A-Za-z0-9+/]+={0,2}$/;

/** Wraps bytes in armour, lines of 64 characters, with a final newline. */
export function encodePem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `${beginMark}${label}${dashes}\n${lines.join('\n')}\n-----END ${label}${dashes}\n`;
}

/** Reads all blocks. Errors: PemError; a text without any block is an error too. */
export function parsePem(
  text: string,
  limitBytes: number = pemLimits.sizeBytes,
): Result<readonly PemBlock[], PemError> {
  if (text.length > limitBytes) return fail('too large');
  const blocks: PemBlock[] = [];
  for (let at = text.indexOf(beginMark); at >= 0; at = text.indexOf(beginMark, at)) {
    if (blocks.length === pemLimits.blocks) return fail('too many blocks');
    const labelEnd = text.indexOf(dashes, at + beginMark.length);
    if (labelEnd < 0) return fail('broken block');
    const label = text.slice(at + beginMark.length, labelEnd);
    const endMark = `-----END ${label}${dashes}`;
    const bodyEnd = text.indexOf(endMark, labelEnd);
    if (bodyEnd < 0) return fail('broken block');
    const body = text.slice(labelEnd + dashes.length, bodyEnd).replace(/\s+/g, '');
    if (!base64Pattern.test(body)) return fail('broken block');
    blocks.push({ label, bytes: Buffer.from(body, 'base64') });
    at = bodyEnd + endMark.length;
  }
  return blocks.length === 0 ? fail('no block') : ok(blocks);
}

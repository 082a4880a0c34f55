/** Byte arrays joined into one. */

/** One allocation and one copy. Not from Buffer's pool: what is joined here lives long and must not hold a pool's page. */
export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  let sizeBytes = 0;
  for (const part of parts) sizeBytes += part.length;
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

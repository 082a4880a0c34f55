/**
 * Files of Kubernetes' downward API: one `name="value"` per line, values quoted as Go does. Lines that do not read so are
 * left out, so that one odd annotation costs nothing else.
 */

/** Reads the entries of a downward API file. */
export function parseDownwardFile(text: string): ReadonlyMap<string, string> {
  const entries = new Map<string, string>();
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    const value = equals < 0 ? undefined : unquote(line.slice(equals + 1));
    if (value !== undefined) entries.set(line.slice(0, equals), value);
  }
  return entries;
}

/** Go's %q is JSON's string form but for \a, \v, \x and \U, which are brought to \u first. */
function unquote(quoted: string): string | undefined {
  const json = quoted.replace(/\\(\\|"|a|v|x[0-9a-f]{2}|U[0-9a-f]{8})/g, (whole, escape: string) => {
    if (escape === 'a') return '\\u0007';
    if (escape === 'v') return '\\u000b';
    if (escape.startsWith('x')) return `\\u00${escape.slice(1)}`;
    if (escape.startsWith('U')) return JSON.stringify(codePoint(escape.slice(1))).slice(1, -1);
    return whole;
  });
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

function codePoint(hex: string): string {
  const value = Number.parseInt(hex, 16);
  return value > 0x10ffff ? '\ufffd' : String.fromCodePoint(value);
}

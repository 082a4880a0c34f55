/** Differences of two JSON values in words, `path: want … got …`; key order does not count, absent and undefined are one. */

const MAX_TEXT = 160;

/** Adds differences to `found`. */
export function findDifferences(path: string, want: unknown, got: unknown, found: string[]): void {
  if (isPlain(want) && isPlain(got)) {
    for (const key of new Set([...Object.keys(want), ...Object.keys(got)])) {
      findDifferences(path === '' ? key : `${path}.${key}`, want[key], got[key], found);
    }
  } else if (Array.isArray(want) && Array.isArray(got) && want.length === got.length) {
    for (const [index, item] of want.entries()) findDifferences(`${path}[${index}]`, item, got[index], found);
  } else if (sortedJson(want) !== sortedJson(got)) found.push(`${path}: want ${cut(want)} got ${cut(got)}`);
}

/** JSON with sorted keys. */
export function sortedJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    isPlain(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  );
}

function cut(value: unknown): string {
  const text = sortedJson(value) ?? 'nothing';
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

export function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

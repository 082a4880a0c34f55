/**
 * Field paths as findings carry them: `spec.http[0].match[1].headers["x-user"]`.
 * Keys that are not plain identifiers stand in brackets as JSON strings, so that a path can be taken apart again.
 */

const PLAIN_KEY = /^[A-Za-z_$][A-Za-z0-9_$-]*$/;
const STEP = /\.?([A-Za-z_$][A-Za-z0-9_$-]*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/y;

/** The path of field `key` of the object at `parent`. */
export function fieldPath(parent: string, key: string): string {
  if (!PLAIN_KEY.test(key)) return `${parent}[${JSON.stringify(key)}]`;
  return parent === '' ? key : `${parent}.${key}`;
}

/** The steps of a path: strings for fields, numbers for list items; stops at the first malformed step. */
export function parseFieldPath(path: string): (string | number)[] {
  const steps: (string | number)[] = [];
  const step = new RegExp(STEP);
  while (step.lastIndex < path.length) {
    const match = step.exec(path);
    if (match === null) break;
    const [, key, index, quoted] = match;
    if (key !== undefined) steps.push(key);
    else if (index !== undefined) steps.push(Number(index));
    else steps.push(JSON.parse(quoted as string) as string);
  }
  return steps;
}

/**
 * Reads samples out of Prometheus' text format: only those whose name begins as asked, since a proxy prints many more. Lines that do
 * not read as samples are left out. Pure.
 */

/** One sample. */
export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

const LABEL = /([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** Samples whose name begins with `prefix`. */
export function parseSamples(text: string, prefix: string): readonly Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    const sample = line.startsWith(prefix) ? parseSample(line) : undefined;
    if (sample !== undefined) samples.push(sample);
  }
  return samples;
}

function parseSample(line: string): Sample | undefined {
  const open = line.indexOf('{');
  const close = line.lastIndexOf('}');
  const nameEnd = open < 0 ? line.indexOf(' ') : open;
  if (nameEnd <= 0 || (open >= 0 && close < open)) return undefined;
  const value = Number(
    line
      .slice(Math.max(nameEnd, close + 1))
      .trim()
      .split(' ')[0],
  );
  if (Number.isNaN(value)) return undefined;
  const labels = new Map<string, string>();
  if (open >= 0) {
    for (const [, key = '', quoted = ''] of line.slice(open + 1, close).matchAll(LABEL))
      labels.set(key, unescape(quoted));
  }
  return { name: line.slice(0, nameEnd), labels, value };
}

function unescape(quoted: string): string {
  return quoted.includes('\\')
    ? quoted.replace(/\\(.)/g, (_whole, next: string) => (next === 'n' ? '\n' : next))
    : quoted;
}

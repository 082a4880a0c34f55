/**
 * Environment variables of Istio's programs, as a table that people and programs read: what each is by default, and whether we
 * heed it. A program holds its environment against its table at start, so that nothing is ignored in silence.
 */

/** `honoured`: does what it does in Istio. `no effect`: changes nothing here. `refused`: another value than the default ends the start. */
export type VariableStatus = 'honoured' | 'no effect' | 'refused';

/** One row. */
export interface VariableEntry {
  readonly name: string;
  /** Istio's default as it would be written; '' for none. */
  readonly fallback: string;
  readonly status: VariableStatus;
  /** What it is about, or why it has no effect. */
  readonly note: string;
}

/** What is to be said about an environment. */
export interface VariableFindings {
  /** Set, named like one of Istio's, and none of them. */
  readonly unknown: readonly string[];
  /** Set to something else than the default. */
  readonly withoutEffect: readonly VariableEntry[];
  readonly refused: readonly VariableEntry[];
}

const STATUS: Readonly<Record<string, VariableStatus>> = {
  yes: 'honoured',
  no: 'no effect',
  never: 'refused',
};
/** What Kubernetes puts into pods for each Service of the namespace. */
const SERVICE_LINK = /_(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_.*)?)?)$/;

/** Reads rows `NAME | default | yes, no or never | note`. Errors: throws for a row that is none: a bug. */
export function parseVariableTable(text: string): readonly VariableEntry[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const [name = '', fallback = '', word = '', note = '', ...rest] = line
      .split('|')
      .map((part) => part.trim());
    const status = STATUS[word];
    if (!/^[A-Z0-9_]+$/.test(name) || status === undefined || rest.length > 0)
      throw new Error(`no row: ${line}`);
    return { name, fallback, status, note };
  });
}

/** Holds an environment against a table; `prefixes` say which names look like Istio's. */
export function judgeVariables(
  environment: Readonly<Record<string, string | undefined>>,
  entries: readonly VariableEntry[],
  prefixes: readonly string[],
): VariableFindings {
  const known = new Set(entries.map(({ name }) => name));
  const changed = entries.filter(({ name, fallback }) => {
    const value = environment[name] ?? '';
    return value !== '' && value !== fallback;
  });
  const names = Object.keys(environment).sort();
  return {
    unknown: names.filter(
      (name) =>
        prefixes.some((prefix) => name.startsWith(prefix)) && !known.has(name) && !SERVICE_LINK.test(name),
    ),
    withoutEffect: changed.filter(({ status }) => status === 'no effect'),
    refused: changed.filter(({ status }) => status === 'refused'),
  };
}

/** The findings in words: what is only told, and what ends the start. */
export function printVariableFindings({ unknown, withoutEffect, refused }: VariableFindings): {
  readonly warnings: readonly string[];
  readonly errors: readonly string[];
} {
  return {
    warnings: [
      ...unknown.map((name) => `the variable ${name} is not known here, nor in Istio`),
      ...withoutEffect.map(({ name, note }) => `the variable ${name} has no effect here: ${note}`),
    ],
    errors: refused.map(({ name, fallback, note }) => {
      const cure = fallback === '' ? `unset ${name}` : `unset ${name}, or leave it at ${fallback}`;
      return `the variable ${name} cannot be heeded: ${note}; ${cure}`;
    }),
  };
}

/**
 * The catalogue of diagnostics: code -> severity, text, cure. A Diagnostic carries code and args only; this file turns
 * them into words, so that validate, apply, analyze, the webhook, status and the dashboard say the same.
 * LTN1xxx: reading and schema. LTN2xxx: rules of Istio's kinds. LTN3xxx: core kinds and LocalWorkload. LTN4xxx: mesh config.
 * IST: Istio's own messages, under Istio's codes. Texts of one range lie together in diagnostic-texts-*.ts.
 */
import type { Diagnostic, Severity } from './diagnostic.ts';
import { CORE_TEXTS } from './diagnostic-texts-core.ts';
import { ENVOY_FILTER_TEXTS } from './diagnostic-texts-envoy-filter.ts';
import { ISTIO_TEXTS } from './diagnostic-texts-istio.ts';
import { MESH_TEXTS } from './diagnostic-texts-mesh.ts';
import { READ_TEXTS } from './diagnostic-texts-read.ts';
import { RULE_TEXTS } from './diagnostic-texts-rules.ts';
import { type ObjectRef, printObjectRef } from './object-ref.ts';

/** One kind of finding. `{name}` in a template stands for the argument of that name. */
export interface DiagnosticEntry {
  readonly severity: Severity;
  readonly text: string;
  /** What to do about it: the first template of which every argument is given is shown. */
  readonly cures: readonly string[];
  /** The version of Lateen that first had this code. */
  readonly since: string;
}

const CATALOG = {
  ...READ_TEXTS,
  ...RULE_TEXTS,
  ...ENVOY_FILTER_TEXTS,
  ...CORE_TEXTS,
  ...MESH_TEXTS,
  ...ISTIO_TEXTS,
} as const;

/** Every code of the catalogue. */
export type DiagnosticCode = keyof typeof CATALOG;

/** Where a finding belongs: the object, and the field path within it ('' for the whole object). */
export interface DiagnosticPlace {
  readonly resource?: ObjectRef;
  readonly path?: string;
}

/** Looks up a code; undefined for a code of another version. */
export function findDiagnosticEntry(code: string): DiagnosticEntry | undefined {
  return Object.hasOwn(CATALOG, code) ? CATALOG[code as DiagnosticCode] : undefined;
}

/** All codes with their entries, by code. */
export function diagnosticEntries(): readonly (readonly [DiagnosticCode, DiagnosticEntry])[] {
  return (Object.keys(CATALOG) as DiagnosticCode[]).sort().map((code) => [code, CATALOG[code]] as const);
}

/** Makes a diagnostic with the severity that the catalogue gives the code. */
export function makeDiagnostic(
  code: DiagnosticCode,
  place: DiagnosticPlace,
  args: Readonly<Record<string, string>> = {},
): Diagnostic {
  return { code, severity: CATALOG[code].severity, ...place, args };
}

/** The finding in words, without place and code. */
export function diagnosticText(diagnostic: Diagnostic): string {
  const entry = findDiagnosticEntry(diagnostic.code);
  return entry === undefined ? printArgs(diagnostic.args) : fill(entry.text, diagnostic.args);
}

/** What to do about it, '' when the catalogue has no advice for these arguments. */
export function diagnosticCure(diagnostic: Diagnostic): string {
  const entry = findDiagnosticEntry(diagnostic.code);
  const cure = entry?.cures.find((template) => placeholders(template).every((name) => diagnostic.args[name]));
  return cure === undefined ? '' : fill(cure, diagnostic.args);
}

/**
 * The code under which `istioctl analyze` reports the finding: IST codes stand for themselves, errors of ours are
 * IST0106 (schema validation error), warnings IST0133 (schema validation warning); '' for notes.
 */
export function istioCode(diagnostic: Diagnostic): string {
  if (diagnostic.code.startsWith('IST')) return diagnostic.code;
  if (diagnostic.severity === 'error') return 'IST0106';
  return diagnostic.severity === 'warning' ? 'IST0133' : '';
}

/** The finding as two lines: `file:line:column: error LTN1002: text (object, path)` and the cure, indented. */
export function printDiagnostic(diagnostic: Diagnostic): string {
  const { at, resource, path, severity, code } = diagnostic;
  const place = at === undefined ? '' : `${at.file}:${at.line}:${at.column}: `;
  const object = resource === undefined || resource.name === '' ? '' : printObjectRef(resource);
  const where = [object, path ?? ''].filter((part) => part !== '').join(', ');
  const line = `${place}${severity} ${code}: ${diagnosticText(diagnostic)}${where === '' ? '' : ` (${where})`}`;
  const cure = diagnosticCure(diagnostic);
  return cure === '' ? line : `${line}\n  ${cure}`;
}

/** True when one of the findings is an error. */
export function hasErrors(diagnostics: readonly Diagnostic[]): boolean {
  return diagnostics.some((diagnostic) => diagnostic.severity === 'error');
}

const PLACEHOLDER = /\{([a-zA-Z]+)\}/g;

function placeholders(template: string): string[] {
  return [...template.matchAll(PLACEHOLDER)].map((match) => match[1] as string);
}

function fill(template: string, args: Readonly<Record<string, string>>): string {
  return template.replace(PLACEHOLDER, (_whole, name: string) =>
    Object.hasOwn(args, name) ? (args[name] ?? '') : '',
  );
}

function printArgs(args: Readonly<Record<string, string>>): string {
  return Object.entries(args)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

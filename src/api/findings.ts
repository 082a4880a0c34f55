/**
 * Collects the findings about one object while it is decoded and validated. Never stops at the first one (law 8);
 * stops counting at a limit, so that a hostile object cannot fill memory with complaints about itself.
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import { type DiagnosticCode, makeDiagnostic } from '#base/diagnostic-catalog.ts';
import type { ObjectRef } from '#base/object-ref.ts';

const MAX_FINDINGS = 200;
/** Values are shown in findings up to this length. */
const MAX_SHOWN_LENGTH = 80;

/** The findings about one object, in the order in which they were made. */
export class Findings {
  readonly #diagnostics: Diagnostic[] = [];
  readonly #resource: ObjectRef | undefined;

  /** `resource` may be a whole object: only its name is kept, so that a finding never carries what the object says. */
  constructor(resource?: ObjectRef) {
    if (resource === undefined) return;
    const { kind, namespace, name } = resource;
    this.#resource = { kind, namespace, name };
  }

  /** All findings so far. */
  get all(): Diagnostic[] {
    return this.#diagnostics;
  }

  get hasErrors(): boolean {
    return this.#diagnostics.some((diagnostic) => diagnostic.severity === 'error');
  }

  /** Adds a finding about the field at `path`. */
  add(code: DiagnosticCode, path: string, args: Readonly<Record<string, string>> = {}): void {
    if (this.#diagnostics.length > MAX_FINDINGS) return;
    const place = this.#resource === undefined ? { path } : { resource: this.#resource, path };
    if (this.#diagnostics.length === MAX_FINDINGS) {
      this.#diagnostics.push(makeDiagnostic('LTN1015', place, { limit: String(MAX_FINDINGS) }));
      return;
    }
    this.#diagnostics.push(makeDiagnostic(code, place, args));
  }

  /** Adds a finding about a missing field. */
  missing(path: string, field: string, example = ''): void {
    this.add('LTN1012', path, { field, example });
  }
}

/** A value of a user's file as it is shown in a finding: quoted, and cut where it is long. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length <= MAX_SHOWN_LENGTH ? text : `${text.slice(0, MAX_SHOWN_LENGTH)}…`;
}

/** The type of a JSON value in words: what a "wrong type" finding says was found. */
export function typeOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  switch (typeof value) {
    case 'string':
      return `the text ${show(value)}`;
    case 'number':
      return `the number ${value}`;
    case 'boolean':
      return `${value}`;
    default:
      return 'an object';
  }
}

/**
 * A user's mistake as data (law 8). One shape for validate, apply, analyze, the webhook, status and the
 * dashboard. Texts live in the catalogue (diagnostic-catalog.ts), so that code and args are what is compared.
 */
import type { ObjectRef } from './object-ref.ts';

export type Severity = 'error' | 'warning' | 'info';

/** A place in a user's file; line and column count from 1. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One finding about one object or file. `path` is a field path such as `spec.http[0].route[1].weight`. */
export interface Diagnostic {
  readonly code: string;
  readonly severity: Severity;
  readonly resource?: ObjectRef;
  readonly path?: string;
  readonly args: Readonly<Record<string, string>>;
  readonly at?: SourcePosition;
}

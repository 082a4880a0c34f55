/**
 * Rules for StringMatch: exact, prefix or regular expression. Used by matches, CORS origins and the like.
 */
import { checkRegex } from './field-rules.ts';
import type { Findings } from './findings.ts';
import type { StringMatch } from './virtual-service.ts';

/** Exact, prefix or regex; the latter two must not be empty. */
export function checkStringMatch(match: StringMatch | undefined, path: string, findings: Findings): void {
  if (match?.prefix === '') findings.add('LTN2054', `${path}.prefix`);
  checkStringMatchRegex(match, path, findings);
}

/** The regular expression of a match, if it is one. */
export function checkStringMatchRegex(
  match: StringMatch | undefined,
  path: string,
  findings: Findings,
): void {
  if (match?.regex === undefined) return;
  if (match.regex === '') findings.add('LTN2054', `${path}.regex`);
  else checkRegex(match.regex, `${path}.regex`, findings);
}

/**
 * Users' regular expressions as Envoy reads them: RE2, always on the whole text. Compiled once per matcher message; a user's
 * regex never meets RegExp. A corpus is checked against Envoy itself in test/envoy/simulation-regex.test.ts.
 */
import { RE2JS } from 're2js';
import { identityMemo } from '#collections/identity-memo.ts';
import type { RegexMatchAndSubstitute, RegexMatcher } from '#proto/envoy/type/matcher/v3/regex_pb.ts';

/** The compiled expression; undefined for what RE2 refuses, which Envoy never takes. */
const compile = identityMemo(({ regex }: RegexMatcher): RE2JS | undefined => {
  try {
    return RE2JS.compile(regex);
  } catch {
    return undefined;
  }
});

/** True when the whole text matches. */
export function matchesRegex(matcher: RegexMatcher, text: string): boolean {
  return compile(matcher)?.matches(text) ?? false;
}

/**
 * Replaces every match by the substitution, in which `\1` is a group. Source: RE2::GlobalReplace, which finds no empty match
 * right behind another match.
 */
export function replaceAll({ pattern, substitution }: RegexMatchAndSubstitute, text: string): string {
  const compiled = pattern === undefined ? undefined : compile(pattern);
  if (compiled === undefined) return text;
  const matcher = compiled.matcher(text);
  let result = '';
  let copied = 0;
  let lastEnd = -1;
  while (matcher.find()) {
    const start = matcher.start();
    const end = matcher.end();
    if (start === end && start === lastEnd) continue;
    result += text.slice(copied, start) + substitute(substitution, (group) => matcher.group(group) ?? '');
    copied = end;
    lastEnd = end;
  }
  return result + text.slice(copied);
}

function substitute(substitution: string, group: (index: number) => string): string {
  return substitution.replace(/\\([0-9\\])/g, (_all, what: string) =>
    what === '\\' ? '\\' : group(Number(what)),
  );
}

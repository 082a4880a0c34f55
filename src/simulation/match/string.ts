/** Envoy's StringMatcher. Source: envoy source/common/common/matchers.h StringMatcherImpl. */
import type { StringMatcher } from '#proto/envoy/type/matcher/v3/string_pb.ts';
import { matchesRegex } from './regex.ts';

/** True when the text matches; an extension, which we do not know, matches nothing. */
export function matchesString({ matchPattern, ignoreCase }: StringMatcher, text: string): boolean {
  const fold = (part: string): string => (ignoreCase ? foldAscii(part) : part);
  switch (matchPattern.case) {
    case 'exact':
      return fold(text) === fold(matchPattern.value);
    case 'prefix':
      return fold(text).startsWith(fold(matchPattern.value));
    case 'suffix':
      return fold(text).endsWith(fold(matchPattern.value));
    case 'contains':
      return fold(text).includes(fold(matchPattern.value));
    case 'safeRegex':
      return matchesRegex(matchPattern.value, text);
    default:
      return false;
  }
}

/** Lower case as Envoy makes it: of ASCII letters only. */
export function foldAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

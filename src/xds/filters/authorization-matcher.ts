/**
 * Istio's way of writing a text to match, `exact`, `prefix*`, `*suffix`, `*`, as Envoy matchers. Whatever a user writes is a
 * literal: where a regular expression is needed, every literal in it is quoted and both ends are anchored (Envoy matches
 * whole texts), so `a.b` is never `aXb` (security cases T8-T10).
 * Source: istio pilot/pkg/security/authz/matcher.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { formatIp, parseCidr, parseIp } from '#base/cidr.ts';
import type { CidrRangeSchema } from '#proto/envoy/config/core/v3/address_pb.ts';
import type { HeaderMatcherSchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import type { MetadataMatcherSchema } from '#proto/envoy/type/matcher/v3/metadata_pb.ts';
import type { StringMatcherSchema } from '#proto/envoy/type/matcher/v3/string_pb.ts';
import type { ValueMatcherSchema } from '#proto/envoy/type/matcher/v3/value_pb.ts';

export type StringMatch = MessageInitShape<typeof StringMatcherSchema>;
export type HeaderMatch = MessageInitShape<typeof HeaderMatcherSchema>;
export type ValueMatch = MessageInitShape<typeof ValueMatcherSchema>;
export type MetadataMatch = MessageInitShape<typeof MetadataMatcherSchema>;
export type CidrRange = MessageInitShape<typeof CidrRangeSchema>;

/** A token of RFC 9110, or a pseudo header: Envoy refuses a configuration with anything else. */
const HEADER_NAME = /^:?[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** The text as a part of a regular expression that matches only itself. */
export function quoteRegex(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}

export function matchRegex(regex: string): StringMatch {
  return { matchPattern: { case: 'safeRegex', value: { regex } } };
}

export function matchExact(value: string, ignoreCase = false): StringMatch {
  return { matchPattern: { case: 'exact', value }, ignoreCase };
}

export function matchPrefix(value: string, ignoreCase = false): StringMatch {
  return { matchPattern: { case: 'prefix', value }, ignoreCase };
}

export function matchSuffix(value: string, ignoreCase = false): StringMatch {
  return { matchPattern: { case: 'suffix', value }, ignoreCase };
}

/** Any text that is not empty. */
export function matchPresent(): StringMatch {
  return matchRegex('.+');
}

/** A text with wildcards at its ends; `ahead` stands before it and is no wildcard's business. */
export function matchText(text: string, ahead = ''): StringMatch {
  if (text === '*') return matchPresent();
  if (text.startsWith('*')) {
    const suffix = text.slice(1);
    return ahead === '' ? matchSuffix(suffix) : matchRegex(`${quoteRegex(ahead)}.*${quoteRegex(suffix)}`);
  }
  return text.endsWith('*') ? matchPrefix(ahead + text.slice(0, -1)) : matchExact(ahead + text);
}

/** A header by value; `*` is any value, the empty one too. Undefined for a name that no header can have. */
export function matchHeader(name: string, text: string, ignoreCase = false): HeaderMatch | undefined {
  if (!HEADER_NAME.test(name)) return undefined;
  if (text === '*') return { name, headerMatchSpecifier: { case: 'presentMatch', value: true } };
  const value = text.startsWith('*')
    ? matchSuffix(text.slice(1), ignoreCase)
    : text.endsWith('*')
      ? matchPrefix(text.slice(0, -1), ignoreCase)
      : matchExact(text, ignoreCase);
  return { name, headerMatchSpecifier: { case: 'stringMatch', value } };
}

/** An address or CIDR block, its address as it was written (Envoy masks it); undefined for anything else. */
export function matchAddress(text: string): CidrRange | undefined {
  const cidr = parseCidr(text);
  const address = parseIp(text.replace(/\/.*/, ''));
  if (!cidr.ok || address === undefined) return undefined;
  return { addressPrefix: formatIp(address), prefixLen: cidr.value.prefixLength };
}

/** A value in dynamic metadata, by the filter that wrote it and the path of keys. */
export function matchMetadata(filter: string, path: readonly string[], value: ValueMatch): MetadataMatch {
  return { filter, path: path.map((key) => ({ segment: { case: 'key', value: key } })), value };
}

export function stringValue(match: StringMatch): ValueMatch {
  return { matchPattern: { case: 'stringMatch', value: match } };
}

/** One of several values; a single one as it is. */
export function anyValue(values: readonly ValueMatch[]): ValueMatch {
  const [only] = values;
  if (values.length === 1 && only !== undefined) return only;
  return { matchPattern: { case: 'orMatch', value: { valueMatchers: [...values] } } };
}

/** A list that contains a value. */
export function listWith(value: ValueMatch): ValueMatch {
  return { matchPattern: { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value } } } };
}

/** Envoy's ValueMatcher and MetadataMatcher, on metadata as plain JSON. Source: envoy source/common/common/matchers.cc. */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { MetadataMatcher } from '#proto/envoy/type/matcher/v3/metadata_pb.ts';
import type { DoubleMatcher } from '#proto/envoy/type/matcher/v3/number_pb.ts';
import type { ValueMatcher } from '#proto/envoy/type/matcher/v3/value_pb.ts';
import { matchesString } from './string.ts';

/** Metadata by the name of the filter that wrote it. */
export type FilterMetadata = ReadonlyMap<string, JsonObject>;

export function matchesMetadata(matcher: MetadataMatcher, metadata: FilterMetadata): boolean {
  let value: JsonValue | undefined = metadata.get(matcher.filter);
  for (const { segment } of matcher.path) value = memberOf(value, segment.value ?? '');
  const isMatch = matcher.value !== undefined && matchesValue(matcher.value, value);
  return isMatch !== matcher.invert;
}

function memberOf(value: JsonValue | undefined, key: string): JsonValue | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, key) ? value[key] : undefined;
}

function matchesValue({ matchPattern }: ValueMatcher, value: JsonValue | undefined): boolean {
  switch (matchPattern.case) {
    case 'nullMatch':
      return value === null;
    case 'doubleMatch':
      return typeof value === 'number' && matchesNumber(matchPattern.value, value);
    case 'stringMatch':
      return typeof value === 'string' && matchesString(matchPattern.value, value);
    case 'boolMatch':
      return value === matchPattern.value;
    case 'presentMatch':
      return (value !== undefined) === matchPattern.value;
    case 'listMatch': {
      const { matchPattern: inner } = matchPattern.value;
      return (
        inner.case === 'oneOf' && Array.isArray(value) && value.some((one) => matchesValue(inner.value, one))
      );
    }
    case 'orMatch':
      return matchPattern.value.valueMatchers.some((one) => matchesValue(one, value));
    default:
      return false;
  }
}

function matchesNumber({ matchPattern }: DoubleMatcher, value: number): boolean {
  if (matchPattern.case === 'range')
    return value >= matchPattern.value.start && value < matchPattern.value.end;
  return matchPattern.value === value;
}

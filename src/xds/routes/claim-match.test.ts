import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { type JsonValue, toJson } from '@bufbuild/protobuf';
import { MetadataMatcherSchema } from '#proto/envoy/type/matcher/v3/metadata_pb.ts';
import { buildClaimMatcher, parseClaimPath } from './claim-match.ts';

test('a claim is named by its path, with dots or brackets', () => {
  const names = ['.a.b', '[a.b][c]', '[a]', '', '.', '[]'].map((rest) => `@request.auth.claims${rest}`);
  deepStrictEqual(names.map(parseClaimPath), [
    ['a', 'b'],
    ['a.b', 'c'],
    ['a'],
    undefined,
    undefined,
    undefined,
  ]);
});

test('a match that says nothing takes every claim that is there', () => {
  const { value, invert } = toJson(MetadataMatcherSchema, buildClaimMatcher(['sub'], {}, true)) as Record<
    string,
    JsonValue
  >;
  const present = { presentMatch: true };
  deepStrictEqual(
    { value, invert },
    { value: { orMatch: { valueMatchers: [{ listMatch: { oneOf: present } }, present] } }, invert: true },
  );
});

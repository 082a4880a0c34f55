import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { HeaderMatcherSchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { UriTemplateMatchConfigSchema } from '#proto/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.ts';
import { MetadataMatcherSchema } from '#proto/envoy/type/matcher/v3/metadata_pb.ts';
import { packAny } from '#xds/encode.ts';
import { RequestHeaders } from '#simulation/headers.ts';
import { matchesHeader, queryParameters } from './header.ts';
import { matchesTemplate } from './path.ts';
import { matchesMetadata } from './value.ts';

type Header = Omit<MessageInitShape<typeof HeaderMatcherSchema>, '$typeName'>;
const exact = (value: string) => ({
  case: 'stringMatch' as const,
  value: { matchPattern: { case: 'exact' as const, value } },
});

const HEADERS: readonly (readonly [string, Header, readonly string[], boolean])[] = [
  ['equal', { headerMatchSpecifier: exact('a') }, ['a'], true],
  ['absent', { headerMatchSpecifier: exact('a') }, [], false],
  ['absent and inverted fails as well', { headerMatchSpecifier: exact('a'), invertMatch: true }, [], false],
  [
    'absent counts as empty where asked',
    { headerMatchSpecifier: exact('a'), invertMatch: true, treatMissingHeaderAsEmpty: true },
    [],
    true,
  ],
  ['one of several values', { headerMatchSpecifier: exact('b') }, ['a', 'b'], true],
  ['several values are not joined', { headerMatchSpecifier: exact('a,b') }, ['a', 'b'], false],
  [
    'inverted: none of the values',
    { headerMatchSpecifier: exact('b'), invertMatch: true },
    ['a', 'b'],
    false,
  ],
  [
    'presence, also of an empty value',
    { headerMatchSpecifier: { case: 'presentMatch', value: true } },
    [''],
    true,
  ],
  ['without a condition, presence', {}, [], false],
  ['a range', { headerMatchSpecifier: { case: 'rangeMatch', value: { start: -1n, end: 10n } } }, ['9'], true],
  [
    'a range has an end',
    { headerMatchSpecifier: { case: 'rangeMatch', value: { start: 1n, end: 10n } } },
    ['10'],
    false,
  ],
  [
    'no number',
    { headerMatchSpecifier: { case: 'rangeMatch', value: { start: 0n, end: 10n } } },
    ['1x'],
    false,
  ],
];

for (const [name, matcher, values, expected] of HEADERS) {
  it(`header: ${name}`, () => {
    const headers = new RequestHeaders(values.map((value) => ['X-A', value] as const));
    strictEqual(matchesHeader(create(HeaderMatcherSchema, { ...matcher, name: 'x-a' }), headers), expected);
  });
}

it('query parameters: first value of each, undecoded', () => {
  deepStrictEqual(
    [...queryParameters('/p?a=1&b&a=2&c=%20&=x')],
    [
      ['a', '1'],
      ['b', ''],
      ['c', '%20'],
      ['', 'x'],
    ],
  );
});

const TEMPLATES: readonly (readonly [template: string, path: string, expected: boolean])[] = [
  ['/a/*/c', '/a/b/c', true],
  ['/a/*/c', '/a/b/b/c', false],
  ['/a/*/c', '/a//c', false],
  ['/a/**', '/a/', true],
  ['/a/**', '/a/b/c?d=e', true],
  ['/a/**', '/a', false],
  ['/a/**/z', '/a/b/c/z', true],
  ['/a.b/*', '/axb/c', false],
  ['/a/{id}', '/a/7', true],
  ['/a/{rest=**}', '/a/b/c', true],
  ['/a/*.png', '/a/b.png', true],
  ['/a/*', '/a/b=c', false],
];

for (const [pathTemplate, path, expected] of TEMPLATES) {
  it(`template: ${pathTemplate} ${expected ? 'takes' : 'refuses'} ${path}`, () => {
    const config = create(TypedExtensionConfigSchema, {
      typedConfig: packAny(
        UriTemplateMatchConfigSchema,
        create(UriTemplateMatchConfigSchema, { pathTemplate }),
      ),
    });
    strictEqual(matchesTemplate(config, path), expected);
  });
}

it('metadata: a text, or a list that holds it', () => {
  const text = {
    matchPattern: {
      case: 'stringMatch' as const,
      value: { matchPattern: { case: 'exact' as const, value: 'dev' } },
    },
  };
  const inList = {
    matchPattern: {
      case: 'listMatch' as const,
      value: { matchPattern: { case: 'oneOf' as const, value: text } },
    },
  };
  const matcher = create(MetadataMatcherSchema, {
    filter: 'jwt',
    path: ['payload', 'groups'].map((key) => ({ segment: { case: 'key' as const, value: key } })),
    value: { matchPattern: { case: 'orMatch', value: { valueMatchers: [text, inList] } } },
  });
  const taken = ['dev', ['ops', 'dev'], 'ops', ['ops'], 7, null].filter((groups) =>
    matchesMetadata(matcher, new Map([['jwt', { payload: { groups } }]])),
  );
  deepStrictEqual(taken, ['dev', ['ops', 'dev']]);
  strictEqual(matchesMetadata(matcher, new Map()), false);
});

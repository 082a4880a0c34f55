/** Paths of requests: without query where Envoy matches them so, and templates of path segments. */
import { identityMemo } from '#collections/identity-memo.ts';
import type { TypedExtensionConfig } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { UriTemplateMatchConfigSchema } from '#proto/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.ts';
import { isMessage } from '@bufbuild/protobuf';
import { RE2JS } from 're2js';
import { openAny } from '#simulation/resources.ts';

/** The path up to its query or fragment. */
export function withoutQuery(path: string): string {
  const end = path.search(/[?#]/);
  return end < 0 ? path : path.slice(0, end);
}

/** Characters of a segment, as Envoy's template matcher has them. Source: envoy uri_template_internal.cc kLiteral. */
const SEGMENT = "[a-zA-Z0-9\\-._~%!$&'()+,;:@]+";
const SEGMENTS = "[a-zA-Z0-9\\-._~%!$&'()+,;:@/]*";

/** The template as an expression; undefined for an extension that is no template. */
const templateRegex = identityMemo((config: TypedExtensionConfig): RE2JS | undefined => {
  const message = config.typedConfig === undefined ? undefined : openAny(config.typedConfig);
  if (message === undefined || !isMessage(message, UriTemplateMatchConfigSchema)) return undefined;
  const segments = message.pathTemplate.replace(/^\//, '').split('/').map(segmentRegex);
  return RE2JS.compile(`/${segments.join('/')}`);
});

function segmentRegex(segment: string): string {
  // An operator or a variable may be followed by a literal; within a segment nothing else is special.
  const [, special = '', literal = ''] = /^(\*\*|\*|\{[^}]*\})?(.*)$/.exec(segment) ?? [];
  return specialRegex(special) + literal.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}

function specialRegex(special: string): string {
  if (special === '*') return SEGMENT;
  if (special === '**') return SEGMENTS;
  // `{name}` or `{name=pattern}`
  const pattern = /^\{[^=}]*(?:=([^}]*))?\}$/.exec(special);
  return pattern === null ? '' : (pattern[1] ?? '*').split('/').map(segmentRegex).join('/');
}

/** True when the path, without its query, fits; undefined when the matcher is not known. */
export function matchesTemplate(config: TypedExtensionConfig, path: string): boolean | undefined {
  return templateRegex(config)?.matches(withoutQuery(path));
}

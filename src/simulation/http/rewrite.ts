/** Paths and hosts as routes rewrite them. Source: envoy source/common/router/config_impl.cc finalizePathHeader, rewritePathHeader. */
import type { RouteAction, RouteMatch } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import type { RegexMatchAndSubstitute } from '#proto/envoy/type/matcher/v3/regex_pb.ts';
import type { Evaluation } from '#simulation/evaluation.ts';
import type { RequestHeaders } from '#simulation/headers.ts';
import { withoutQuery } from '#simulation/match/path.ts';
import { replaceAll } from '#simulation/match/regex.ts';

/** How a path is rewritten, as routes and redirects have it. */
export interface PathRewrite {
  readonly prefixRewrite: string;
  readonly regexRewrite?: RegexMatchAndSubstitute | undefined;
}

/** The new path with the old query; undefined when nothing is rewritten. */
export function rewritePath(
  match: RouteMatch | undefined,
  rewrite: PathRewrite,
  path: string,
): string | undefined {
  const bare = withoutQuery(path);
  const rest = path.slice(bare.length);
  if (rewrite.prefixRewrite !== '') {
    const matched = matchedLength(match, bare);
    return rewrite.prefixRewrite + bare.slice(matched) + rest;
  }
  return rewrite.regexRewrite === undefined ? undefined : replaceAll(rewrite.regexRewrite, bare) + rest;
}

/** How much of the path its match has taken: of a regex or exact match all of it. */
function matchedLength(match: RouteMatch | undefined, bare: string): number {
  const specifier = match?.pathSpecifier;
  if (specifier?.case === 'prefix' || specifier?.case === 'pathSeparatedPrefix')
    return specifier.value.length;
  return bare.length;
}

/** The new host; undefined when it stays. */
export function rewriteHost(
  evaluation: Evaluation,
  specifier: RouteAction['hostRewriteSpecifier'],
  headers: RequestHeaders,
): string | undefined {
  switch (specifier.case) {
    case 'hostRewriteLiteral':
      return specifier.value === '' ? undefined : specifier.value;
    case 'hostRewriteHeader':
      return headers.get(specifier.value) || undefined;
    case 'hostRewritePathRegex':
      return replaceAll(specifier.value, withoutQuery(headers.path));
    case 'autoHostRewrite':
      if (specifier.value.value)
        evaluation.notEvaluated('request', ':authority', 'name of the chosen endpoint');
      return undefined;
    default:
      return undefined;
  }
}

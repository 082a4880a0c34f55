/** Path rewriting of a route action. Pure; regexes go to Envoy (RE2) unevaluated. */
import { create } from '@bufbuild/protobuf';
import type { RouteAction, RouteMatch } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { RegexMatchAndSubstituteSchema } from '#proto/envoy/type/matcher/v3/regex_pb.ts';
import type { HTTPRewriteJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import type { PathSemantics } from './match.ts';

/** The fields of a RouteAction that rewrite the path. */
export type PathRewrite = Partial<Pick<RouteAction, 'regexRewrite' | 'prefixRewrite'>>;

/**
 * Rewrites the path by regex, by prefix, or (Gateway API, to "/") by cutting the
 * matched prefix off without leaving two slashes. Source: istio route.go applyHTTPRouteDestination.
 */
export function buildPathRewrite(
  rewrite: HTTPRewriteJson | undefined,
  match: RouteMatch,
  semantics: PathSemantics,
): PathRewrite {
  const regex = rewrite?.uriRegexRewrite;
  if (regex !== undefined) {
    return { regexRewrite: regexRewrite(regex.match ?? '', regex.rewrite ?? '') };
  }
  const uri = rewrite?.uri ?? '';
  if (uri === '') return {};
  if (uri === '/' && semantics === 'element') {
    const prefix = match.pathSpecifier.case === 'pathSeparatedPrefix' ? match.pathSpecifier.value : '';
    return { regexRewrite: regexRewrite(`^${quoteRegex(prefix)}(/?)(.*)`, '/\\2') };
  }
  return { prefixRewrite: uri };
}

function regexRewrite(regex: string, substitution: string): NonNullable<RouteAction['regexRewrite']> {
  return create(RegexMatchAndSubstituteSchema, { pattern: { regex }, substitution });
}

/** Escapes what RE2 reads as more than itself. */
function quoteRegex(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}

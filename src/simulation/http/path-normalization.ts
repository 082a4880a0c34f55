/**
 * What the connection manager makes of a path before anything matches it: fragment away, escaped slashes, dot segments and
 * needless escapes, repeated slashes. Checked against Envoy byte by byte in test/envoy/simulation-paths.test.ts.
 * Source: envoy source/common/http/path_utility.cc; url_canon_path of googleurl.
 */
import {
  type HttpConnectionManager,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
} from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';

export type NormalizedPath =
  | { readonly kind: 'path'; readonly path: string }
  /** Answered with 400, or with a redirect to the unescaped path. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'redirect'; readonly path: string };

type Settings = Pick<
  HttpConnectionManager,
  'normalizePath' | 'mergeSlashes' | 'pathWithEscapedSlashesAction'
>;

/** Applies the connection manager's settings. */
export function normalizePath(settings: Settings, original: string): NormalizedPath {
  const fragment = original.indexOf('#');
  const whole = fragment < 0 ? original : original.slice(0, fragment);
  const queryStart = whole.indexOf('?');
  const query = queryStart < 0 ? '' : whole.slice(queryStart);
  let path = queryStart < 0 ? whole : whole.slice(0, queryStart);
  const action = settings.pathWithEscapedSlashesAction;
  const unescaped = path.replace(/%2f/gi, '/').replace(/%5c/gi, '\\');
  const hasEscaped = unescaped !== path;
  if (action !== EscapedSlashes.KEEP_UNCHANGED && action !== EscapedSlashes.IMPLEMENTATION_SPECIFIC_DEFAULT) {
    if (hasEscaped && action === EscapedSlashes.REJECT_REQUEST) return { kind: 'refused' };
    path = unescaped;
  }
  if (settings.normalizePath === true) {
    const canonical = canonicalPath(path);
    if (canonical === undefined) return { kind: 'refused' };
    path = canonical;
  }
  if (settings.mergeSlashes) path = path.replace(/\/{2,}/g, '/');
  const redirects = hasEscaped && action === EscapedSlashes.UNESCAPE_AND_REDIRECT;
  return { kind: redirects ? 'redirect' : 'path', path: path + query };
}

/** Characters that are decoded where they come escaped. */
const UNRESERVED = /[0-9A-Za-z\-._~]/;
/** Characters that are escaped where they come bare. */
const ESCAPED = /[\x00-\x20"<>[\]^`{|}\x7f]/;

/** Dot segments resolved, unreserved characters decoded, others escaped; undefined for a path that Envoy refuses. */
function canonicalPath(path: string): string | undefined {
  const segments: string[] = [];
  let rest = path.replace(/^[/\\]/, '');
  for (;;) {
    const end = rest.search(/[/\\]/);
    const raw = end < 0 ? rest : rest.slice(0, end);
    const isLast = end < 0;
    const segment = canonicalSegment(raw);
    if (segment === undefined) return undefined;
    if (segment === '..') segments.pop();
    else if (segment !== '.') segments.push(segment);
    // A dot segment at the end leaves the slash before it.
    if (isLast) return `/${segments.join('/')}${endsOpen(segment, segments) ? '/' : ''}`;
    rest = rest.slice(end + 1);
  }
}

function endsOpen(last: string, segments: readonly string[]): boolean {
  return (last === '.' || last === '..') && segments.length > 0;
}

function canonicalSegment(raw: string): string | undefined {
  let result = '';
  for (let i = 0; i < raw.length; i++) {
    const character = raw[i] as string;
    const escape = character === '%' ? /^%([0-9a-f]{2})/i.exec(raw.slice(i))?.[1] : undefined;
    if (escape !== undefined) {
      const decoded = String.fromCharCode(Number.parseInt(escape, 16));
      if (decoded === '\0') return undefined;
      result += UNRESERVED.test(decoded) ? decoded : `%${escape}`;
      i += 2;
    } else if (ESCAPED.test(character)) {
      result += `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
    } else {
      result += character;
    }
  }
  return result;
}

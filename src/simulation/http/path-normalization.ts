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
  if (settings.mergeSlashes && path.includes('//')) path = mergeSlashes(path);
  const redirects = hasEscaped && action === EscapedSlashes.UNESCAPE_AND_REDIRECT;
  return { kind: redirects ? 'redirect' : 'path', path: path + query };
}

/** Characters that are decoded where they come escaped. */
const UNRESERVED = /[0-9A-Za-z\-._~]/;
/** Characters that are escaped where they come bare. */
const ESCAPED = /[\x00-\x20"<>^`{|}\x7f]/;

/** Of a path of slashes alone two are left. */
function mergeSlashes(path: string): string {
  const segments = path.split('/').filter((segment) => segment !== '');
  return `/${segments.join('/')}${path.endsWith('/') ? '/' : ''}`;
}

/**
 * Dot segments resolved, unreserved characters decoded, others escaped; undefined for a path that Envoy refuses. Dots count also
 * with parameters behind them (`..;x`), but then not when they are escaped.
 */
function canonicalPath(path: string): string | undefined {
  const segments: string[] = [];
  let last = '';
  for (const raw of path.replace(/^[/\\]/, '').split(/[/\\]/)) {
    const dots = /^(\.{1,2});/.exec(raw)?.[1];
    const segment = dots ?? canonicalSegment(raw);
    if (segment === undefined) return undefined;
    if (segment === '..') segments.pop();
    else if (segment !== '.') segments.push(segment);
    last = segment;
  }
  // A dot segment at the end leaves the slash before it.
  const endsOpen = (last === '.' || last === '..') && segments.length > 0;
  return `/${segments.join('/')}${endsOpen ? '/' : ''}`;
}

function canonicalSegment(raw: string): string | undefined {
  let result = '';
  let barePercent = -1;
  for (let i = 0; i < raw.length; i++) {
    const character = raw[i] as string;
    const escape = character === '%' ? /^%([0-9a-f]{2})/i.exec(raw.slice(i, i + 3))?.[1] : undefined;
    if (escape !== undefined) {
      const decoded = String.fromCharCode(Number.parseInt(escape, 16));
      if (decoded === '\0') return undefined;
      i += 2;
      result = UNRESERVED.test(decoded)
        ? withoutNewEscape(result + decoded, barePercent, raw[i + 1] ?? '')
        : `${result}%${escape}`;
    } else if (ESCAPED.test(character)) {
      result += `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
    } else {
      if (character === '%') barePercent = result.length;
      result += character;
    }
  }
  return result;
}

/** A percent sign that was none of an escape must not become one by what was decoded behind it. */
function withoutNewEscape(text: string, barePercent: number, next: string): string {
  const tail = barePercent < 0 ? '' : text.slice(barePercent);
  const whole = tail.length === 2 ? tail + next : tail;
  return /^%[0-9a-f]{2}$/i.test(whole) ? `${text.slice(0, barePercent)}%25${tail.slice(1)}` : text;
}

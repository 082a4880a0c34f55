/** The Location of a redirect. Source: envoy source/common/router/config_impl.cc newUri, processRequestHost. */
import {
  type RedirectAction,
  RedirectAction_RedirectResponseCode as Code,
  type RouteMatch,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import type { RequestHeaders } from '#simulation/headers.ts';
import { rewritePath } from './rewrite.ts';

const STATUS: Readonly<Record<Code, number>> = {
  [Code.MOVED_PERMANENTLY]: 301,
  [Code.FOUND]: 302,
  [Code.SEE_OTHER]: 303,
  [Code.TEMPORARY_REDIRECT]: 307,
  [Code.PERMANENT_REDIRECT]: 308,
};

export function redirectStatus({ responseCode }: RedirectAction): number {
  return STATUS[responseCode] ?? 301;
}

/** Where the client is sent. */
export function redirectLocation(
  redirect: RedirectAction,
  match: RouteMatch | undefined,
  headers: RequestHeaders,
): string {
  const scheme = redirectScheme(redirect, headers);
  const port = redirect.portRedirect === 0 ? '' : `:${redirect.portRedirect}`;
  const host = redirect.hostRedirect || ownHost(headers, scheme, port);
  return `${scheme}://${host}${port}${redirectPath(redirect, match, headers.path)}`;
}

/** To the same place over https: what a virtual host answers that demands TLS. */
export function httpsLocation(headers: RequestHeaders): string {
  return `https://${ownHost(headers, 'https', '')}${headers.path}`;
}

function redirectScheme(
  { schemeRewriteSpecifier: specifier }: RedirectAction,
  headers: RequestHeaders,
): string {
  if (specifier.case === 'schemeRedirect' && specifier.value !== '') return specifier.value;
  if (specifier.case === 'httpsRedirect' && specifier.value) return 'https';
  return headers.get(':scheme') ?? 'http';
}

/** The host asked for, without a port that would be wrong at the new place. */
function ownHost(headers: RequestHeaders, scheme: string, newPort: string): string {
  const host = headers.authority;
  const port = /:[^:\]]*$/.exec(host)?.[0] ?? '';
  const protocol = headers.get('x-forwarded-proto') ?? '';
  const isDefault = (protocol === 'https' && port === ':443') || (protocol === 'http' && port === ':80');
  const isWrong = newPort !== '' || (scheme !== protocol && isDefault);
  return isWrong ? host.slice(0, host.length - port.length) : host;
}

function redirectPath(redirect: RedirectAction, match: RouteMatch | undefined, path: string): string {
  const specifier = redirect.pathRewriteSpecifier;
  const queryStart = path.indexOf('?');
  const query = queryStart < 0 || redirect.stripQuery ? '' : path.slice(queryStart);
  if (specifier.case === 'pathRedirect' && specifier.value !== '') {
    const target = specifier.value.startsWith('/') ? specifier.value : `/${specifier.value}`;
    return target.includes('?') ? target : target + query;
  }
  const rewrite = {
    prefixRewrite: specifier.case === 'prefixRewrite' ? specifier.value : '',
    regexRewrite: specifier.case === 'regexRewrite' ? specifier.value : undefined,
  };
  const rewritten = rewritePath(match, rewrite, path) ?? path;
  return redirect.stripQuery ? rewritten.replace(/\?.*$/s, '') : rewritten;
}

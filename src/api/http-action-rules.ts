/**
 * Rules for what an HTTP route does besides choosing a destination: redirect, rewrite, direct response, retries,
 * faults, CORS. Source: istio pkg/config/validation/validation.go and agent/validation.go (ValidateHTTPRetry).
 */
import { parseDurationNanos } from './duration.ts';
import {
  checkDuration,
  checkFractionalPercent,
  checkNotNegative,
  checkPort,
  checkRegex,
} from './field-rules.ts';
import { type Findings, show } from './findings.ts';
import { checkCorsHeaderName, checkHeaderText } from './header-rules.ts';
import { checkStringMatchRegex } from './string-match-rules.ts';
import { suggest } from './suggestion.ts';
import type { CorsPolicy, HttpFaultInjection, HttpRetry, HttpRewrite, HttpRoute } from './virtual-service.ts';

const LARGE_BODY_BYTES = 100 * 1024;
const MAX_BODY_BYTES = 1024 * 1024;

const CORS_METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  '*',
]);

const GRPC_STATUSES: readonly string[] = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

const RETRY_CONDITIONS: readonly string[] = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'envoy-ratelimited',
  'http3-post-connect-failure',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
];

/** HTTP statuses that have a name (RFC 9110 and its registry), as ranges. */
const NAMED_STATUSES: readonly (readonly [number, number])[] = [
  [100, 103],
  [200, 208],
  [226, 226],
  [300, 305],
  [307, 308],
  [400, 418],
  [421, 426],
  [428, 429],
  [431, 431],
  [451, 451],
  [500, 508],
  [510, 511],
];

type DirectResponse = NonNullable<HttpRoute['directResponse']>;

/** 0 stands for 301. */
const REDIRECT_CODES: readonly number[] = [0, 301, 302, 303, 307, 308];

/** Source: validateHTTPRedirect. */
export function checkRedirect(route: HttpRoute, path: string, findings: Findings): void {
  const redirect = route.redirect;
  if (redirect === undefined) return;
  const at = `${path}.redirect`;
  const { uri = '', prefixRewrite = '', authority = '', scheme = '', redirectCode = 0 } = redirect;
  if (uri !== '' && prefixRewrite !== '')
    findings.add('LTN2038', at, { field: 'uri', other: 'prefixRewrite' });
  const otherMatch = (route.match ?? []).some(
    (match) => match.uri !== undefined && match.uri.prefix === undefined,
  );
  if (prefixRewrite !== '' && otherMatch) {
    findings.add('LTN2037', `${at}.prefixRewrite`, {
      field: 'prefixRewrite',
      when: 'unless every uri match is a prefix',
    });
  }
  const hasPort = redirect.port !== undefined || redirect.derivePort !== undefined;
  if (uri === '' && prefixRewrite === '' && authority === '' && scheme === '' && !hasPort) {
    findings.add('LTN2039', at, { fields: 'uri, prefixRewrite, authority, scheme and port' });
  }
  if (redirectCode !== 0 && (redirectCode < 300 || redirectCode > 399)) {
    findings.add('LTN2032', `${at}.redirectCode`, { value: String(redirectCode), min: '300', max: '399' });
  } else if (!REDIRECT_CODES.includes(redirectCode)) {
    findings.add('LTN2034', `${at}.redirectCode`, {
      value: String(redirectCode),
      problem: 'Envoy redirects with 301, 302, 303, 307 and 308 only',
      cure: 'Write one of these.',
    });
  }
  for (const field of ['uri', 'prefixRewrite', 'authority'] as const)
    checkHeaderText(redirect[field], `${at}.${field}`, findings);
  if (scheme !== '' && scheme !== 'http' && scheme !== 'https') {
    findings.add('LTN2034', `${at}.scheme`, {
      value: show(scheme),
      problem: 'unknown scheme',
      cure: 'Write http or https.',
    });
  }
  if ((redirect.port ?? 0) > 0) checkPort(redirect.port, `${at}.port`, findings);
}

/** Source: validateHTTPDirectResponse. */
export function checkDirectResponse(
  response: DirectResponse | undefined,
  path: string,
  findings: Findings,
): void {
  if (response === undefined) return;
  const text = response.body?.string;
  const base64 = response.body?.bytes ?? '';
  const sizeBytes =
    text === undefined ? Math.floor((base64.replaceAll('=', '').length * 3) / 4) : Buffer.byteLength(text);
  if (sizeBytes > MAX_BODY_BYTES) findings.add('LTN2108', `${path}.body`);
  else if (sizeBytes > LARGE_BODY_BYTES) findings.add('LTN2107', `${path}.body`);
  checkStatus(response.status, `${path}.status`, findings);
}

function checkStatus(status: number | undefined, path: string, findings: Findings): void {
  if ((status ?? 0) < 200 || (status ?? 0) > 600)
    findings.add('LTN2055', path, { status: String(status ?? 0) });
}

/** Source: validateHTTPRewrite. */
export function checkRewrite(rewrite: HttpRewrite | undefined, path: string, findings: Findings): void {
  if (rewrite === undefined) return;
  const { uri = '', authority = '', uriRegexRewrite: regex } = rewrite;
  if (uri !== '' && regex !== undefined)
    findings.add('LTN2038', path, { field: 'uri', other: 'uriRegexRewrite' });
  if (uri === '' && regex === undefined && authority === '') {
    findings.add('LTN2039', path, { fields: 'uri, uriRegexRewrite and authority' });
  }
  checkHeaderText(uri, `${path}.uri`, findings);
  checkHeaderText(authority, `${path}.authority`, findings);
  if (regex === undefined) return;
  const at = `${path}.uriRegexRewrite`;
  if ((regex.match ?? '') === '') findings.missing(at, 'match');
  else checkRegex(regex.match ?? '', `${at}.match`, findings);
  if ((regex.rewrite ?? '') === '') findings.missing(at, 'rewrite');
}

/** Source: agent ValidateHTTPRetry. */
export function checkRetries(retries: HttpRetry | undefined, path: string, findings: Findings): void {
  if (retries === undefined) return;
  const { attempts = 0, perTryTimeout, retryOn = '' } = retries;
  checkNotNegative(attempts, `${path}.attempts`, findings);
  const when = 'unless attempts is at least 1';
  if (attempts === 0) {
    if (perTryTimeout !== undefined)
      findings.add('LTN2037', `${path}.perTryTimeout`, { field: 'perTryTimeout', when });
    if (retryOn !== '') findings.add('LTN2037', `${path}.retryOn`, { field: 'retryOn', when });
    if (retries.retryRemoteLocalities !== undefined) {
      findings.add('LTN2037', `${path}.retryRemoteLocalities`, { field: 'retryRemoteLocalities', when });
    }
  }
  checkDuration(perTryTimeout, `${path}.perTryTimeout`, findings);
  checkDuration(retries.backoff, `${path}.backoff`, findings);
  for (const policy of retryOn === '' ? [] : retryOn.split(',')) {
    if (RETRY_CONDITIONS.includes(policy) || isNamedStatus(policy)) continue;
    const suggestion = suggest(policy.trim(), RETRY_CONDITIONS) ?? '';
    findings.add('LTN2057', `${path}.retryOn`, {
      policy: show(policy),
      suggestion,
      known: RETRY_CONDITIONS.join(', '),
    });
  }
}

function isNamedStatus(text: string): boolean {
  const status = /^[+]?\d{1,4}$/.test(text) ? Number(text) : 0;
  return NAMED_STATUSES.some(([first, last]) => status >= first && status <= last);
}

/** Source: validateHTTPFaultInjection. */
export function checkFault(fault: HttpFaultInjection | undefined, path: string, findings: Findings): void {
  if (fault === undefined) return;
  const { abort, delay } = fault;
  if (abort === undefined && delay === undefined)
    findings.add('LTN2039', path, { fields: 'abort and delay' });
  if (abort !== undefined) checkAbort(abort, `${path}.abort`, findings);
  if (delay === undefined) return;
  checkFractionalPercent(delay.percentage?.value, `${path}.delay.percentage.value`, findings);
  checkDuration(delay.fixedDelay, `${path}.delay.fixedDelay`, findings);
  if (delay.exponentialDelay === undefined) return;
  findings.add('LTN2043', `${path}.delay.exponentialDelay`, {
    field: 'exponentialDelay',
    cure: 'Use fixedDelay.',
  });
}

function checkAbort(abort: NonNullable<HttpFaultInjection['abort']>, path: string, findings: Findings): void {
  checkFractionalPercent(abort.percentage?.value, `${path}.percentage.value`, findings);
  if (abort.grpcStatus !== undefined) {
    if (GRPC_STATUSES.includes(abort.grpcStatus)) return;
    const suggestion = suggest(abort.grpcStatus, GRPC_STATUSES) ?? '';
    const known = GRPC_STATUSES.join(', ');
    findings.add('LTN2056', `${path}.grpcStatus`, { status: show(abort.grpcStatus), suggestion, known });
  } else if (abort.http2Error !== undefined) {
    findings.add('LTN2043', `${path}.http2Error`, {
      field: 'http2Error',
      cure: 'Use httpStatus or grpcStatus.',
    });
  } else if (abort.httpStatus !== undefined) checkStatus(abort.httpStatus, `${path}.httpStatus`, findings);
  else findings.add('LTN2042', path, { field: 'httpStatus or grpcStatus', when: 'in an abort' });
}

/** Source: validateCORSPolicy. */
export function checkCorsPolicy(policy: CorsPolicy | undefined, path: string, findings: Findings): void {
  if (policy === undefined) return;
  for (const [index, origin] of (policy.allowOrigins ?? []).entries()) {
    const at = `${path}.allowOrigins[${index}]`;
    if ((origin.exact ?? origin.prefix ?? origin.regex ?? '') === '') findings.add('LTN2054', at);
    else checkStringMatchRegex(origin, at, findings);
  }
  for (const [index, method] of (policy.allowMethods ?? []).entries()) {
    if (!CORS_METHODS.has(method))
      findings.add('LTN2058', `${path}.allowMethods[${index}]`, { method: show(method) });
  }
  for (const field of ['allowHeaders', 'exposeHeaders'] as const) {
    for (const [index, name] of (policy[field] ?? []).entries()) {
      checkCorsHeaderName(name, `${path}.${field}[${index}]`, findings);
    }
  }
  if (policy.maxAge === undefined) return;
  checkDuration(policy.maxAge, `${path}.maxAge`, findings);
  if ((parseDurationNanos(policy.maxAge) ?? 0n) % 1_000_000_000n !== 0n) {
    findings.add('LTN2034', `${path}.maxAge`, {
      value: policy.maxAge,
      problem: 'browsers count whole seconds',
      cure: 'Round it to seconds.',
    });
  }
}

/**
 * How the Bookinfo applications call each other: where a service is, which headers travel on, one bounded JSON fetch.
 * `fetch` keeps connections alive, and goes through HTTP_PROXY when NODE_USE_ENV_PROXY=1 (plain requests in absolute
 * form, no CONNECT), which is how a sidecar without traffic capture sees these calls.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { type Env, readBounded } from '../../http-app.ts';

const maxAnswerBytes = 256 * 1024;

/** The request id and the tracing systems' contexts. */
const traceNames = [
  'x-request-id',
  'x-ot-span-context',
  'x-datadog-trace-id',
  'x-datadog-parent-id',
  'x-datadog-sampling-priority',
  'traceparent',
  'tracestate',
  'x-cloud-trace-context',
  'grpc-trace-bin',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'sw8',
];

/** Who calls, and the caller's session. */
const callerNames = ['user-agent', 'cookie', 'authorization', 'jwt'];

/** An answer of another service: `body` is parsed JSON, undefined unless `status` is 200. */
export interface UpstreamAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** The headers that join the calls made for a request to its trace: all that may leave Bookinfo. */
export function traceHeaders(incoming: IncomingHttpHeaders): Record<string, string> {
  return pickHeaders(incoming, traceNames);
}

/** The headers of a request that belong on the calls to Bookinfo's services made for it, but for `end-user`. */
export function forwardedHeaders(incoming: IncomingHttpHeaders): Record<string, string> {
  return pickHeaders(incoming, [...traceNames, ...callerNames]);
}

/** The `end-user` header as received. The product page must not use it: it sets its own, from the session. */
export function forwardedEndUser(incoming: IncomingHttpHeaders): Record<string, string> {
  return pickHeaders(incoming, ['end-user']);
}

function pickHeaders(incoming: IncomingHttpHeaders, names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = incoming[name];
    if (typeof value === 'string') picked[name] = value;
  }
  return picked;
}

/** URL of a Bookinfo service, from <NAME>_HOSTNAME, SERVICES_DOMAIN and <NAME>_SERVICE_PORT. */
export function serviceUrl(env: Env, name: 'details' | 'reviews' | 'ratings'): string {
  const prefix = name.toUpperCase();
  const domain = env['SERVICES_DOMAIN'] ? `.${env['SERVICES_DOMAIN']}` : '';
  const port = env[`${prefix}_SERVICE_PORT`] || '9080';
  return `http://${env[`${prefix}_HOSTNAME`] || name}${domain}:${port}/${name}`;
}

/**
 * GETs JSON, for as long as `callerGone` is not aborted. Never throws: no connection, a timeout and an unreadable body
 * all count as status 500.
 */
export async function fetchJson(
  url: string,
  headers: Readonly<Record<string, string>>,
  timeoutMs: number,
  callerGone: AbortSignal,
): Promise<UpstreamAnswer> {
  try {
    const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), callerGone]);
    const response = await fetch(url, { headers, signal });
    if (response.status !== 200 || response.body === null) {
      await response.body?.cancel();
      return { status: response.status === 200 ? 500 : response.status, body: undefined };
    }
    const text = await readBounded(response.body, maxAnswerBytes);
    return { status: 200, body: JSON.parse(text.toString()) };
  } catch (error) {
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    console.error(`call to ${url} failed: ${cause}`);
    return { status: 500, body: undefined };
  }
}

/**
 * GET of a URL that a user or a registry named, with its answer's status, head and whole body: bounded in size and time, and
 * never to an address that the guard refuses, which is asked in the resolver of the very connection and at each redirect anew
 * (security cases T14). What proves who asks stays with the origin that it is for.
 */
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { type AddressGuard, refusalOf } from '#base/address-guard.ts';
import { guardedLookup } from '#base/guarded-request.ts';
import type { Secret } from '#base/secret.ts';

export interface GuardedCall {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Value of the authorization header; not sent on to another origin. */
  readonly authorization: Secret | undefined;
  /** Ends the call, redirects and body included. */
  readonly signal: AbortSignal;
  /** Of the body. */
  readonly maxBytes: number;
  readonly guard: AddressGuard;
  /** Takes any certificate: for hosts that the operator listed. */
  readonly isInsecure: boolean;
}

export interface GuardedAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A call that got no answer; `code` is Node's, '' where there is none. */
export class CallError extends Error {
  override readonly name = 'CallError';
  readonly code: string;
  /** Trying again may help. */
  readonly isTransient: boolean;

  constructor(message: string, code = '', isTransient = false) {
    super(message);
    this.code = code;
    this.isTransient = isTransient;
  }
}

const MAX_REDIRECTS = 10;

/** Calls, and follows redirects. Errors: CallError. */
export async function callGuarded(call: GuardedCall): Promise<GuardedAnswer> {
  let url = requireUrl(call.url);
  let { authorization } = call;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const incoming = await open({ ...call, authorization }, url);
    const { statusCode: status = 0, headers } = incoming;
    if (![301, 302, 303, 307, 308].includes(status) || headers.location === undefined)
      return { status, headers, body: await readBody(incoming, call) };
    incoming.destroy();
    const next = requireUrl(headers.location, url);
    if (url.protocol === 'https:' && next.protocol !== 'https:')
      throw new CallError(`redirected from https to ${next.protocol}//`);
    if (next.origin !== url.origin) authorization = undefined;
    url = next;
  }
  throw new CallError(`more than ${MAX_REDIRECTS} redirects`);
}

function requireUrl(text: string, base?: URL): URL {
  const url = URL.parse(text, base);
  if (url === null || !/^https?:$/.test(url.protocol)) throw new CallError('not an http or https URL');
  return url;
}

function open(call: GuardedCall, url: URL): Promise<IncomingMessage> {
  const { guard, signal, authorization } = call;
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  // The resolver is not asked about what is an address already.
  const refusal = isIP(host) === 0 ? '' : refusalOf(host, guard);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  if (refusal !== '') {
    reject(new CallError(`refused: ${refusal}`));
    return promise;
  }
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const outgoing = send(url, {
    signal,
    agent: false,
    headers: {
      ...call.headers,
      ...(authorization === undefined ? {} : { authorization: authorization.reveal() }),
    },
    lookup: guardedLookup(guard),
    ...(call.isInsecure ? { rejectUnauthorized: false } : {}),
  });
  outgoing.on('error', (error: NodeJS.ErrnoException) => reject(callError(error, signal)));
  outgoing.on('response', resolve);
  outgoing.end();
  return promise;
}

/** What may be better a moment later. */
const TRANSIENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'ENOTFOUND',
]);

function callError(error: NodeJS.ErrnoException, signal: AbortSignal): CallError {
  if (signal.aborted) return new CallError('no answer in time', 'ETIMEDOUT', true);
  return new CallError(error.message, error.code, TRANSIENT.has(error.code ?? ''));
}

async function readBody(incoming: IncomingMessage, { maxBytes, signal }: GuardedCall): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) throw new CallError(`the answer is larger than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof CallError) throw error;
    throw callError(error as NodeJS.ErrnoException, signal);
  }
  return Buffer.concat(chunks);
}

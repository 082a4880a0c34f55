/**
 * Requests to one API server: authenticated, rate-limited, bounded in size and time, answers as JSON values. Lists and
 * watches are built on it in resource-watch.ts; it knows no kind. Errors are KubeErrors where the server refused, and
 * plain Errors where the connection failed.
 */
import type { Readable } from 'node:stream';
import type { Clock } from '#base/clock.ts';
import type { HttpResponse } from './http-exchange.ts';
import { kubeErrorOf } from './kube-error.ts';
import type { KubeTarget } from './kube-target.ts';
import { RateLimit } from './rate-limit.ts';
import { TokenSource } from './token-source.ts';
import { Transport } from './transport.ts';

const MAX_BODY_BYTES = 256 * 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;
/** A request whose answer is not complete by then has failed; watches are limited by their readers. */
const REQUEST_LIMIT_MS = 60_000;
const HEAD_LIMIT_MS = 30_000;
const MAX_RETRY_AFTER_MS = 60_000;
/** Istio's own limits for its client. */
const DEFAULT_PER_SECOND = 80;
const DEFAULT_BURST = 160;

/** What a client needs besides its target. */
export interface KubeClientOptions {
  readonly clock: Clock;
  /** Environment of credential plugins. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly userAgent: string;
  readonly perSecond?: number;
  readonly burst?: number;
}

/** One GET. */
export interface KubeGet {
  readonly path: string;
  readonly signal?: AbortSignal;
  /** Default: application/json. */
  readonly accept?: string;
}

/** A JSON value to send. */
export interface KubeSend {
  readonly path: string;
  readonly value: unknown;
  readonly signal?: AbortSignal;
}

/** What to delete, and in which state only. */
export interface KubeDelete {
  readonly path: string;
  readonly preconditions: { readonly uid: string | undefined; readonly resourceVersion: string | undefined };
}

interface KubeCall extends KubeGet {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly body?: string;
}

/** A client of one API server. */
export class KubeClient implements Disposable {
  readonly server: string;
  readonly #transport: Transport;
  readonly #tokens: TokenSource;
  readonly #limit: RateLimit;
  readonly #clock: Clock;
  readonly #userAgent: string;
  readonly #closing = new AbortController();

  constructor(target: KubeTarget, options: KubeClientOptions) {
    const { clock, perSecond = DEFAULT_PER_SECOND, burst = DEFAULT_BURST } = options;
    this.server = target.server;
    this.#clock = clock;
    this.#userAgent = options.userAgent;
    this.#transport = new Transport(target, clock);
    this.#tokens = new TokenSource(target, { clock, env: options.env });
    this.#limit = new RateLimit({ clock, perSecond, burst });
  }

  /** The whole answer as a JSON value. */
  getJson({ signal, ...get }: KubeGet): Promise<unknown> {
    return this.#json({ ...get, method: 'GET' }, signal);
  }

  /** Posts a JSON value, to create it or to have it reviewed; gives the answer as one. */
  postJson({ path, value, signal }: KubeSend): Promise<unknown> {
    return this.#json({ path, method: 'POST', body: JSON.stringify(value) }, signal);
  }

  /** Puts a JSON value in the place of the one that is there: with its resourceVersion only if nobody else did so since. */
  putJson({ path, value, signal }: KubeSend): Promise<unknown> {
    return this.#json({ path, method: 'PUT', body: JSON.stringify(value) }, signal);
  }

  /** Deletes an object if it is still the one that was read. */
  deleteJson({ path, preconditions }: KubeDelete): Promise<unknown> {
    const options = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions };
    return this.#json({ path, method: 'DELETE', body: JSON.stringify(options) }, undefined);
  }

  /** The body as it comes, once the server has accepted; it lives until destroyed or until the signal aborts. */
  async getStream(get: KubeGet & { readonly signal: AbortSignal }): Promise<Readable> {
    const lifetime = new AbortController();
    const limit = this.#clock.schedule(HEAD_LIMIT_MS, () =>
      lifetime.abort(new Error('no answer from the API server')),
    );
    try {
      const signal = AbortSignal.any([lifetime.signal, get.signal, this.#closing.signal]);
      return (await this.#open({ ...get, method: 'GET' }, signal)).body;
    } finally {
      limit[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    this.#closing.abort(new Error('the client is closed'));
    this.#transport[Symbol.dispose]();
  }

  #json(call: KubeCall, outer: AbortSignal | undefined): Promise<unknown> {
    return this.#within(REQUEST_LIMIT_MS, outer, async (signal) => {
      const response = await this.#open(call, signal);
      return JSON.parse(await readAll(response.body, MAX_BODY_BYTES)) as unknown;
    });
  }

  async #within<T>(
    limitMs: number,
    outer: AbortSignal | undefined,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const lifetime = new AbortController();
    const limit = this.#clock.schedule(limitMs, () =>
      lifetime.abort(new Error(`the API server did not answer within ${limitMs} ms`)),
    );
    const signals = [lifetime.signal, this.#closing.signal, ...(outer === undefined ? [] : [outer])];
    try {
      return await run(AbortSignal.any(signals));
    } catch (error) {
      // An aborted request fails with a word about aborting; the reason says more.
      throw lifetime.signal.aborted ? lifetime.signal.reason : error;
    } finally {
      limit[Symbol.dispose]();
    }
  }

  /** A 401 is tried once more when a newer token may be had. */
  async #open(call: KubeCall, signal: AbortSignal): Promise<HttpResponse> {
    const first = await this.#send(call, signal);
    const response = first.status === 401 && this.#tokens.refused() ? await this.#send(call, signal) : first;
    if (response !== first) first.body.destroy();
    if (response.status < 400) return response;
    const text = await readAll(response.body, MAX_ERROR_BYTES).catch(() => '');
    throw kubeErrorOf(response.status, parseOrText(text), retryAfterMs(response.retryAfter));
  }

  async #send(
    { method, path, accept = 'application/json', body }: KubeCall,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    await this.#limit.take();
    const token = await this.#tokens.header();
    const headers = {
      accept,
      'user-agent': this.#userAgent,
      ...(token === undefined ? {} : { authorization: token.reveal() }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    signal.throwIfAborted();
    return this.#transport.send({ method, path, headers, signal, ...(body === undefined ? {} : { body }) });
  }
}

/** Collects a body. Errors: rejects when it is larger than the limit or breaks off. */
async function readAll(body: Readable, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw new Error(`the answer is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text.trim() === '' ? undefined : { message: text.trim() };
  }
}

/** Seconds as Kubernetes sends them; dates are not taken. */
function retryAfterMs(header: string): number {
  return /^\d{1,6}$/.test(header) ? Math.min(Number(header) * 1000, MAX_RETRY_AFTER_MS) : 0;
}

/**
 * One HTTP/2 connection to an API server. Pings it while it is open: a peer that vanished without a word is noticed within
 * half a minute, and all watches on it fail and start again elsewhere.
 */
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '#base/clock.ts';
import type { HttpRequest, HttpResponse } from './http-exchange.ts';

const PING_INTERVAL_MS = 15_000;
const PING_LIMIT_MS = 15_000;
/** Lists are large: a window of Node's size (64 KiB) costs a round trip per 64 KiB. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const SESSION_WINDOW_BYTES = 16 * 1024 * 1024;
const FORBIDDEN_HEADERS: ReadonlySet<string> = new Set(['connection', 'host', 'keep-alive']);

/** Takes requests until the server says goodbye or the connection breaks. */
export class Http2Connection implements Disposable {
  readonly #session: ClientHttp2Session;
  readonly #clock: Clock;
  #timer: Disposable | undefined;
  #isLeaving = false;

  constructor(origin: string, socket: TLSSocket, clock: Clock) {
    this.#clock = clock;
    this.#session = connect(origin, {
      createConnection: () => socket,
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false },
    });
    this.#session.once('connect', () => this.#session.setLocalWindowSize(SESSION_WINDOW_BYTES));
    this.#session.once('goaway', () => {
      this.#isLeaving = true;
    });
    // Each stream reports the failure to its own reader.
    this.#session.on('error', () => {});
    this.#session.once('close', () => this.#timer?.[Symbol.dispose]());
    this.#schedulePing();
  }

  /** False once a new request needs another connection. */
  get isUsable(): boolean {
    return !this.#isLeaving && !this.#session.closed && !this.#session.destroyed;
  }

  /** As Transport.send. */
  send({ method, path, headers, body, signal }: HttpRequest): Promise<HttpResponse> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
    const fields = Object.entries(headers).filter(([name]) => !FORBIDDEN_HEADERS.has(name.toLowerCase()));
    const stream = this.#session.request(
      { ...Object.fromEntries(fields), ':method': method, ':path': path },
      { endStream: body === undefined, signal },
    );
    stream.once('response', (head) => {
      const retryAfter = head['retry-after'];
      resolve({
        status: Number(head[constants.HTTP2_HEADER_STATUS]),
        retryAfter: typeof retryAfter === 'string' ? retryAfter : '',
        body: stream,
      });
    });
    stream.on('error', reject);
    stream.once('close', () => reject(new Error('the connection was closed')));
    if (body !== undefined) stream.end(body);
    return promise;
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#session.destroy();
  }

  #schedulePing(): void {
    this.#timer = this.#clock.schedule(PING_INTERVAL_MS, () => this.#ping());
  }

  #ping(): void {
    if (this.#session.destroyed) return;
    this.#timer = this.#clock.schedule(PING_LIMIT_MS, () =>
      this.#session.destroy(new Error('the API server does not answer pings')),
    );
    this.#session.ping((error) => {
      if (error !== null && error !== undefined) return;
      this.#timer?.[Symbol.dispose]();
      this.#schedulePing();
    });
  }
}

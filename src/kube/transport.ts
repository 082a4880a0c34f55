/**
 * HTTP towards one API server. Over TLS one HTTP/2 connection carries all watches, if the server speaks it; else, and
 * without TLS, HTTP/1.1 with connections that are kept. A connection that lies still is found by HTTP/2 pings or TCP keep-alive.
 */
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { type ConnectionOptions, connect as tlsConnect, type TLSSocket } from 'node:tls';
import type { Clock } from '#base/clock.ts';
import type { HttpRequest, HttpResponse } from './http-exchange.ts';
import { Http2Connection } from './http2-connection.ts';
import type { KubeTarget } from './kube-target.ts';

const CONNECT_LIMIT_MS = 10_000;
const KEEP_ALIVE_MS = 15_000;

/** Sends requests to one server until disposed of. */
export class Transport implements Disposable {
  readonly #origin: string;
  readonly #prefix: string;
  readonly #isTls: boolean;
  readonly #tls: ConnectionOptions;
  readonly #clock: Clock;
  readonly #agent: HttpAgent;
  #http2: Http2Connection | undefined;
  #opening: Promise<Http2Connection | undefined> | undefined;
  #speaksHttp2: boolean;
  #isDisposed = false;

  constructor(target: KubeTarget, clock: Clock) {
    const url = new URL(target.server);
    this.#origin = url.origin;
    this.#prefix = url.pathname.replace(/\/$/, '');
    this.#isTls = url.protocol === 'https:';
    this.#speaksHttp2 = this.#isTls;
    this.#clock = clock;
    const { ca, certificate, key, serverName, insecure } = target.tls;
    this.#tls = {
      rejectUnauthorized: !insecure,
      ...(ca === undefined ? {} : { ca }),
      ...(certificate === undefined ? {} : { cert: certificate }),
      ...(key === undefined ? {} : { key: key.reveal() }),
      ...(serverName === undefined ? {} : { servername: serverName }),
    };
    const keep = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, timeout: 0 };
    this.#agent = this.#isTls ? new HttpsAgent({ ...keep, ...this.#tls }) : new HttpAgent(keep);
  }

  /** Errors: rejects when the connection fails before the head of the answer is there, or the signal aborts. */
  async send(request: HttpRequest): Promise<HttpResponse> {
    const full = { ...request, path: `${this.#prefix}${request.path}` };
    const connection = this.#speaksHttp2 ? await this.#connection() : undefined;
    return connection === undefined ? this.#sendHttp1(full) : connection.send(full);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#agent.destroy();
    this.#http2?.[Symbol.dispose]();
  }

  /** The HTTP/2 connection, opened when there is none that takes requests; undefined when the server speaks HTTP/1.1. */
  async #connection(): Promise<Http2Connection | undefined> {
    if (this.#http2?.isUsable === true) return this.#http2;
    // Whoever comes while the connection is being opened waits for the same one.
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #open(): Promise<Http2Connection | undefined> {
    const socket = await this.#connectTls();
    if (this.#isDisposed || socket.alpnProtocol !== 'h2') {
      socket.destroy();
      if (this.#isDisposed) throw new Error('the client is closed');
      this.#speaksHttp2 = false;
      return undefined;
    }
    this.#http2 = new Http2Connection(this.#origin, socket, this.#clock);
    return this.#http2;
  }

  #connectTls(): Promise<TLSSocket> {
    const { hostname, port } = new URL(this.#origin);
    const host = hostname.replace(/^\[|\]$/g, '');
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
    const socket = tlsConnect({
      ...this.#tls,
      host,
      port: Number(port || 443),
      ALPNProtocols: ['h2', 'http/1.1'],
      ...(this.#tls.servername === undefined && !isAddress(host) ? { servername: host } : {}),
    });
    const limit = this.#clock.schedule(CONNECT_LIMIT_MS, () =>
      socket.destroy(new Error(`no connection to ${this.#origin} within ${CONNECT_LIMIT_MS} ms`)),
    );
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.once('secureConnect', () => {
      limit[Symbol.dispose]();
      socket.removeListener('error', reject);
      resolve(socket);
    });
    socket.once('error', (error) => {
      limit[Symbol.dispose]();
      reject(error);
    });
    return promise;
  }

  #sendHttp1({ method, path, headers, body, signal }: HttpRequest): Promise<HttpResponse> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
    // Node frames a body of DELETE by its length only, and only when told.
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const options: RequestOptions = {
      method,
      headers: { ...headers, ...length },
      agent: this.#agent,
      signal,
    };
    const send = this.#isTls ? httpsRequest : httpRequest;
    const request = send(`${this.#origin}${path}`, options, (response: IncomingMessage) => {
      const retryAfter = response.headers['retry-after'] ?? '';
      resolve({ status: response.statusCode ?? 0, retryAfter, body: response });
    });
    request.on('error', reject);
    request.once('socket', (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
    request.end(body);
    return promise;
  }
}

function isAddress(host: string): boolean {
  return host.includes(':') || /^[\d.]+$/.test(host);
}

/**
 * The plain HTTP server under health, metrics and debug pages: a table of routes, and bounds on everything that a client may
 * take. Reads only: GET and HEAD, bodies are not read. Routes that are not for everybody ask a DoorKeeper first, and only
 * so many of them are answered at a time.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from '#base/logger.ts';

/** A request as routes see it. */
export interface DoorRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly caller: DoorCaller;
  /** The namespace that the answer may be about; undefined for all. */
  readonly namespace: string | undefined;
}

/** Who asks, as far as a plain connection tells. */
export interface DoorCaller {
  readonly remoteAddress: string;
  /** The Host header without port, lower case. */
  readonly host: string;
  /** The Authorization header, '' when there is none. */
  readonly authorization: string;
}

export interface DoorAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** What a caller may see of what is not for everybody: all, what is about one namespace, nothing. */
export type DoorPass =
  | { readonly kind: 'all' }
  | { readonly kind: 'namespace'; readonly namespace: string }
  | { readonly kind: 'refused'; readonly status: 401 | 403 };

/** Decides who may see what is not for everybody. */
export interface DoorKeeper {
  admit(caller: DoorCaller): DoorPass | Promise<DoorPass>;
}

export interface Route {
  /** Exact path. */
  readonly path: string;
  /** Others than `open` ask the DoorKeeper; `by-namespace` ones answer those too who may see one namespace only. */
  readonly access: 'open' | 'guarded' | 'by-namespace';
  answer(request: DoorRequest): DoorAnswer | Promise<DoorAnswer>;
}

export interface HttpDoorOptions {
  readonly routes: readonly Route[];
  readonly keeper: DoorKeeper;
  readonly log: Logger;
  /** Default: 256. */
  readonly maxConnections?: number;
}

const MAX_CONNECTIONS = 256;
/** Answers to guarded requests that may be under way at a time: they are large, and their callers may cost a look at credentials. */
const MAX_GUARDED = 16;
/** Whoever has not read an answer by then is cut off. */
const ANSWER_LIMIT_MS = 60_000;
const LIMITS = {
  maxHeaderSize: 16_384,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
};

/** A text answer. */
export function textAnswer(status: number, body: string): DoorAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body };
}

/** A JSON answer, indented as people read it. */
export function jsonAnswer(value: unknown): DoorAnswer {
  return { status: 200, contentType: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` };
}

export class HttpDoor implements AsyncDisposable {
  readonly #server: Server;
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #options: HttpDoorOptions;
  #guarded = 0;

  constructor(options: HttpDoorOptions) {
    this.#options = options;
    this.#routes = new Map(options.routes.map((route) => [route.path, route]));
    this.#server = createServer(LIMITS, (request, response) => void this.#serve(request, response));
    this.#server.maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
  }

  /** Returns the port. Port 0 takes a free one. Errors: rejects with the system's error when the address is taken. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#options.log.error('an HTTP door failed', { error }));
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: DoorAnswer;
    try {
      answer = await this.#answer(request, response);
    } catch (error) {
      this.#options.log.error('an HTTP request failed', { path: request.url ?? '', error });
      answer = textAnswer(500, 'internal error\n');
    }
    const body = Buffer.from(answer.body);
    response.writeHead(answer.status, {
      'content-type': answer.contentType,
      'content-length': body.length,
      'x-content-type-options': 'nosniff',
      // Nobody reads what a request carries, so its connection can't be used again.
      ...(hasBody(request) ? { connection: 'close' } : {}),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<DoorAnswer> {
    if (request.method !== 'GET' && request.method !== 'HEAD') return textAnswer(405, 'method not allowed\n');
    const target = URL.parse(request.url ?? '/', 'http://door');
    if (target === null) return textAnswer(400, 'bad request\n');
    const route = this.#routes.get(target.pathname);
    if (route === undefined) return textAnswer(404, 'not found\n');
    const asked = { path: target.pathname, query: target.searchParams, caller: callerOf(request) };
    if (route.access === 'open') return route.answer({ ...asked, namespace: undefined });
    if (this.#guarded >= MAX_GUARDED) return textAnswer(503, 'too many requests at a time\n');
    this.#count(response);
    const pass = await this.#options.keeper.admit(asked.caller);
    if (pass.kind === 'refused') return textAnswer(pass.status, 'not for you\n');
    if (pass.kind === 'all') return route.answer({ ...asked, namespace: undefined });
    if (route.access !== 'by-namespace') return textAnswer(403, 'not for you\n');
    return route.answer({ ...asked, namespace: pass.namespace });
  }

  /** Counts a guarded request until its answer is read, or the caller is cut off. */
  #count(response: ServerResponse): void {
    this.#guarded++;
    const limit = setTimeout(() => response.destroy(), ANSWER_LIMIT_MS);
    response.once('close', () => {
      clearTimeout(limit);
      this.#guarded--;
    });
  }
}

function hasBody(request: IncomingMessage): boolean {
  return (
    request.headers['transfer-encoding'] !== undefined || (request.headers['content-length'] ?? '0') !== '0'
  );
}

function callerOf(request: IncomingMessage): DoorCaller {
  const host = (request.headers.host ?? '').toLowerCase();
  return {
    remoteAddress: request.socket.remoteAddress ?? '',
    host: host.startsWith('[') ? host.slice(0, host.indexOf(']') + 1) : (host.split(':')[0] ?? ''),
    authorization: request.headers.authorization ?? '',
  };
}

/**
 * The plain HTTP server under health, metrics and debug pages: a table of routes, and bounds on everything that a client may
 * take. Reads only: GET and HEAD, bodies are not read. Routes that are not for everybody ask a DoorKeeper first.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from '#base/logger.ts';

/** A request as routes see it. */
export interface DoorRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly caller: DoorCaller;
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

/** Decides who may see what is not for everybody. */
export interface DoorKeeper {
  mayPass(request: DoorRequest): boolean | Promise<boolean>;
}

export interface Route {
  /** Exact path. */
  readonly path: string;
  /** `guarded` routes ask the DoorKeeper. */
  readonly access: 'open' | 'guarded';
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
      answer = await this.#answer(request);
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

  async #answer(request: IncomingMessage): Promise<DoorAnswer> {
    if (request.method !== 'GET' && request.method !== 'HEAD') return textAnswer(405, 'method not allowed\n');
    const target = URL.parse(request.url ?? '/', 'http://door');
    if (target === null) return textAnswer(400, 'bad request\n');
    const route = this.#routes.get(target.pathname);
    if (route === undefined) return textAnswer(404, 'not found\n');
    const asked: DoorRequest = {
      path: target.pathname,
      query: target.searchParams,
      caller: callerOf(request),
    };
    if (route.access === 'guarded' && !(await this.#options.keeper.mayPass(asked))) {
      return textAnswer(403, 'not for you\n');
    }
    return route.answer(asked);
  }
}

/**
 * Lets in callers on this machine. They must also have asked for it by a name of this machine: a web page that points its own
 * name at 127.0.0.1 (DNS rebinding) reads nothing.
 */
export function loopbackKeeper(): DoorKeeper {
  return { mayPass: ({ caller }) => isLoopback(caller.remoteAddress) && isLoopbackName(caller.host) };
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

function isLoopback(address: string): boolean {
  return /^(::ffff:)?127(\.\d{1,3}){3}$/.test(address) || address === '::1';
}

function isLoopbackName(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || isLoopback(host);
}

/**
 * The plain HTTP server under health, metrics and debug pages: a table of pages, and bounds on everything that a client may
 * take. Reads only: GET and HEAD, bodies are not read. Pages below `localPrefix` ask a DoorKeeper first.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a page answers. */
export interface PageAnswer {
  readonly status: number;
  /** Content type. */
  readonly type: string;
  readonly body: string;
}

export type PageHandler = (query: URLSearchParams) => PageAnswer | Promise<PageAnswer>;

/** Who asks, as far as a plain connection tells. */
export interface DoorCaller {
  readonly remoteAddress: string;
  /** The Host header without port, lower case. */
  readonly host: string;
  /** The Authorization header, '' when there is none. */
  readonly authorization: string;
}

/** Decides who may see what is not for everybody; `path` and `query` say what is asked for. */
export interface DoorKeeper {
  mayPass(caller: DoorCaller, path: string, query: URLSearchParams): boolean | Promise<boolean>;
}

export interface HttpServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** By exact path. */
  readonly pages: ReadonlyMap<string, PageHandler>;
  /** Pages whose path begins like this are guarded. */
  readonly localPrefix?: string;
  /** Default: callers on this machine only. */
  readonly keeper?: DoorKeeper;
  /** Told of a page that failed; the client learns nothing of why. */
  readonly onError?: (path: string, error: unknown) => void;
}

export interface HttpServer extends AsyncDisposable {
  readonly port: number;
}

const MAX_CONNECTIONS = 256;
const LIMITS = {
  maxHeaderSize: 16_384,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
};

/** Opens a door. Errors: rejects with the system's error when the address is taken. */
export function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const server = createServer(LIMITS, (request, response) => void serve(options, request, response));
  server.maxConnections = MAX_CONNECTIONS;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      server.on('error', (error) => options.onError?.('', error));
      const { port } = server.address() as AddressInfo;
      resolve({ port, [Symbol.asyncDispose]: () => close(server) });
    });
  });
}

/** A value as JSON, indented as people read it. */
export function jsonPage(value: unknown): PageAnswer {
  return { status: 200, type: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` };
}

/**
 * Lets in callers on this machine. They must also have asked for it by a name of this machine: a web page that points its own
 * name at 127.0.0.1 (DNS rebinding) reads nothing.
 */
export function loopbackKeeper(): DoorKeeper {
  return { mayPass: (caller) => isLoopback(caller.remoteAddress) && isLoopbackName(caller.host) };
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
}

async function serve(
  options: HttpServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let answer: PageAnswer;
  try {
    answer = await answerTo(options, request);
  } catch (error) {
    options.onError?.(request.url ?? '', error);
    answer = textPage(500, 'internal error');
  }
  const body = Buffer.from(answer.body);
  response.writeHead(answer.status, {
    'content-type': answer.type,
    'content-length': body.length,
    'x-content-type-options': 'nosniff',
    // Nobody reads what a request carries, so its connection can't be used again.
    ...(hasBody(request) ? { connection: 'close' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function answerTo(options: HttpServerOptions, request: IncomingMessage): Promise<PageAnswer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return textPage(405, 'method not allowed');
  const target = URL.parse(request.url ?? '/', 'http://door');
  if (target === null) return textPage(400, 'bad request');
  const { pathname, searchParams } = target;
  const page = options.pages.get(pathname);
  if (page === undefined) return textPage(404, 'not found');
  if (options.localPrefix !== undefined && pathname.startsWith(options.localPrefix)) {
    const keeper = options.keeper ?? loopbackKeeper();
    if (!(await keeper.mayPass(callerOf(request), pathname, searchParams)))
      return textPage(403, 'not for you');
  }
  return page(searchParams);
}

function textPage(status: number, text: string): PageAnswer {
  return { status, type: 'text/plain; charset=utf-8', body: `${text}\n` };
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

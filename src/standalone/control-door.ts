/**
 * The control door of a running mesh: HTTP with JSON on a Unix socket that only its owner may open. Knows how to speak, not what
 * it is about: handlers are handed in by path. Bodies are bounded; a handler that fails costs its own request only.
 */
import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type ControlError, MAX_BODY_BYTES } from '#doors/control-protocol.ts';

/** One request, read. */
export interface ControlCall {
  readonly query: URLSearchParams;
  /** The JSON body; undefined for GET. */
  readonly body: unknown;
  /** Fires when the caller has gone. */
  readonly signal: AbortSignal;
  /** Sends a part of a streamed answer. */
  readonly send: (part: string | Uint8Array) => void;
}

/** Gives the JSON answer, or undefined when it has streamed one. */
export type ControlHandler = (call: ControlCall) => unknown;

/** Handlers by `METHOD /path`. */
export type ControlHandlers = ReadonlyMap<string, ControlHandler>;

/** A refusal with a status, for the caller to read. */
export class ControlRefusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const REQUEST_TIMEOUT_MS = 30_000;

/** Opens the door. Errors: rejects when the socket cannot be made. */
export async function openControlDoor(
  socketPath: string,
  handlers: ControlHandlers,
): Promise<AsyncDisposable> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    void answer(handlers, request, response);
  });
  rmSync(socketPath, { force: true });
  server.listen(socketPath);
  await once(server, 'listening');
  chmodSync(socketPath, 0o600);
  return { [Symbol.asyncDispose]: () => closeServer(server, socketPath) };
}

async function closeServer(server: Server, socketPath: string): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
  rmSync(socketPath, { force: true });
}

async function answer(
  handlers: ControlHandlers,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  response.on('error', () => gone.abort());
  try {
    const url = new URL(request.url ?? '/', 'http://mesh');
    const handler = handlers.get(`${request.method} ${url.pathname}`);
    if (handler === undefined) throw new ControlRefusal(404, `no ${request.method} ${url.pathname} here`);
    const body = request.method === 'GET' ? undefined : await readJson(request);
    const send = (part: string | Uint8Array): void => void (gone.signal.aborted || response.write(part));
    const result = await handler({ query: url.searchParams, body, signal: gone.signal, send });
    if (result === undefined) response.end();
    else sendJson(response, 200, result);
  } catch (error) {
    const status = error instanceof ControlRefusal ? error.status : 500;
    const text: ControlError = { error: error instanceof Error ? error.message : String(error) };
    if (response.headersSent) response.end();
    else sendJson(response, status, text);
  }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_BODY_BYTES) throw new ControlRefusal(413, `more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new ControlRefusal(400, 'the body is not JSON');
  }
}

/**
 * A gRPC server on a Unix socket for one client: the Envoy beside the agent. Only the own user may connect (0600 from the first
 * moment on), unless it is for applications of other users; a socket file that a killed predecessor left is taken over. Calls are handed out as raw HTTP/2 streams.
 */
import { lstatSync, mkdirSync, rmSync } from 'node:fs';
import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { dirname } from 'node:path';
import { encodeGrpcMessage, GRPC_UNIMPLEMENTED, type GrpcStatus, grpcStatus } from '#base/grpc-frame.ts';
import type { Logger } from '#base/logger.ts';

/** One call: its path is known, its messages are not read yet. */
export interface GrpcCall {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
}

export type GrpcHandler = (call: GrpcCall) => void;

/** Receive window of each stream: what may lie unread in memory for a stream that is not read. */
export const receiveWindowBytes = 256 * 1024;

/** Serves calls by path. */
export class UnixGrpcServer {
  readonly #path: string;
  readonly #handlers: ReadonlyMap<string, GrpcHandler>;
  readonly #log: Logger;
  readonly #mode: number;
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(path: string, handlers: ReadonlyMap<string, GrpcHandler>, log: Logger, isOpenToAll = false) {
    this.#mode = isOpenToAll ? 0o666 : 0o600;
    this.#path = path;
    this.#handlers = handlers;
    this.#log = log;
    this.#server = createServer({ settings: { initialWindowSize: receiveWindowBytes } });
    this.#server.on('session', (session) => this.#hold(session));
    this.#server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      this.#dispatch({ stream, headers });
    });
  }

  /** Binds the socket. Errors: rejects when the path is taken by something that is not a socket, or cannot be bound. */
  listen(): Promise<void> {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    removeStaleSocket(this.#path);
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      // The socket file is made within this call; with this mask it is never open to others, not even for a moment.
      const mask = process.umask(0o777 & ~this.#mode);
      this.#server.listen(this.#path, resolve);
      process.umask(mask);
    });
  }

  /** Ends all calls and removes the socket. */
  close(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #hold(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.on('close', () => this.#sessions.delete(session));
    session.on('error', (error) => this.#log.debug('connection from Envoy failed', { error }));
  }

  #dispatch(call: GrpcCall): void {
    call.stream.on('error', (error) => this.#log.debug('stream from Envoy failed', { error }));
    const path = call.headers[':path'] ?? '';
    const handler = this.#handlers.get(path);
    if (handler !== undefined) return handler(call);
    openGrpcReply(call.stream);
    endGrpcReply(call.stream, grpcStatus(GRPC_UNIMPLEMENTED, `no method ${path}`));
  }
}

/** Sends the head of a reply, so that messages may follow. */
export function openGrpcReply(stream: ServerHttp2Stream): void {
  if (stream.headersSent || stream.destroyed) return;
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
}

/** Ends a reply with a status, after everything written before. The stream's head must have been sent. */
export function endGrpcReply(stream: ServerHttp2Stream, status: GrpcStatus): void {
  if (stream.destroyed || stream.writableEnded) return;
  stream.once('wantTrailers', () => {
    stream.sendTrailers({
      'grpc-status': String(status.code),
      'grpc-message': encodeGrpcMessage(status.message),
    });
  });
  stream.end();
}

function removeStaleSocket(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new Error(`${path} is in the way: it is no socket`);
  rmSync(path);
}

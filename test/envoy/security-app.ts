/**
 * The application behind sidecars in the tests of mutual TLS: on any port it speaks HTTP/1.1, gRPC, bytes, and TLS of its own, and
 * says what reached it: as whom the sidecar introduced the caller, and whether TLS came through untouched.
 */
import { createServer, type IncomingMessage, type Server as HttpServer } from 'node:http';
import {
  createServer as createHttp2Server,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import type { WorkloadCertificate } from './workload-certificates.ts';

const TLS_HANDSHAKE = 0x16;
const HTTP2_PREFACE = 'PRI * HTTP/2';
const HTTP1_LINE = /^[A-Z]+ \S/;
const MAX_HEADER_BYTES = 128 * 1024;
/** Header of answers: who called, as the sidecar says. */
export const CALLER_HEADER = 'x-caller';
/** What callers of ports without HTTP are answered. */
export const TCP_ANSWER = 'bytes';
/** The same where TLS ended at the application. */
export const OWN_TLS_ANSWER = 'own TLS';

export class SecurityApp implements AsyncDisposable {
  readonly #tls: TlsServer;
  readonly #listeners: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #http: HttpServer = createServer(
    { maxHeaderSize: MAX_HEADER_BYTES },
    (request: IncomingMessage, response) => {
      request.resume();
      response.setHeader(CALLER_HEADER, callerOf(request.headers));
      response.end();
    },
  );
  readonly #http2: Http2Server = createHttp2Server();

  constructor({ key, chain }: WorkloadCertificate) {
    this.#tls = createTlsServer({ key, cert: chain }, (secure) => {
      secure.on('error', () => secure.destroy());
      secure.once('data', () => secure.end(OWN_TLS_ANSWER));
    });
    this.#http2.on('stream', answerGrpc);
  }

  /** Listens on one more address. */
  async listen(address: string, port: number): Promise<void> {
    const listener = createTcpServer((socket) => this.serve(socket));
    this.#listeners.push(listener);
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(port, address, resolve);
    });
  }

  /** Serves a connection that somebody else took. */
  serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.once('data', (first: Buffer) => {
      socket.pause();
      socket.unshift(first);
      const text = first.subarray(0, 40).toString('latin1');
      if (first[0] === TLS_HANDSHAKE) this.#tls.emit('connection', socket);
      else if (text.startsWith(HTTP2_PREFACE)) this.#http2.emit('connection', socket);
      else if (HTTP1_LINE.test(text)) this.#http.emit('connection', socket);
      else socket.end(TCP_ANSWER);
      process.nextTick(() => socket.resume());
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#listeners.map((listener) => new Promise((resolve) => listener.close(resolve))));
  }
}

function answerGrpc(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  stream.on('error', () => stream.destroy());
  stream.resume();
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', [CALLER_HEADER]: callerOf(headers) },
    { waitForTrailers: true },
  );
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(Buffer.alloc(5));
}

/** SPIFFE id of the last caller that the sidecars name; '' for nobody known. */
function callerOf(headers: IncomingHttpHeaders): string {
  const told = String(headers['x-forwarded-client-cert'] ?? '');
  return /;URI=([^;,]*)$/.exec(told)?.[1] ?? told;
}

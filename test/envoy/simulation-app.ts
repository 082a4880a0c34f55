/**
 * The application behind every cluster of the simulator's tests: answers HTTP/1.1 and HTTP/2 on the same port with 200, gives bytes
 * back, and closes where a client speaks TLS. It listens where tests say, on loopback addresses only.
 */
import { createServer, type Server as HttpServer } from 'node:http';
import { createServer as createHttp2Server, type Http2Server } from 'node:http2';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';

const TLS_HANDSHAKE = 0x16;
const HTTP2_PREFACE = 'PRI * HTTP/2';
const HTTP1_LINE = /^[A-Z]+ \S/;

export class SimulationApp implements AsyncDisposable {
  readonly #listeners: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #http: HttpServer = createServer((request, response) => {
    request.resume();
    response.end('ok');
  });
  readonly #http2: Http2Server = createHttp2Server((request, response) => {
    request.resume();
    response.end('ok');
  });

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
      if (first[0] === TLS_HANDSHAKE) socket.destroy();
      else if (text.startsWith(HTTP2_PREFACE)) this.#http2.emit('connection', socket);
      else if (HTTP1_LINE.test(text)) this.#http.emit('connection', socket);
      else socket.pipe(socket);
      socket.resume();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#listeners.map((listener) => new Promise((resolve) => listener.close(resolve))));
  }
}

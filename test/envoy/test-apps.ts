/** Small applications behind and beside Envoys in tests: HTTP that tells what it got, HTTP/2, bytes back, calls. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import {
  createServer as createHttp2Server,
  type IncomingHttpHeaders as IncomingHttp2Headers,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect, createServer as createTcpServer, type Server } from 'node:net';

/** An application that listens; `close` ends its connections too. */
export interface TestApp {
  readonly port: number;
  close(): Promise<void>;
}

/** Answers 200 with the request's headers, path and HTTP version as JSON. */
export async function startHttpApp(address: string): Promise<TestApp> {
  const server = createServer((incoming, answer) => {
    incoming.resume();
    const text = JSON.stringify({
      headers: incoming.headers,
      url: incoming.url,
      version: incoming.httpVersion,
    });
    answer.setHeader('content-type', 'application/json');
    answer.end(text);
  });
  server.listen(0, address);
  await once(server, 'listening');
  return appOf(server, () => server.closeAllConnections());
}

/** Answers over plain HTTP/2 as `startHttpApp` does; calls of gRPC get an empty message and grpc-status 0. */
export async function startHttp2App(address: string): Promise<TestApp> {
  const sessions = new Set<{ destroy(): void }>();
  const server = createHttp2Server();
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttp2Headers) => {
    stream.on('error', () => stream.destroy());
    stream.resume();
    if (headers['content-type'] !== 'application/grpc') {
      stream.respond({ ':status': 200 });
      stream.end(JSON.stringify({ headers, url: headers[':path'], version: '2.0' }));
      return;
    }
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.alloc(5));
  });
  server.on('session', (session) => sessions.add(session));
  server.listen(0, address);
  await once(server, 'listening');
  return appOf(server, () => {
    for (const session of sessions) session.destroy();
  });
}

/** Sends every byte back. */
export async function startEchoApp(address: string): Promise<TestApp> {
  const sockets = new Set<{ destroy(): void }>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen(0, address);
  await once(server, 'listening');
  return appOf(server, () => {
    for (const socket of sockets) socket.destroy();
  });
}

function appOf(server: Server, dropConnections: () => void): TestApp {
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  const close = async (): Promise<void> => {
    const closed = once(server, 'close');
    server.close();
    dropConnections();
    await closed;
  };
  return { port: bound.port, close };
}

/** What a call got. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
}

export interface Call {
  readonly address: string;
  readonly port: number;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Buffer;
}

/** One HTTP/1.1 call on a connection of its own; the path goes out as it is written. */
export async function callHttp(call: Call): Promise<Answer> {
  const outgoing = request({
    host: call.address,
    port: call.port,
    path: call.path ?? '/',
    method: call.method ?? 'GET',
    headers: call.headers as Record<string, string | string[]>,
    agent: false,
    timeout: 5_000,
  });
  outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 5 s')));
  outgoing.end(call.body);
  const [answer] = await once(outgoing, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  return { status: answer.statusCode, body: Buffer.concat(chunks).toString(), headers: answer.headers };
}

/** Sends bytes and gives what came back until as many came, or the connection closed. */
export async function callTcp(address: string, port: number, text: string): Promise<string> {
  const socket = connect(port, address);
  socket.setTimeout(5_000, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.write(text);
  let got = '';
  socket.on('data', (chunk: Buffer) => {
    got += chunk.toString();
    if (got.length >= text.length) socket.end();
  });
  await once(socket, 'close');
  return got;
}

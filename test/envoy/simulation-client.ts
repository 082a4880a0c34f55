/**
 * A client whose connections seem to come from and go to any address: a PROXY protocol header stands in for what iptables would
 * do. HTTP/1.1 is written by hand, so that paths and hosts arrive as they are meant; requests share connections.
 */
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2, type OutgoingHttpHeaders } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { CallConnection, CallRequest } from '#simulation/call.ts';
import type { WorkloadCertificate } from './workload-certificates.ts';

const LIMIT_MS = 5_000;

/** What the client saw: an answer, or a connection that ended without one. */
export type Answer =
  | { readonly kind: 'answer'; readonly status: number; readonly headers: ReadonlyMap<string, string> }
  | { readonly kind: 'bytes' }
  | { readonly kind: 'closed' };

/** Where the proxy really listens, and the key for the certificate that the call describes. */
export interface Door {
  readonly address: string;
  readonly port: number;
  readonly certificate: WorkloadCertificate | undefined;
}

/** One connection, kept for several requests. */
export class CallClient {
  readonly #door: Door;
  readonly #connection: CallConnection;
  #stream: Promise<Socket | TLSSocket | undefined> | undefined;
  #session: ClientHttp2Session | undefined;

  constructor(door: Door, connection: CallConnection) {
    this.#door = door;
    this.#connection = connection;
  }

  /** Sends a request, or bytes where there is none. */
  async send(request: CallRequest | undefined): Promise<Answer> {
    this.#stream ??= this.#open();
    const stream = await this.#stream;
    if (stream === undefined || stream.destroyed) return this.#forget({ kind: 'closed' });
    if (request === undefined) return this.#forget(await exchangeBytes(stream));
    if (this.#connection.protocol === 'http/2') {
      this.#session ??= openSession(stream);
      const answer = await exchangeHttp2(this.#session, request);
      return answer.kind === 'closed' ? this.#forget(answer) : answer;
    }
    const answer = await exchangeHttp1(stream, request);
    const ends = answer.kind !== 'answer' || answer.headers.get('connection') === 'close';
    return ends ? this.#forget(answer) : answer;
  }

  async close(): Promise<void> {
    this.#session?.destroy();
    (await this.#stream)?.destroy();
  }

  #forget(answer: Answer): Answer {
    void this.close();
    this.#stream = undefined;
    this.#session = undefined;
    return answer;
  }

  async #open(): Promise<Socket | TLSSocket | undefined> {
    const { sourceAddress, sourcePort, address, port, tls } = this.#connection;
    const socket = connect({ host: this.#door.address, port: this.#door.port, localAddress: sourceAddress });
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    if (!(await happens(socket, 'connect'))) return undefined;
    socket.write(`PROXY TCP4 ${sourceAddress} ${address} ${sourcePort} ${port}\r\n`);
    if (tls === undefined) return socket;
    const { certificate } = this.#door;
    const secure = connectTls({
      socket,
      rejectUnauthorized: false,
      ...(tls.serverName === '' ? {} : { servername: tls.serverName }),
      ...(tls.alpn.length === 0 ? {} : { ALPNProtocols: [...tls.alpn] }),
      ...(certificate === undefined ? {} : { key: certificate.key, cert: certificate.chain }),
    });
    secure.on('error', () => secure.destroy());
    return (await happens(secure, 'secureConnect')) ? secure : undefined;
  }
}

async function happens(socket: Socket, event: string): Promise<boolean> {
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(LIMIT_MS)]);
  socket.once('close', () => stop.abort());
  try {
    await once(socket, event, { signal });
    return true;
  } catch {
    return false;
  }
}

function openSession(stream: Socket | TLSSocket): ClientHttp2Session {
  const session = connectHttp2('http://call', { createConnection: () => stream });
  session.on('error', () => session.destroy());
  return session;
}

function exchangeHttp2(session: ClientHttp2Session, request: CallRequest): Promise<Answer> {
  return new Promise((resolve) => {
    if (session.destroyed || session.closed) return resolve({ kind: 'closed' });
    const headers: OutgoingHttpHeaders = {
      ':method': request.method,
      ':authority': request.authority,
      ':path': request.path,
      ':scheme': request.scheme || 'http',
    };
    for (const [name, value] of request.headers) {
      const before = headers[name];
      headers[name] = before === undefined ? value : [before, value].flat().map(String);
    }
    const stream = session.request(headers, { endStream: true });
    let answer: Answer = { kind: 'closed' };
    stream.setTimeout(LIMIT_MS, () => stream.destroy());
    stream.on('response', (fields) => {
      const entries = Object.entries(fields).map(([name, value]) => [name, String(value)] as const);
      answer = { kind: 'answer', status: Number(fields[':status']), headers: new Map(entries) };
    });
    stream.on('error', () => undefined);
    stream.on('close', () => resolve(answer));
    stream.resume();
  });
}

/** The next bytes, whatever they are. */
async function exchangeBytes(stream: Socket): Promise<Answer> {
  stream.write('hello, I am no HTTP\n');
  return (await happens(stream, 'data')) ? { kind: 'bytes' } : { kind: 'closed' };
}

async function exchangeHttp1(stream: Socket, request: CallRequest): Promise<Answer> {
  const lines = [
    `${request.method} ${request.path} HTTP/1.1`,
    `host: ${request.authority}`,
    ...request.headers.map(([name, value]) => `${name}: ${value}`),
  ];
  const answer = readAnswer(stream, request.method);
  stream.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  return answer;
}

function readAnswer(stream: Socket, method: string): Promise<Answer> {
  return new Promise((resolve) => {
    let text = '';
    const timer = setTimeout(() => end({ kind: 'closed' }), LIMIT_MS);
    const end = (answer: Answer): void => {
      clearTimeout(timer);
      stream.off('data', onData);
      stream.off('close', onClose);
      resolve(answer);
    };
    const onClose = (): void => end({ kind: 'closed' });
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      const answer = parseAnswer(text, method);
      if (answer !== undefined) end(answer);
    };
    stream.on('data', onData);
    stream.on('close', onClose);
    if (stream.destroyed) onClose();
  });
}

/** The answer once all of it is there. */
function parseAnswer(text: string, method: string): Answer | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const [first = '', ...lines] = text.slice(0, headEnd).split('\r\n');
  const headers = new Map(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const status = Number(first.split(' ')[1]);
  const body = text.slice(headEnd + 4);
  const isChunked = headers.get('transfer-encoding') === 'chunked';
  const hasBody = method !== 'HEAD' && status !== 204 && status !== 304;
  const isWhole = isChunked
    ? body.endsWith('0\r\n\r\n')
    : body.length >= Number(headers.get('content-length') ?? 0);
  return hasBody && !isWhole ? undefined : { kind: 'answer', status, headers };
}

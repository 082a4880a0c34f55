/** Clients and backends of gateway tests: handshakes that tell what they saw, requests by server name and Host, TLS backends. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { createServer as createHttpsServer, request } from 'node:https';
import { type AddressInfo } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';

/** What a TLS client needs to know. */
export interface Client {
  readonly sni: string;
  /** Authority to believe; without one, everything is believed. */
  readonly ca?: string;
  readonly certificate?: { readonly chain: string; readonly key: string };
  readonly alpn?: readonly string[];
  readonly ciphers?: string;
  readonly versions?: { readonly min: 'TLSv1.2' | 'TLSv1.3'; readonly max: 'TLSv1.2' | 'TLSv1.3' };
}

/** What came of a handshake. */
export interface Handshake {
  /** Name in the certificate that was shown. */
  readonly shown: string;
  readonly serialNumber: string;
  readonly protocol: string;
  readonly cipher: string;
  readonly alpn: string;
}

interface Place {
  readonly address: string;
  readonly port: number;
}

function options(place: Place, client: Client): ConnectionOptions {
  const { sni, ca, certificate, alpn, ciphers, versions } = client;
  return {
    host: place.address,
    port: place.port,
    servername: sni,
    rejectUnauthorized: ca !== undefined,
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { cert: certificate.chain, key: certificate.key }),
    ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
    ...(ciphers === undefined ? {} : { ciphers }),
    ...(versions === undefined ? {} : { minVersion: versions.min, maxVersion: versions.max }),
  };
}

/** A TLS connection. Errors: rejects when the server does not go through with it. */
export async function openTls(place: Place, client: Client): Promise<TLSSocket> {
  const socket = connect(options(place, client));
  socket.setTimeout(5_000, () => socket.destroy(new Error('no handshake within 5 s')));
  await once(socket, 'secureConnect');
  return socket;
}

/** Shakes hands and goes. With TLS 1.3 a client certificate is refused after that: `call` shows it. */
export async function handshake(place: Place, client: Client): Promise<Handshake> {
  const socket = await openTls(place, client);
  const { subjectaltname = '', serialNumber } = socket.getPeerCertificate();
  const shown = subjectaltname.replaceAll('DNS:', '');
  const { name: cipher } = socket.getCipher();
  const protocol = socket.getProtocol() ?? '';
  socket.destroy();
  return {
    shown,
    serialNumber,
    protocol,
    cipher,
    alpn: socket.alpnProtocol || '',
  };
}

export interface Answer {
  /** 0 when there was none. */
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
}

/** One HTTPS request on a connection of its own; status 0 where TLS fails. */
export function call(place: Place, client: Client, host: string = client.sni, path = '/'): Promise<Answer> {
  return new Promise((resolve) => {
    const refused = (): void => resolve({ status: 0, body: '', headers: {} });
    const outgoing = request({
      ...options(place, client),
      path,
      agent: false,
      headers: { host },
      timeout: 5_000,
    });
    outgoing.on('response', (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body, headers: response.headers }),
      );
      response.on('error', refused);
    });
    outgoing.on('timeout', () => outgoing.destroy());
    outgoing.on('error', refused);
    outgoing.end();
  });
}

/** Repeats until the value is as wanted, at most so long; then fails with the last one. */
export async function until<T>(
  what: string,
  look: () => Promise<T>,
  wanted: (value: T) => boolean,
): Promise<T> {
  const endMs = performance.now() + 20_000;
  for (;;) {
    const value = await look();
    if (wanted(value)) return value;
    if (performance.now() > endMs) throw new Error(`${what}: still ${JSON.stringify(value)}`);
    await new Promise(setImmediate);
  }
}

/** A server that answers with its name and what it got. */
export interface Backend extends Disposable {
  readonly port: number;
}

/** Plain HTTP. */
export async function startBackend(address: string, name: string): Promise<Backend> {
  return listening(
    createServer((incoming, answer) => tell(name, incoming.headers, answer)),
    address,
  );
}

/** HTTPS with that certificate; with `ca`, clients must show one of it. */
export async function startTlsBackend(
  address: string,
  name: string,
  server: {
    readonly chain: string;
    readonly key: string;
    readonly ca?: string;
    readonly alpn?: readonly string[];
  },
): Promise<Backend> {
  const { chain, key, ca, alpn } = server;
  const offered = alpn === undefined ? {} : { ALPNProtocols: [...alpn] };
  const mutual = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true };
  const backend = createHttpsServer({ cert: chain, key, ...mutual, ...offered }, (incoming, answer) => {
    const socket = incoming.socket as TLSSocket;
    // Each request is a connection of its own, so that it shows the certificate of now.
    answer.setHeader('connection', 'close');
    tell(
      name,
      { ...incoming.headers, 'x-client': socket.getPeerCertificate()?.subjectaltname ?? '' },
      answer,
    );
  });
  return listening(backend, address);
}

function tell(name: string, headers: IncomingHttpHeaders, answer: { end(text: string): unknown }): void {
  answer.end(JSON.stringify({ name, headers }));
}

async function listening(
  server: Server | ReturnType<typeof createHttpsServer>,
  address: string,
): Promise<Backend> {
  server.listen(0, address);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.dispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The name of the backend that answered, and the headers that it got. */
export function told({ body }: Answer): {
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
} {
  return body === '' ? { name: '', headers: {} } : JSON.parse(body);
}

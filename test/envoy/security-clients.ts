/**
 * The kinds of clients that a server meets: of the mesh, with certificates that must not be believed, and of no mesh. Connections
 * come in at a sidecar's door and say by PROXY protocol what iptables would.
 */
import { once } from 'node:events';
import { request } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { CALLER_HEADER, OWN_TLS_ANSWER, TCP_ANSWER } from './security-app.ts';
import {
  createTestAuthority,
  type TestAuthority,
  type WorkloadCertificate,
} from './workload-certificates.ts';

const LIMIT_MS = 5_000;
const FRIEND = 'spiffe://cluster.local/ns/default/sa/friend';
const ALIAS_FRIEND = 'spiffe://old.domain/ns/default/sa/friend';
const FOREIGN_FRIEND = 'spiffe://other.domain/ns/default/sa/friend';
/** What a caller claims to be, in the header that only sidecars may write. */
const FORGED = `By=spiffe://cluster.local/ns/x/sa/y;URI=${FRIEND}`;

export type Protocol = 'http' | 'grpc' | 'tcp';
/** How a call came through, or not: cut off, or told by a sidecar that nobody is there. Any other text is a fault. */
export type Outcome = 'mutual TLS' | 'plain text' | 'own TLS' | 'refused' | 'unavailable';

export interface Client {
  /** Undefined: plain text. */
  readonly tls?: 'mesh' | 'own';
  readonly certificate?: WorkloadCertificate;
  readonly spiffeId?: string;
}

export const CLIENT_NAMES = [
  'mesh',
  'mesh of an alias of the trust domain',
  'plain text',
  'wrong root',
  'expired certificate',
  'other trust domain',
  'mesh without certificate',
  'TLS of its own',
] as const;
export type ClientName = (typeof CLIENT_NAMES)[number];

/** One client of each kind. */
export async function createClients(authority: TestAuthority): Promise<Readonly<Record<ClientName, Client>>> {
  const stranger = await createTestAuthority();
  const mesh = async (signer: TestAuthority, spiffeId: string, endsUnixMs?: number): Promise<Client> => ({
    tls: 'mesh',
    spiffeId,
    certificate: await signer.issue(spiffeId, { CN: 'client' }, endsUnixMs),
  });
  return {
    mesh: await mesh(authority, FRIEND),
    'mesh of an alias of the trust domain': await mesh(authority, ALIAS_FRIEND),
    'plain text': {},
    'wrong root': await mesh(stranger, FRIEND),
    'expired certificate': await mesh(authority, FRIEND, Date.now() - 30_000),
    'other trust domain': await mesh(authority, FOREIGN_FRIEND),
    'mesh without certificate': { tls: 'mesh' },
    'TLS of its own': { tls: 'own' },
  };
}

/** Where a call really goes, and where it seems to. */
export interface Destination {
  readonly door: { readonly address: string; readonly port: number };
  readonly source: string;
  /** Name that HTTP is asked for. */
  readonly host: string;
  readonly address: string;
  readonly port: number;
}

/** One call on a connection of its own. */
export async function callAs(client: Client, protocol: Protocol, to: Destination): Promise<Outcome | string> {
  const stream = await open(client, protocol, to);
  if (stream === undefined) return 'refused';
  try {
    return await (protocol === 'tcp'
      ? exchangeBytes(stream, client)
      : exchangeHttp(stream, protocol, client, to.host));
  } finally {
    stream.destroy();
  }
}

/** ALPN by which a sidecar tells the other what it carries. */
const MESH_ALPN: Readonly<Record<Protocol, string>> = {
  http: 'istio-http/1.1',
  grpc: 'istio-h2',
  tcp: 'istio',
};

async function open(client: Client, protocol: Protocol, to: Destination): Promise<Socket | undefined> {
  const socket = connect({ ...to.door, host: to.door.address, localAddress: to.source });
  socket.on('error', () => socket.destroy());
  if (!(await happens(socket, 'connect'))) return undefined;
  socket.write(`PROXY TCP4 ${to.source} ${to.address} ${socket.localPort} ${to.port}\r\n`);
  if (client.tls === undefined) return socket;
  const own = protocol === 'grpc' ? 'h2' : 'http/1.1';
  const secure: TLSSocket = connectTls({
    socket,
    rejectUnauthorized: false,
    servername: 'server.default.svc.cluster.local',
    ALPNProtocols: [client.tls === 'mesh' ? MESH_ALPN[protocol] : own],
    ...(client.certificate === undefined
      ? {}
      : { key: client.certificate.key, cert: client.certificate.chain }),
  });
  secure.on('error', () => secure.destroy());
  return (await happens(secure, 'secureConnect')) ? secure : undefined;
}

/** False where the connection ends before. */
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

async function exchangeBytes(stream: Socket, client: Client): Promise<string> {
  let got = '';
  stream.setTimeout(LIMIT_MS, () => stream.destroy());
  stream.on('data', (chunk: Buffer) => {
    got += chunk.toString();
  });
  stream.write('neither HTTP nor TLS\r\n');
  await new Promise((closed) => stream.on('close', closed));
  if (got === '') return 'refused';
  if (got === OWN_TLS_ANSWER) return 'own TLS';
  if (got !== TCP_ANSWER) return `bytes: ${got}`;
  return client.tls === undefined ? 'plain text' : 'mutual TLS';
}

interface HttpAnswer {
  readonly status: number;
  readonly caller: string;
}

async function exchangeHttp(
  stream: Socket,
  protocol: 'http' | 'grpc',
  client: Client,
  host: string,
): Promise<string> {
  const answer = await (protocol === 'http' ? askHttp(stream, host) : askGrpc(stream, host));
  if (answer === undefined) return 'refused';
  const { status, caller } = answer;
  if (status === 503) return 'unavailable';
  if (status !== 200) return `status ${status}`;
  if (caller === '') return client.tls === undefined ? 'plain text' : 'TLS without an identity';
  return caller === client.spiffeId ? 'mutual TLS' : `taken for ${caller}`;
}

function askHttp(stream: Socket, host: string): Promise<HttpAnswer | undefined> {
  return new Promise((resolve) => {
    const headers = { host, 'x-forwarded-client-cert': FORGED };
    const call = request({ createConnection: () => stream, headers, timeout: LIMIT_MS });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(undefined));
    call.on('response', (answer) => {
      answer.resume();
      resolve({ status: answer.statusCode ?? 0, caller: String(answer.headers[CALLER_HEADER] ?? '') });
    });
    call.end();
  });
}

function askGrpc(stream: Socket, host: string): Promise<HttpAnswer | undefined> {
  return new Promise((resolve) => {
    const session: ClientHttp2Session = connectHttp2(`http://${host}`, { createConnection: () => stream });
    session.on('error', () => resolve(undefined));
    session.on('close', () => resolve(undefined));
    const call = session.request({
      ':method': 'POST',
      ':path': '/shop.Cart/Get',
      'content-type': 'application/grpc',
      te: 'trailers',
      'x-forwarded-client-cert': FORGED,
    });
    call.setTimeout(LIMIT_MS, () => call.destroy());
    call.on('error', () => resolve(undefined));
    let caller = '';
    let status = 0;
    call.on('response', (fields) => {
      status = Number(fields[':status']);
      caller = String(fields[CALLER_HEADER] ?? '');
      // What Envoy answers itself: 14 is UNAVAILABLE.
      if (fields['grpc-status'] === '14') status = 503;
    });
    call.on('close', () => {
      resolve(status === 0 ? undefined : { status, caller });
      session.destroy();
    });
    call.resume();
    call.end(Buffer.alloc(5));
  });
}

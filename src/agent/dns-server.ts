/**
 * The agent's DNS server, on UDP and TCP: names of the mesh are answered from the control plane's table, everything else,
 * of whatever type, by the machine's own resolvers. Answers in the order in which they are there.
 * Source: Istio pkg/dns/client (behaviour), RFC 1035, RFC 7766 (TCP).
 */
import { createSocket, type RemoteInfo, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { parseIp } from '#base/cidr.ts';
import type { SocketAddress } from './bootstrap-settings.ts';
import {
  type DnsQuery,
  encodeAnswer,
  encodeFailure,
  encodeRefusal,
  MAX_MESSAGE_BYTES,
  RCODE_OK,
  RCODE_SERVER_FAILURE,
  readQuery,
  relayedAnswer,
  TYPE_A,
  TYPE_AAAA,
} from './dns-message.ts';
import type { DnsNameTable, FoundName } from './dns-name-table.ts';
import { DnsStreamReader, streamFrame } from './dns-stream.ts';
import { type DnsTransport, DnsUpstream, shuffled, type UpstreamSettings } from './dns-upstream.ts';
import type { AgentParts } from './workload-certificate.ts';

export interface DnsServerSettings extends UpstreamSettings {
  readonly addresses: readonly SocketAddress[];
  readonly respondsBeforeTable: boolean;
}

/** So low that clients that keep answers hear of changes soon. */
const TTL_SECONDS = 30;
/** Room for a burst while the process does something else; the kernel gives what it allows. */
const RECEIVE_BUFFER_BYTES = 4 << 20;
const MAX_CONNECTIONS = 256;
const MAX_PER_CONNECTION = 64;
const IDLE_MS = 10_000;

export class DnsServer {
  readonly #settings: DnsServerSettings;
  readonly #parts: AgentParts;
  readonly #upstream: DnsUpstream;
  readonly #datagrams: DatagramSocket[] = [];
  readonly #streams: Server[] = [];
  readonly #connections = new Set<Socket>();
  #table: DnsNameTable | undefined;

  constructor(settings: DnsServerSettings, parts: AgentParts) {
    this.#settings = settings;
    this.#parts = parts;
    // Whoever has put the agent into resolv.conf must not make it ask itself.
    const isOwn = ({ address, port }: SocketAddress): boolean =>
      settings.addresses.some((own) => own.address === address && own.port === port);
    this.#upstream = new DnsUpstream(
      { ...settings, servers: settings.servers.filter((one) => !isOwn(one)) },
      parts,
    );
  }

  /** The names known now; undefined until the control plane has sent some. */
  get table(): DnsNameTable | undefined {
    return this.#table;
  }

  /** Answers from this table from now on. */
  update(table: DnsNameTable): void {
    this.#table = table;
  }

  /** Binds all addresses. Errors: rejects when one is taken. */
  async start(): Promise<void> {
    for (const address of this.#settings.addresses) {
      await this.#listenUdp(address);
      await this.#listenTcp(address);
      this.#parts.log.info('DNS server started', { address: address.address, port: address.port });
    }
  }

  close(): void {
    this.#upstream.close();
    for (const socket of this.#datagrams) socket.close();
    for (const server of this.#streams) server.close();
    for (const socket of this.#connections) socket.destroy();
  }

  async #listenUdp({ address, port }: SocketAddress): Promise<void> {
    const type = address.includes(':') ? 'udp6' : 'udp4';
    const socket = createSocket({ type, recvBufferSize: RECEIVE_BUFFER_BYTES });
    this.#datagrams.push(socket);
    socket.bind(port, address);
    await once(socket, 'listening');
    socket.on('error', (error) => this.#parts.log.warn('DNS socket failed', { error }));
    socket.on('message', (bytes, from) => void this.#serveDatagram(socket, bytes, from));
  }

  async #serveDatagram(socket: DatagramSocket, bytes: Buffer, from: RemoteInfo): Promise<void> {
    const answer = await this.#answer(bytes, 'udp');
    // The server may be closed by now, and a client may be gone; neither is news.
    if (answer === undefined) return;
    try {
      socket.send(answer, from.port, from.address, () => {});
    } catch (error) {
      this.#parts.log.debug('a DNS answer was not sent', { error });
    }
  }

  async #listenTcp({ address, port }: SocketAddress): Promise<void> {
    const server = createServer((socket) => this.#serveConnection(socket));
    server.maxConnections = MAX_CONNECTIONS;
    this.#streams.push(server);
    server.listen(port, address);
    await once(server, 'listening');
  }

  /** Queries of a connection are answered as they are ready; while too many are under way, no more are read. */
  #serveConnection(socket: Socket): void {
    const reader = new DnsStreamReader();
    let underWay = 0;
    this.#connections.add(socket);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('close', () => this.#connections.delete(socket));
    socket.on('error', () => socket.destroy());
    const serve = async (bytes: Buffer): Promise<void> => {
      underWay++;
      if (underWay >= MAX_PER_CONNECTION) socket.pause();
      const answer = await this.#answer(bytes, 'tcp');
      underWay--;
      if (socket.destroyed) return;
      if (answer === undefined) return void socket.destroy();
      socket.write(streamFrame(answer));
      if (socket.isPaused()) socket.resume();
    };
    socket.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk)) void serve(Buffer.from(message));
    });
  }

  /** The answer to a message; undefined when it deserves none. Never rejects. */
  async #answer(bytes: Buffer, transport: DnsTransport): Promise<Buffer | undefined> {
    this.#parts.metrics.add('istio_agent_dns_requests_total');
    const query = readQuery(bytes);
    if (!('bytes' in query)) return query.rcode === undefined ? undefined : encodeRefusal(bytes, query.rcode);
    if (this.#table === undefined && !this.#settings.respondsBeforeTable)
      return encodeFailure(query, RCODE_SERVER_FAILURE);
    const limitBytes = transport === 'tcp' ? MAX_MESSAGE_BYTES : query.datagramBytes;
    const isAddress = query.type === TYPE_A || query.type === TYPE_AAAA;
    const found = isAddress ? this.#table?.find(query.name) : undefined;
    if (found !== undefined) return this.#ownAnswer(query, found, limitBytes);
    const answer = await this.#upstream.ask(query, transport);
    return answer === undefined
      ? encodeFailure(query, RCODE_SERVER_FAILURE)
      : relayedAnswer(answer, query, limitBytes);
  }

  /** A known name without an address of the family is answered with none: "no such name" would hold for both families. */
  #ownAnswer(query: DnsQuery, found: FoundName, limitBytes: number): Buffer {
    const sizeBytes = query.type === TYPE_A ? 4 : 16;
    const addresses = found.addresses
      .map((text) => parseIp(text))
      .filter((address) => address !== undefined)
      .filter((address) => address.length === sizeBytes);
    const answer = {
      rcode: RCODE_OK,
      isAuthoritative: true,
      canonicalName: addresses.length === 0 ? undefined : found.canonicalName,
      addresses: shuffled(addresses, this.#parts.rng),
      ttlSeconds: TTL_SECONDS,
    };
    return encodeAnswer(query, answer, limitBytes);
  }
}

/** A DNS server for tests: answers A queries for names that it was told, and says that it knows no others. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import * as dnsPacket from 'dns-packet';

/** Short enough for a test to see a second look-up, long enough not to be taken for "do not keep". */
const TTL_SECONDS = 1;

export class NameServer implements Disposable {
  /** Names of A queries, in the order in which they came. */
  readonly asked: string[] = [];
  readonly #socket: Socket;
  readonly #names: Map<string, readonly string[]> = new Map();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (query, from) => socket.send(this.#answer(query), from.port, from.address));
  }

  /** Starts one on 127.0.0.1. */
  static async start(): Promise<NameServer> {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new NameServer(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** The addresses of a name from now on, in this order. */
  set(name: string, ...addresses: readonly string[]): void {
    this.#names.set(name, addresses);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  #answer(query: Buffer): Buffer {
    const { id, questions = [] } = dnsPacket.decode(query);
    const answers = questions.flatMap(({ name, type }) => {
      if (type !== 'A') return [];
      this.asked.push(name);
      const addresses = this.#names.get(name) ?? [];
      return addresses.map((data) => ({ type, name, data, ttl: TTL_SECONDS, class: 'IN' }) as const);
    });
    return dnsPacket.encode({ type: 'response', id: id ?? 0, questions, answers });
  }
}

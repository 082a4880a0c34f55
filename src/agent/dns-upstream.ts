/**
 * Asks the machine's own resolvers what the mesh does not know. Each attempt has a socket, a port and an id of its own, so
 * that a forged answer must guess all three; how many are under way is bounded, the rest waits in line or fails.
 */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import type { SocketAddress } from './bootstrap-settings.ts';
import { type DnsQuery, isAnswerTo, isTruncated, withId } from './dns-message.ts';
import { DnsStreamReader, streamFrame } from './dns-stream.ts';
import type { AgentParts } from './workload-certificate.ts';

export type DnsTransport = 'udp' | 'tcp';

/** Whom to ask, and how. */
export interface UpstreamSettings {
  readonly servers: readonly SocketAddress[];
  /** How long one resolver may take in all. */
  readonly timeoutMs: number;
  readonly isParallel: boolean;
}

const MAX_UNDER_WAY = 256;
const MAX_IN_LINE = 4_096;
/** A lost datagram is sent again. */
const ROUNDS = 2;

/** The resolvers of resolv.conf. */
export class DnsUpstream {
  readonly #settings: UpstreamSettings;
  readonly #parts: AgentParts;
  readonly #line: (() => void)[] = [];
  readonly #open = new Set<() => void>();
  #underWay = 0;

  constructor(settings: UpstreamSettings, parts: AgentParts) {
    this.#settings = settings;
    this.#parts = parts;
  }

  /** The answer as it came, under whatever id; undefined when there is none in time. Never rejects. */
  async ask(query: DnsQuery, transport: DnsTransport): Promise<Buffer | undefined> {
    const { metrics, clock } = this.#parts;
    metrics.add('istio_agent_dns_upstream_requests_total');
    const startedMs = clock.monotonicMs();
    const answer = (await this.#enter()) ? await this.#askAll(query, transport) : undefined;
    if (answer === undefined) metrics.add('istio_agent_dns_upstream_failures_total');
    metrics.observe(
      'istio_agent_dns_upstream_request_duration_seconds',
      (clock.monotonicMs() - startedMs) / 1000,
    );
    return answer;
  }

  /** Gives up what is under way. */
  close(): void {
    for (const giveUp of this.#open) giveUp();
  }

  /** Waits for a place; false when too many wait already. */
  async #enter(): Promise<boolean> {
    if (this.#underWay >= MAX_UNDER_WAY) {
      if (this.#line.length >= MAX_IN_LINE) return false;
      await new Promise<void>((resolve) => this.#line.push(resolve));
    }
    this.#underWay++;
    return true;
  }

  async #askAll(query: DnsQuery, transport: DnsTransport): Promise<Buffer | undefined> {
    try {
      const servers = shuffled(this.#settings.servers, this.#parts.rng);
      if (this.#settings.isParallel)
        return await firstAnswer(servers.map((one) => this.#askOne(query, one, transport)));
      for (const server of servers) {
        const answer = await this.#askOne(query, server, transport);
        if (answer !== undefined) return answer;
      }
      return undefined;
    } finally {
      this.#underWay--;
      this.#line.shift()?.();
    }
  }

  async #askOne(
    query: DnsQuery,
    server: SocketAddress,
    transport: DnsTransport,
  ): Promise<Buffer | undefined> {
    const timeoutMs = this.#settings.timeoutMs / ROUNDS;
    if (transport === 'tcp') {
      const answer = await this.#exchange(query, server, timeoutMs, askOverTcp);
      if (answer !== undefined) return answer;
      // Not every resolver speaks TCP; what fits a datagram is as good.
      const short = await this.#exchange(query, server, timeoutMs, askOverUdp);
      return short === undefined || isTruncated(short) ? undefined : short;
    }
    for (let round = 0; round < ROUNDS; round++) {
      const answer = await this.#exchange(query, server, timeoutMs, askOverUdp);
      if (answer !== undefined) return answer;
    }
    return undefined;
  }

  /** One attempt, with an end in time. */
  #exchange(
    query: DnsQuery,
    server: SocketAddress,
    timeoutMs: number,
    ask: Ask,
  ): Promise<Buffer | undefined> {
    const { clock, rng, log } = this.#parts;
    return new Promise((resolve) => {
      const id = rng.int(65_536);
      const finish = (answer: Buffer | undefined, error?: unknown): void => {
        if (!this.#open.delete(giveUp)) return;
        timer[Symbol.dispose]();
        stop();
        if (error !== undefined) log.debug('a resolver cannot be asked', { server: server.address, error });
        resolve(answer);
      };
      const giveUp = (): void => finish(undefined);
      this.#open.add(giveUp);
      const timer = clock.schedule(timeoutMs, giveUp);
      const take = (message: Buffer): void => {
        if (isAnswerTo(message, query, id)) finish(message);
      };
      const stop = ask(server, withId(query.bytes, id), take, (error) => finish(undefined, error));
    });
  }
}

/** Sends a query and hands over every message that comes; returns how to stop. */
type Ask = (
  server: SocketAddress,
  query: Buffer,
  take: (message: Buffer) => void,
  fail: (error: unknown) => void,
) => () => void;

/** A connected socket: the kernel drops what others send, and tells when nobody listens there. */
const askOverUdp: Ask = (server, query, take, fail) => {
  const socket = createSocket(server.address.includes(':') ? 'udp6' : 'udp4');
  let isClosed = false;
  socket.on('message', take);
  socket.on('error', fail);
  socket.connect(server.port, server.address, (...failure: readonly unknown[]) => {
    const [error] = failure;
    if (error !== undefined && error !== null) fail(error);
    else if (!isClosed) socket.send(query, (sendError) => sendError !== null && fail(sendError));
  });
  return () => {
    isClosed = true;
    socket.close();
  };
};

const askOverTcp: Ask = (server, query, take, fail) => {
  const socket = connect(server.port, server.address);
  const reader = new DnsStreamReader();
  socket.on('data', (chunk: Buffer) => {
    for (const message of reader.push(chunk)) take(message);
  });
  socket.on('error', fail);
  socket.on('end', () => fail(new Error('the resolver closed the connection')));
  socket.write(streamFrame(query));
  return () => socket.destroy();
};

async function firstAnswer(answers: readonly Promise<Buffer | undefined>[]): Promise<Buffer | undefined> {
  const found = answers.map(async (answer) => (await answer) ?? Promise.reject(new Error('no answer')));
  return Promise.any(found).catch(() => undefined);
}

/** A new array in an order of its own. */
export function shuffled<T>(items: readonly T[], rng: { int(limit: number): number }): T[] {
  const mixed = [...items];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = rng.int(i + 1);
    [mixed[i], mixed[j]] = [mixed[j] as T, mixed[i] as T];
  }
  return mixed;
}

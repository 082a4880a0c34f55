import assert from 'node:assert/strict';
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { promises as dns } from 'node:dns';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import * as dnsPacket from 'dns-packet';
import { systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { WireWriter } from '#base/proto-wire.ts';
import { seededRng } from '#base/rng.ts';
import { AgentMetrics } from './agent-metrics.ts';
import { decodeNameTable } from './dns-name-table.ts';
import { DnsServer, type DnsServerSettings } from './dns-server.ts';
import { DnsStreamReader, streamFrame } from './dns-stream.ts';

const HOST = '127.83.53.1';
const SCOPE = {
  namespace: 'default',
  domain: 'svc.cluster.local',
  searchDomain: 'default.svc.cluster.local',
};

/** A resolver that a test tells what to answer; undefined: nothing. */
class FakeResolver {
  readonly ids: number[] = [];
  readonly transports: string[] = [];
  answer: (query: dnsPacket.DecodedPacket, transport: string) => dnsPacket.Packet | undefined = () =>
    undefined;
  readonly #udp: DatagramSocket = createSocket('udp4');
  readonly #tcp: Server = createServer((socket) => {
    const reader = new DnsStreamReader();
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk)) {
        const answer = this.#reply(message, 'tcp');
        if (answer !== undefined) socket.write(streamFrame(answer));
      }
    });
  });

  async start(): Promise<number> {
    this.#tcp.listen(0, HOST);
    await once(this.#tcp, 'listening');
    const { port } = this.#tcp.address() as AddressInfo;
    this.#udp.bind(port, HOST);
    await once(this.#udp, 'listening');
    this.#udp.on('message', (bytes, from) => {
      const answer = this.#reply(bytes, 'udp');
      if (answer !== undefined) this.#udp.send(answer, from.port, from.address);
    });
    return port;
  }

  stop(): void {
    this.#udp.close();
    this.#tcp.close();
  }

  #reply(bytes: Buffer, transport: string): Buffer | undefined {
    const query = dnsPacket.decode(bytes);
    this.ids.push(query.id ?? -1);
    this.transports.push(transport);
    const answer = this.answer(query, transport);
    if (answer === undefined) return undefined;
    const { id = 0, questions = [] } = query;
    return dnsPacket.encode({
      type: 'response',
      id,
      flags: dnsPacket.RECURSION_AVAILABLE,
      questions,
      ...answer,
    });
  }
}

function tableOf(names: Readonly<Record<string, readonly string[]>>) {
  const writer = new WireWriter();
  for (const [name, ips] of Object.entries(names)) {
    const info = new WireWriter();
    for (const ip of ips) info.string(1, ip);
    writer.bytes(1, new WireWriter().string(1, name).bytes(2, info.finish()).finish());
  }
  return decodeNameTable(writer.finish(), SCOPE);
}

let upstream: FakeResolver;
let server: DnsServer;
let metrics: AgentMetrics;
let port = 0;

async function start(change: Partial<DnsServerSettings> = {}): Promise<void> {
  const upstreamPort = await upstream.start();
  metrics = new AgentMetrics('1');
  port = upstreamPort > 40_000 ? upstreamPort - 10_000 : upstreamPort + 10_000;
  server = new DnsServer(
    {
      addresses: [{ address: HOST, port }],
      servers: [{ address: HOST, port: upstreamPort }],
      timeoutMs: 400,
      isParallel: false,
      respondsBeforeTable: false,
      ...change,
    },
    { clock: systemClock(), rng: seededRng(7), log: silentLogger(), metrics },
  );
  await server.start();
}

function resolver(): dns.Resolver {
  const one = new dns.Resolver({ timeout: 2_000, tries: 1 });
  one.setServers([`${HOST}:${port}`]);
  return one;
}

/** Sends bytes as they are and gives the answer, or nothing when another query is answered first. */
async function raw(bytes: Buffer): Promise<Buffer> {
  const socket = createSocket('udp4');
  socket.send(bytes, port, HOST);
  const [answer] = (await once(socket, 'message')) as [Buffer];
  socket.close();
  return answer;
}

function question(
  name: string,
  type: dnsPacket.RecordType = 'A',
  more: Partial<dnsPacket.Packet> = {},
): Buffer {
  return dnsPacket.encode({
    type: 'query',
    id: 99,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ name, type }],
    ...more,
  });
}

async function codeOf(answer: Promise<unknown>): Promise<unknown> {
  return answer.then(
    () => 'answered',
    (error: NodeJS.ErrnoException) => error.code,
  );
}

describe('the DNS server', () => {
  beforeEach(() => {
    upstream = new FakeResolver();
  });

  afterEach(() => {
    server.close();
    upstream.stop();
  });

  it('answers names of the mesh itself, with none of the family it has no address of', async () => {
    await start();
    server.update(tableOf({ 'a.example.com': ['10.0.0.1', '10.0.0.2'], 'six.example.com': ['fd00::1'] }));
    assert.deepEqual(
      (await resolver().resolve4('A.example.com', { ttl: true })).map(({ ttl }) => ttl),
      [30, 30],
    );
    assert.deepEqual(await resolver().resolve6('six.example.com'), ['fd00::1']);
    assert.equal(await codeOf(resolver().resolve6('a.example.com')), 'ENODATA');
    assert.deepEqual(
      await resolver()
        .resolve4('a.example.com.default.svc.cluster.local')
        .then((all) => all.sort()),
      ['10.0.0.1', '10.0.0.2'],
    );
    assert.deepEqual(upstream.ids, []);
  });

  it('puts addresses in turn first', async () => {
    await start();
    server.update(tableOf({ 'a.example.com': ['10.0.0.1', '10.0.0.2', '10.0.0.3'] }));
    const firsts = new Set<string | undefined>();
    for (let i = 0; i < 40; i++) firsts.add((await resolver().resolve4('a.example.com'))[0]);
    assert.deepEqual([...firsts].sort(), ['10.0.0.1', '10.0.0.2', '10.0.0.3']);
  });

  it('passes everything else on, whatever its type, under ids of its own', async () => {
    await start();
    server.update(tableOf({ 'a.example.com': ['10.0.0.1'] }));
    upstream.answer = ({ questions = [] }) => {
      const [{ name = '', type = 'A' } = {}] = questions;
      if (type === 'TXT') return { answers: [{ type, name, data: 'hello' }] };
      if (type === 'MX')
        return { answers: [{ type, name, data: { exchange: 'mx.example.com', preference: 5 } }] };
      if (type === 'SRV') return { answers: [{ type, name, data: { port: 1, target: 'x.example.com' } }] };
      return { answers: [{ type: 'A', name, data: '192.0.2.1' }] };
    };
    assert.deepEqual(await resolver().resolve4('other.example.com'), ['192.0.2.1']);
    assert.deepEqual(await resolver().resolveTxt('a.example.com'), [['hello']]);
    assert.equal((await resolver().resolveMx('a.example.com'))[0]?.exchange, 'mx.example.com');
    assert.equal((await resolver().resolveSrv('a.example.com'))[0]?.name, 'x.example.com');
    await raw(question('a.b'));
    await raw(question('a.b'));
    assert.equal(new Set(upstream.ids).size, 6);
    assert.equal(upstream.ids.slice(-2).includes(99), false);
    assert.equal(metrics.count('istio_agent_dns_upstream_requests_total'), 6);
  });

  it('asks again over TCP where the answer does not fit a datagram', async () => {
    await start();
    server.update(tableOf({}));
    const answers = (name: string) =>
      Array.from({ length: 100 }, (_, i) => ({ type: 'A' as const, name, data: `192.0.2.${i}` }));
    upstream.answer = ({ questions = [] }, transport) =>
      transport === 'udp'
        ? { flags: dnsPacket.TRUNCATED_RESPONSE }
        : { answers: answers(questions[0]?.name ?? '') };
    assert.equal((await resolver().resolve4('long.example.com')).length, 100);
    assert.deepEqual(upstream.transports, ['udp', 'tcp']);
  });

  it('cuts what a client cannot take, also of its own', async () => {
    await start();
    server.update(tableOf({ 'many.example.com': Array.from({ length: 90 }, (_, i) => `10.0.1.${i}`) }));
    const short = dnsPacket.decode(await raw(question('many.example.com')));
    assert.deepEqual([short.flag_tc, (short.answers?.length ?? 0) < 40], [true, true]);
    assert.equal((await resolver().resolve4('many.example.com')).length, 90);
  });

  it('sends a lost datagram again, tries the next resolver, and fails in the end', async () => {
    const dead = createSocket('udp4');
    dead.bind(0, HOST);
    await once(dead, 'listening');
    await start();
    const { port: deadPort } = dead.address();
    server.update(tableOf({}));
    let seen = 0;
    upstream.answer = ({ questions = [] }) =>
      ++seen === 1
        ? undefined
        : { answers: [{ type: 'A', name: questions[0]?.name ?? '', data: '192.0.2.7' }] };
    assert.deepEqual(await resolver().resolve4('lost.example.com'), ['192.0.2.7']);
    server.close();
    upstream.stop();
    upstream = new FakeResolver();
    await start({ servers: [{ address: HOST, port: deadPort }], timeoutMs: 60 });
    server.update(tableOf({}));
    assert.equal(await codeOf(resolver().resolve4('dead.example.com')), 'ESERVFAIL');
    assert.equal(metrics.count('istio_agent_dns_upstream_failures_total'), 1);
    dead.close();
  });

  it('takes the first of all answers where it asks in parallel', async () => {
    await start();
    const [server1] = [{ address: HOST, port }];
    server.close();
    upstream.stop();
    upstream = new FakeResolver();
    upstream.answer = ({ questions = [] }) => ({
      answers: [{ type: 'A', name: questions[0]?.name ?? '', data: '192.0.2.8' }],
    });
    const upstreamPort = await upstream.start();
    server = new DnsServer(
      {
        addresses: [server1],
        servers: [
          { address: '127.83.53.99', port: 9 },
          { address: HOST, port: upstreamPort },
        ],
        timeoutMs: 4_000,
        isParallel: true,
        respondsBeforeTable: true,
      },
      { clock: systemClock(), rng: seededRng(7), log: silentLogger(), metrics },
    );
    await server.start();
    assert.deepEqual(await resolver().resolve4('x.example.com'), ['192.0.2.8']);
  });

  it('fails while it has no names yet, unless it is the only resolver', async () => {
    await start();
    assert.equal(await codeOf(resolver().resolve4('a.example.com')), 'ESERVFAIL');
    assert.deepEqual(upstream.ids, []);
  });

  it('believes no answer to another question, and none from elsewhere', async () => {
    await start();
    server.update(tableOf({}));
    upstream.answer = () => ({
      questions: [{ name: 'forged.example.com', type: 'A' }],
      answers: [{ type: 'A', name: 'forged.example.com', data: '203.0.113.66' }],
    });
    assert.equal(await codeOf(resolver().resolve4('true.example.com')), 'ESERVFAIL');
  });

  it('survives what is no query, and goes on', async () => {
    await start();
    server.update(tableOf({ 'a.example.com': ['10.0.0.1'] }));
    const socket = createSocket('udp4');
    const good = question('a.example.com');
    for (let i = 0; i <= good.length; i++) socket.send(good.subarray(0, i), port, HOST);
    for (let i = 0; i < 200; i++) {
      const bytes = Buffer.from(good);
      bytes[i % good.length] = (i * 37) & 255;
      socket.send(bytes, port, HOST);
    }
    const stream = connect(port, HOST);
    stream.on('error', () => {});
    stream.write(Buffer.from([0, 3, 1, 2, 3]));
    await once(stream, 'close');
    assert.deepEqual(await resolver().resolve4('a.example.com'), ['10.0.0.1']);
    socket.close();
  });

  it('answers queries of one connection as they are ready', async () => {
    await start();
    server.update(tableOf({ 'a.example.com': ['10.0.0.1'] }));
    upstream.answer = ({ questions = [] }) => ({
      answers: [{ type: 'A', name: questions[0]?.name ?? '', data: '192.0.2.1' }],
    });
    const stream = connect(port, HOST);
    const reader = new DnsStreamReader();
    const names = Array.from({ length: 300 }, (_, i) =>
      i % 2 === 0 ? 'a.example.com' : `x${i}.example.com`,
    );
    stream.write(Buffer.concat(names.map((name, i) => streamFrame(question(name, 'A', { id: i })))));
    const answered = new Set<number>();
    while (answered.size < names.length) {
      const [chunk] = (await once(stream, 'data')) as [Buffer];
      for (const message of reader.push(chunk)) answered.add(dnsPacket.decode(message).id ?? -1);
    }
    stream.destroy();
    assert.equal(answered.size, 300);
  });
});

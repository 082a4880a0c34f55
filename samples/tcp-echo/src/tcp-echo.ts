/**
 * Answers every line that arrives over TCP with PREFIX, a space and that line: "hello" comes back as "one hello".
 * Listens on HOST at all of PORTS ("9000,9001"). A line longer than 64 KiB ends its connection.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

export interface TcpEcho {
  readonly host: string;
  readonly ports: readonly number[];
  readonly prefix: string;
}

export interface RunningTcpEcho {
  /** As asked for, with the port chosen by the system in place of 0. */
  readonly ports: readonly number[];
  /** Refuses new connections, ends the open ones once what they were sent is answered. */
  stop(): Promise<void>;
}

const maxLineBytes = 64 * 1024;
const newline = '\n'.charCodeAt(0);

export async function startTcpEcho({ host, ports, prefix }: TcpEcho): Promise<RunningTcpEcho> {
  const sockets = new Set<Socket>();
  const servers: Server[] = [];
  for (const port of ports) {
    // Half-open, so that a client that closes its side after the last line (echo hello | nc …) still gets the answer.
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      // The listener for errors only keeps them from ending the process: whatever breaks shows in echoLines or as 'close'.
      socket.once('close', () => sockets.delete(socket)).on('error', () => {});
      echoLines(socket, Buffer.from(`${prefix} `)).catch((error) => {
        console.log(`tcp-echo connection ended: ${error}`);
        socket.destroy();
      });
    });
    server.listen(port, host);
    await new Promise<void>((resolve, reject) => server.once('listening', resolve).once('error', reject));
    servers.push(server);
    console.log(`tcp-echo "${prefix}" listens on ${host}:${(server.address() as AddressInfo).port}`);
  }
  return {
    ports: servers.map((server) => (server.address() as AddressInfo).port),
    async stop() {
      const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
      for (const socket of sockets) socket.destroySoon();
      await Promise.all(closed);
    },
  };
}

/** Bytes stay bytes: lines need not be text. What follows the last newline is never answered. */
async function echoLines(socket: Socket, prefix: Buffer): Promise<void> {
  let pending = Buffer.alloc(0);
  // By default the iterator would destroy the socket at the end of input, with answers still to be sent.
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    pending = Buffer.concat([pending, chunk]);
    for (let end = pending.indexOf(newline); end >= 0; end = pending.indexOf(newline)) {
      const line = pending.subarray(0, end + 1);
      pending = pending.subarray(end + 1);
      if (!socket.write(Buffer.concat([prefix, line]))) await once(socket, 'drain');
    }
    if (pending.byteLength > maxLineBytes) throw new Error(`line is longer than ${maxLineBytes} bytes`);
  }
  socket.end();
}

if (import.meta.main) {
  const running = await startTcpEcho({
    host: process.env['HOST'] || '127.0.0.1',
    ports: (process.env['PORTS'] || '9000').split(',').map(Number),
    prefix: process.env['PREFIX'] || 'one',
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => void running.stop().then(() => process.exit(0)));
  }
}

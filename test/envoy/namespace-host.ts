/**
 * A program that lives in a network namespace of its own and does what its parent asks over IPC: servers and calls there, addresses
 * and rules of the kernel, an Envoy fed from YAML. Started by namespace-rig.ts; ends with its parent.
 */
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, isIPv6 } from 'node:net';
import type { MeshFlags } from '#model/mesh-flags.ts';
import type { ProxyFacts } from '../support/mesh-fixture.ts';
import type { NamespaceProxy } from './namespace-proxy.ts';
import { callHttp, callTcp } from './test-apps.ts';

let proxy: NamespaceProxy | undefined;

/** What can be asked for; arguments and answers are JSON. */
export const METHODS = {
  /** Runs a command with this input. */
  run(command: string, args: readonly string[], input = ''): string {
    return execFileSync(command, args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
  },

  /** HTTP on all addresses of the port: says its name, who called, at which address, and what path. */
  async listenHttp(name: string, port: number): Promise<number> {
    const server = createHttpServer(({ socket, headers, url }, answer) => {
      const { remoteAddress = '', localAddress = '' } = socket;
      answer.end(JSON.stringify({ name, from: plain(remoteAddress), at: plain(localAddress), headers, url }));
    });
    server.listen(port, '::');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },

  /** Bytes on all addresses of the port: says its name and where it was called before anything else, then sends back what comes. */
  async listenTcp(name: string, port: number): Promise<void> {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.write(`${name} ${plain(socket.localAddress ?? '')} ${plain(socket.remoteAddress ?? '')}\n`);
      socket.pipe(socket);
    });
    server.listen(port, '::');
    await once(server, 'listening');
  },

  /** Sends datagrams back. */
  async listenUdp(port: number): Promise<void> {
    const socket = createSocket('udp4');
    socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address));
    socket.bind(port);
    await once(socket, 'listening');
  },

  /** Status 0: no answer. */
  async get(address: string, port: number, host: string, path = '/'): Promise<Got> {
    const headers = { host, connection: 'close' };
    const answer = await callHttp({ address, port, path, headers }).catch(() => undefined);
    if (answer === undefined) return { status: 0 };
    const { status, body } = answer;
    return body.startsWith('{') ? { ...(JSON.parse(body) as Got), status } : { status };
  },

  /** What comes back for these bytes, until as many came. */
  tell: (address: string, port: number, text: string): Promise<string> => callTcp(address, port, text),

  async datagram(address: string, port: number, text: string): Promise<string> {
    const socket = createSocket('udp4');
    socket.send(text, port, address);
    try {
      const [bytes] = (await once(socket, 'message', { signal: AbortSignal.timeout(5_000) })) as [Buffer];
      return bytes.toString();
    } finally {
      socket.close();
    }
  },

  /** Makes these the only objects of a mesh of which the namespace's Envoy is a sidecar, and waits until it has taken them. */
  async serve(yaml: string, options: ServeOptions): Promise<readonly string[]> {
    const { facts } = options;
    const kind = JSON.stringify([facts.interceptionMode, facts.addresses]);
    if (proxy?.kind !== kind) {
      await proxy?.[Symbol.asyncDispose]();
      // Only the pod needs all that is behind this.
      proxy = await (await import('./namespace-proxy.ts')).startNamespaceProxy(kind);
    }
    return proxy.serve(yaml, options);
  },

  /** Ends Envoy; the rest ends when the parent is gone. */
  async end(): Promise<void> {
    await proxy?.[Symbol.asyncDispose]();
  },
};

/** What an HTTP server of the other side says. */
export interface Got {
  readonly status: number;
  readonly name?: string;
  readonly from?: string;
  readonly at?: string;
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ServeOptions {
  readonly facts: ProxyFacts;
  readonly meshConfig?: object;
  readonly flags?: Partial<MeshFlags>;
}

/** IPv4 as such, which a socket for both families writes as IPv6. */
function plain(address: string): string {
  return isIPv6(address) ? address.replace(/^::ffff:/, '') : address;
}

interface Question {
  readonly id: number;
  readonly method: keyof typeof METHODS;
  readonly args: readonly unknown[];
}

process.on('message', ({ id, method, args }: Question) => {
  const run = METHODS[method] as (...args: readonly unknown[]) => unknown;
  void Promise.resolve()
    .then(() => run(...args))
    .then(
      (result) => process.send?.({ id, result }),
      (error: unknown) => process.send?.({ id, error: String(error) }),
    );
});
process.on('disconnect', () => process.exit());

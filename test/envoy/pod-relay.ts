/**
 * A pod's address as iptables would make it: what comes from the pod's own sidecar is for the application, all else goes into the
 * sidecar's door, with a PROXY protocol header that says where it was going.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

/** What a sidecar's connections to its own application come from. */
const FROM_SIDECAR = '127.0.0.6';
const TLS_HANDSHAKE = 0x16;

export interface PodRelayOptions {
  readonly podAddress: string;
  /** Where clients seem to come from. */
  readonly clientAddress: string;
  readonly door: () => { readonly address: string; readonly port: number };
  readonly serve: (socket: Socket) => void;
}

export class PodRelay implements AsyncDisposable {
  /** What the last client began with. */
  lastWasTls = false;
  readonly #options: PodRelayOptions;
  readonly #servers: Server[] = [];
  readonly #relayed = new Set<Socket>();

  constructor(options: PodRelayOptions) {
    this.#options = options;
  }

  async listen(port: number): Promise<void> {
    const { podAddress, serve } = this.#options;
    const server = createServer((socket) => {
      if (socket.remoteAddress === FROM_SIDECAR) serve(socket);
      else this.#toSidecar(socket, port);
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(port, podAddress, resolve));
  }

  /** Ends all connections: those that a proxy keeps lead to what the pod was before. */
  reset(): void {
    for (const socket of this.#relayed) socket.destroy();
    this.#relayed.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reset();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  #toSidecar(socket: Socket, port: number): void {
    const { door, clientAddress, podAddress } = this.#options;
    const { address, port: doorPort } = door();
    const inner = connect({ host: address, port: doorPort, localAddress: clientAddress });
    inner.write(`PROXY TCP4 ${clientAddress} ${podAddress} ${socket.remotePort} ${port}\r\n`);
    socket.once('data', (first: Buffer) => {
      this.lastWasTls = first[0] === TLS_HANDSHAKE;
    });
    socket.pipe(inner).pipe(socket);
    for (const end of [socket, inner]) {
      this.#relayed.add(end);
      end.on('error', () => end.destroy());
      end.on('close', () => [socket, inner].forEach((other) => other.destroy()));
    }
  }
}

/**
 * A server of secrets that is none of ours, as SPIRE's agent is one: SDS over a Unix socket, certificates of an authority of the
 * test's own. Speaks the state-of-the-world protocol, in which Envoy asks for single secrets, and notes what it is asked for.
 */
import { mkdirSync } from 'node:fs';
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { SecretSchema } from '#proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import {
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';

const TYPE_URL = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
const METHOD = '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets';
const MAX_BYTES = 1 << 20;

type SecretType = NonNullable<MessageInitShape<typeof SecretSchema>['type']>;

interface Watch {
  readonly stream: ServerHttp2Stream;
  readonly names: readonly string[];
  nonce: number;
}

/** The server. */
export class SecretServer implements AsyncDisposable {
  /** Names that somebody asked for, each once. */
  readonly asked = new Set<string>();
  readonly #secrets = new Map<string, Uint8Array>();
  readonly #watches = new Map<ServerHttp2Stream, Watch>();
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #server: Http2Server = createServer();

  /** Listens at a path, which must be short, or on a port of an address. */
  static async listen(
    at: string | { readonly address: string; readonly port: number },
  ): Promise<SecretServer> {
    const server = new SecretServer();
    server.#server.on('session', (session) => {
      server.#sessions.add(session);
      session.on('error', () => {});
    });
    server.#server.on('stream', (stream: ServerHttp2Stream, headers) =>
      server.#open(stream, headers[':path'] ?? ''),
    );
    if (typeof at === 'string') {
      mkdirSync(dirname(at), { recursive: true });
      server.#server.listen(at);
    } else server.#server.listen(at.port, at.address);
    await once(server.#server, 'listening');
    return server;
  }

  setCertificate(name: string, { chain, key }: { readonly chain: string; readonly key: string }): void {
    this.#set(name, {
      case: 'tlsCertificate',
      value: {
        certificateChain: { specifier: { case: 'inlineString', value: chain } },
        privateKey: { specifier: { case: 'inlineString', value: key } },
      },
    });
  }

  setRoots(name: string, pem: string): void {
    const trustedCa = { specifier: { case: 'inlineString' as const, value: pem } };
    this.#set(name, { case: 'validationContext', value: { trustedCa } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #set(name: string, type: SecretType): void {
    this.#secrets.set(name, toBinary(SecretSchema, create(SecretSchema, { name, type })));
    for (const watch of this.#watches.values()) if (watch.names.includes(name)) this.#send(watch);
  }

  #open(stream: ServerHttp2Stream, path: string): void {
    stream.on('error', () => {});
    if (path !== METHOD) {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' },
        { endStream: true },
      );
      return;
    }
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.on('close', () => this.#watches.delete(stream));
    const reader = new GrpcFrameReader(MAX_BYTES);
    stream.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk)) this.#receive(stream, message);
    });
  }

  #receive(stream: ServerHttp2Stream, message: Uint8Array): void {
    const { resourceNames, responseNonce } = fromBinary(DiscoveryRequestSchema, message);
    if (responseNonce !== '') return;
    for (const name of resourceNames) this.asked.add(name);
    const watch = { stream, names: resourceNames, nonce: 0 };
    this.#watches.set(stream, watch);
    this.#send(watch);
  }

  #send(watch: Watch): void {
    const found = watch.names.flatMap((name) => this.#secrets.get(name) ?? []);
    if (found.length === 0) return;
    watch.nonce++;
    const response = create(DiscoveryResponseSchema, {
      typeUrl: TYPE_URL,
      versionInfo: String(watch.nonce),
      nonce: String(watch.nonce),
      resources: found.map((value) => ({ typeUrl: TYPE_URL, value })),
    });
    watch.stream.write(grpcFrame(toBinary(DiscoveryResponseSchema, response)));
  }
}

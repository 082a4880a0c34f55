/**
 * Serves Envoy its secrets over the agent's Unix socket: `default` (certificate and key), `ROOTCA` (whom to believe), and files of the
 * pod by name (file-secrets.ts), in both protocols, and again after each rotation. A request before the first certificate waits; Envoy warms the listener
 * meanwhile. Secrets are encoded once per rotation and live in memory only.
 */
import type { ServerHttp2Stream } from 'node:http2';
import {
  GRPC_INTERNAL,
  GRPC_INVALID_ARGUMENT,
  GRPC_OK,
  GrpcFrameError,
  GrpcFrameReader,
  grpcFrame,
  grpcStatus,
} from '#base/grpc-frame.ts';
import type { Clock } from '#base/clock.ts';
import { Scope } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import { WireError } from '#base/proto-wire.ts';
import {
  decodeDeltaRequest,
  decodeSotwRequest,
  type EncodedSecret,
  encodeCertificateSecret,
  encodeDeltaResponse,
  encodeRootsSecret,
  encodeSotwResponse,
  secretTypeUrl,
} from './discovery-message.ts';
import { type FileSecretParts, FileSecrets } from './file-secrets.ts';
import { endGrpcReply, type GrpcCall, type GrpcHandler, openGrpcReply } from './unix-grpc-server.ts';
import type { WorkloadSecrets } from './workload-certificate.ts';

/** Where the secrets come from. */
export interface SecretSource {
  readonly current: WorkloadSecrets | undefined;
  watch(changed: () => void): Disposable;
}

/** Names under which generated configuration asks. Source: Istio pkg/security WorkloadKeyCertResourceName, RootCertReqResourceName. */
export const certificateSecretName = 'default';
export const rootsSecretName = 'ROOTCA';

const maxRequestBytes = 64 * 1024;
/** How long Envoy may take to answer. */
const ANSWER_LIMIT_MS = 15_000;
const service = '/envoy.service.secret.v3.SecretDiscoveryService';

/** Answers secret streams. */
export class SdsServer implements Disposable {
  readonly #source: SecretSource;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #files: FileSecrets;
  readonly #streams = new Set<SecretStream>();
  readonly #scope = new Scope();
  #version = 0;
  #own: ReadonlyMap<string, EncodedSecret> = new Map();
  /** Called when a stream has answered or ended. */
  readonly #answered = new Set<() => void>();
  #secrets: Secrets = new Map();

  constructor(source: SecretSource, parts: FileSecretParts) {
    this.#source = source;
    this.#files = this.#scope.add(new FileSecrets(parts));
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.#scope.add(source.watch(() => this.#refresh()));
    this.#scope.add(this.#files.watch(() => this.#push()));
    this.#refresh();
  }

  /** The methods to serve, by path. */
  get handlers(): ReadonlyMap<string, GrpcHandler> {
    return new Map<string, GrpcHandler>([
      [`${service}/StreamSecrets`, (call) => this.#open(call, SotwStream)],
      [`${service}/DeltaSecrets`, (call) => this.#open(call, DeltaStream)],
    ]);
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }

  #refresh(): void {
    const current = this.#source.current;
    if (current === undefined) return;
    this.#version++;
    const { chainPem, privateKey, rootsPem, revocationsPem } = current;
    this.#own = new Map([
      this.#renewed(
        certificateSecretName,
        encodeCertificateSecret(certificateSecretName, chainPem, privateKey),
      ),
      this.#renewed(rootsSecretName, encodeRootsSecret(rootsSecretName, rootsPem, revocationsPem)),
    ]);
    this.#push();
  }

  /** What stays the same keeps its version, and is not sent again. */
  #renewed(name: string, body: Uint8Array): readonly [string, EncodedSecret] {
    const known = this.#own.get(name);
    const isSame = known !== undefined && Buffer.compare(known.body, body) === 0;
    return [name, isSame ? known : { name, version: String(this.#version), body }];
  }

  /** Resolves when all streams that asked for the roots have answered the newest: '' when they took them, else the reason. */
  rootsInPlace(): Promise<{ readonly isRefused: boolean; readonly problem: string }> {
    const state = (): { isRefused: boolean; problem: string } | undefined => {
      const asking = [...this.#streams].filter((stream) => stream.isAskedFor(rootsSecretName));
      const refusal = asking.find((stream) => stream.refusal !== '')?.refusal;
      if (refusal !== undefined) return { isRefused: true, problem: `Envoy refused the roots: ${refusal}` };
      return asking.every((stream) => stream.isAnswered) ? { isRefused: false, problem: '' } : undefined;
    };
    return new Promise((resolve) => {
      const look = (): void => finish(state());
      const finish = (outcome: ReturnType<typeof state>): void => {
        if (outcome === undefined) return;
        timer[Symbol.dispose]();
        this.#answered.delete(look);
        resolve(outcome);
      };
      const late = { isRefused: false, problem: 'Envoy has not answered' };
      const timer = this.#clock.schedule(ANSWER_LIMIT_MS, () => finish(late));
      this.#answered.add(look);
      look();
    });
  }

  #push(): void {
    this.#secrets = new Map([...this.#own, ...this.#files.secrets()]);
    for (const stream of this.#streams) stream.push(this.#secrets);
  }

  #tellAnswered(): void {
    for (const look of this.#answered) look();
  }

  /** Whoever asks for files is the one who begins to follow them. */
  #lookUp(names: Iterable<string>): Secrets {
    for (const name of names) this.#files.follow(name);
    return this.#secrets;
  }

  #open(call: GrpcCall, Stream: new (stream: ServerHttp2Stream, log: Logger) => SecretStream): void {
    const stream = new Stream(call.stream, this.#log);
    const reader = new GrpcFrameReader(maxRequestBytes);
    this.#streams.add(stream);
    openGrpcReply(call.stream);
    call.stream.on('close', () => {
      this.#streams.delete(stream);
      this.#tellAnswered();
    });
    call.stream.on('end', () => endGrpcReply(call.stream, grpcStatus(GRPC_OK)));
    call.stream.on('data', (chunk: Buffer) => {
      try {
        for (const message of reader.push(chunk)) stream.receive(message, (names) => this.#lookUp(names));
        this.#tellAnswered();
      } catch (error) {
        endGrpcReply(call.stream, statusOf(error));
      }
    });
  }
}

function statusOf(error: unknown): { readonly code: number; readonly message: string } {
  if (error instanceof GrpcFrameError) return error.status;
  if (error instanceof WireError) return grpcStatus(GRPC_INVALID_ARGUMENT, error.message);
  return grpcStatus(GRPC_INTERNAL, 'the request could not be served');
}

type Secrets = ReadonlyMap<string, EncodedSecret>;
/** All secrets that there are, after names have been asked for. */
type LookUp = (names: Iterable<string>) => Secrets;

/** One stream's state: what it asked for, and which version it was sent. */
abstract class SecretStream {
  protected readonly stream: ServerHttp2Stream;
  protected readonly log: Logger;
  protected readonly names = new Set<string>();
  protected nonce = 0;
  /** Of the last response that was answered. */
  #answeredNonce = 0;
  #refusal = '';
  readonly #sent = new Map<string, string>();

  constructor(stream: ServerHttp2Stream, log: Logger) {
    this.stream = stream;
    this.log = log;
  }

  isAskedFor(name: string): boolean {
    return this.names.has(name);
  }

  get isAnswered(): boolean {
    return this.#answeredNonce === this.nonce;
  }

  /** Why the newest response was refused; '' when it was not, or not yet. */
  get refusal(): string {
    return this.isAnswered ? this.#refusal : '';
  }

  /** Notes an answer; an old one says nothing. */
  protected noteAnswer(nonce: string, error: string): void {
    if (nonce === '' || nonce !== String(this.nonce)) return;
    this.#answeredNonce = this.nonce;
    this.#refusal = error;
  }

  /** Takes a request: a subscription, an acknowledgement, or a refusal. */
  abstract receive(message: Uint8Array, lookUp: LookUp): void;

  /** Sends what the stream asked for and does not have. */
  abstract push(secrets: Secrets): void;

  protected takeChanged(secrets: Secrets): readonly EncodedSecret[] {
    const changed = [...this.names].flatMap((name) => secrets.get(name) ?? []);
    const fresh = changed.filter((secret) => this.#sent.get(secret.name) !== secret.version);
    for (const secret of fresh) this.#sent.set(secret.name, secret.version);
    return fresh;
  }

  protected forget(name: string): void {
    this.#sent.delete(name);
  }

  protected write(message: Uint8Array): void {
    if (!this.stream.destroyed && !this.stream.writableEnded) this.stream.write(grpcFrame(message));
  }

  protected checkType(typeUrl: string): void {
    if (typeUrl !== '' && typeUrl !== secretTypeUrl) throw new WireError('only secrets are served here');
  }
}

class SotwStream extends SecretStream {
  override receive(message: Uint8Array, lookUp: LookUp): void {
    const request = decodeSotwRequest(message);
    this.checkType(request.typeUrl);
    if (request.error !== '')
      this.log.warn('Envoy refused a secret', { names: request.names, reason: request.error });
    this.noteAnswer(request.nonce, request.error);
    if (request.nonce !== '' && request.nonce !== String(this.nonce)) return;
    this.names.clear();
    for (const name of request.names) this.names.add(name);
    this.push(lookUp(this.names));
  }

  override push(secrets: Secrets): void {
    if (this.takeChanged(secrets).length === 0) return;
    const all = [...this.names].flatMap((name) => secrets.get(name) ?? []);
    this.nonce++;
    this.write(encodeSotwResponse(all[0]?.version ?? '', String(this.nonce), all));
  }
}

class DeltaStream extends SecretStream {
  override receive(message: Uint8Array, lookUp: LookUp): void {
    const request = decodeDeltaRequest(message);
    this.checkType(request.typeUrl);
    if (request.error !== '') this.log.warn('Envoy refused a secret', { reason: request.error });
    this.noteAnswer(request.nonce, request.error);
    for (const name of request.unsubscribe) {
      this.names.delete(name);
      this.forget(name);
    }
    for (const name of request.subscribe) this.names.add(name);
    const secrets = lookUp(request.subscribe);
    const known = [certificateSecretName, rootsSecretName, ...secrets.keys()];
    this.#send(
      secrets,
      request.subscribe.filter((name) => !known.includes(name)),
    );
  }

  override push(secrets: Secrets): void {
    this.#send(secrets, []);
  }

  #send(secrets: Secrets, unknown: readonly string[]): void {
    const changed = this.takeChanged(secrets);
    if (changed.length === 0 && unknown.length === 0) return;
    this.nonce++;
    this.write(encodeDeltaResponse(changed[0]?.version ?? '', String(this.nonce), changed, unknown));
  }
}

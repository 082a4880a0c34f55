/**
 * One discovery stream: takes requests, keeps a TypeState per resource type, and brings the client step by step to its
 * proxy's snapshot (`pump`): at most one unanswered response per type, in the order of push-order.ts, while newer
 * snapshots coalesce behind. The same for both variants of the protocol; delta-stream.ts and sotw-stream.ts are the rest.
 */
import {
  GRPC_INTERNAL,
  GRPC_INVALID_ARGUMENT,
  GRPC_OK,
  GRPC_RESOURCE_EXHAUSTED,
  type GrpcStatus,
  grpcStatus,
} from '#base/grpc-frame.ts';
import { WireError } from '#base/proto-wire.ts';
import { emptyMap } from '#collections/persistent-map.ts';
import { type Demand, NO_DEMAND } from '#model/demand.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import type { ConnectionRecord } from './connections.ts';
import { resourcesFor } from './confidential.ts';
import type { Dialect, DiscoveryRequest } from './dialect.ts';
import { LingeringListeners } from './lingering-listeners.ts';
import type { Peer } from './peer.ts';
import { type OrderedStream, PushOrder } from './push-order.ts';
import { healthOf, TYPE_HEALTH } from './registrar.ts';
import { CDS, EDS, LDS, PCDS, RESOURCE_TYPES, type ResourceType, resourceType } from './resource-type.ts';
import type { BodyCache } from './response-body.ts';
import type { ResourceMap } from './snapshot-diff.ts';
import type { Epoch, ProxySession, SessionHost } from './session-host.ts';
import { StreamDemand } from './stream-demand.ts';
import { type Changes, type Refusal, TypeState } from './subscription.ts';
import { wireVersions } from './wire-version.ts';
import type { XdsStream } from './xds-stream.ts';

const MAX_TYPES = 32;
/** Names that a client may ask for beyond those that exist. */
const MAX_UNKNOWN_NAMES = 10_000;
/** Unanswered CDS responses kept in the books. */
const MAX_IN_FLIGHT = 4;

export class AdsSession<R extends DiscoveryRequest> implements ProxySession, OrderedStream {
  readonly peer: Peer;
  readonly startedAtMs: number;
  readonly lingering: LingeringListeners = new LingeringListeners();
  readonly #host: SessionHost;
  readonly #stream: XdsStream;
  readonly #dialect: Dialect<R>;
  readonly #bodies: BodyCache;
  readonly #states: Map<string, TypeState> = new Map();
  readonly #lastNonce: Map<TypeState, string> = new Map();
  #record: ConnectionRecord | undefined;
  #snapshot: ProxySnapshot | undefined;
  #demand: StreamDemand | undefined;
  /** What `#snapshot` was made for. */
  #madeFor: Demand = NO_DEMAND;
  #epoch: Epoch = { number: 0, version: '' };
  /** Requests that came before there was a snapshot to answer them from. */
  #waiting: Uint8Array[] = [];
  #timer: Disposable | undefined;
  #nonces = 0;
  #isEnded = false;

  constructor(host: SessionHost, stream: XdsStream, peer: Peer, dialect: Dialect<R>, bodies: BodyCache) {
    this.#host = host;
    this.#stream = stream;
    this.peer = peer;
    this.#dialect = dialect;
    this.#bodies = bodies;
    this.startedAtMs = host.clock.nowMs();
  }

  get isDelta(): boolean {
    return this.#dialect.isDelta;
  }

  get record(): ConnectionRecord | undefined {
    return this.#record;
  }

  get queuedBytes(): number {
    return this.#stream.queuedBytes;
  }

  run(): void {
    this.#stream.start({
      onMessages: (messages) => this.#guard(() => this.#receive(messages)),
      onHalfClose: () => this.close(grpcStatus(GRPC_OK)),
      onEnd: () => this.#end(),
    });
  }

  close(status: GrpcStatus): void {
    if (!this.#isEnded) this.#stream.close(status);
  }

  refresh(): void {
    this.#guard(() => {
      if (this.#record === undefined || this.#isEnded) return;
      if (!this.#look(this.#record)) return;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const message of waiting) this.#take(message);
      if (waiting.length > 0 && this.#waiting.length === 0) this.#stream.resume();
      this.#pump();
    });
  }

  state(type: ResourceType): TypeState | undefined {
    return this.#states.get(type.url);
  }

  /** What this client should have of a type. */
  target(type: ResourceType): ResourceMap {
    return this.#snapshot === undefined ? emptyMap() : resourcesFor(this.peer, type, this.#snapshot);
  }

  /** A client's mistake ends its stream with what it did; our own fault ends the stream, not the server. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (error instanceof WireError) return this.close(grpcStatus(GRPC_INVALID_ARGUMENT, error.message));
      this.#host.metrics.internalError();
      this.#host.log.error('a discovery stream failed', { proxy: this.#record?.node.proxy.id ?? '', error });
      this.close(grpcStatus(GRPC_INTERNAL, 'internal error'));
    }
  }

  #receive(messages: readonly Uint8Array[]): void {
    for (const message of messages) {
      if (this.#isEnded || !this.#joined(message)) return;
      this.#take(message);
    }
    if (this.#waiting.length > 0) this.#stream.pause();
    this.#pump();
  }

  /** The first request says who this is. False when the stream was refused. */
  #joined(message: Uint8Array): boolean {
    if (this.#record !== undefined) return true;
    const { node } = this.#dialect.decode(message);
    if (node === undefined) {
      this.close(grpcStatus(GRPC_INVALID_ARGUMENT, 'the first request has no node'));
      return false;
    }
    const joined = this.#host.join(this, node);
    if (!joined.ok) {
      this.close(joined.error);
      return false;
    }
    this.#record = joined.value;
    this.#look(joined.value);
    return true;
  }

  /** Takes the snapshot of now; false while there is none. */
  #look(record: ConnectionRecord): boolean {
    const { id } = record.node.proxy;
    const snapshot = this.#host.snapshot(id);
    if (snapshot === undefined) return false;
    this.#snapshot = snapshot;
    this.#madeFor = this.#host.demand(id);
    this.#epoch = this.#host.epoch();
    return true;
  }

  /** Handles a message, unless it must wait for a snapshot, or behind others that do. */
  #take(message: Uint8Array): void {
    const mayHandle = this.#snapshot !== undefined && this.#waiting.length === 0;
    const request = mayHandle ? this.#dialect.decode(message) : undefined;
    if (request !== undefined && this.#isAnswerable(request)) this.#handle(request);
    else this.#waiting.push(message);
  }

  /** False while the snapshot was not made for what the request asks for. */
  #isAnswerable(request: R): boolean {
    const record = this.#record;
    const type = resourceType(request.typeUrl);
    if (record === undefined) return false;
    this.#demand ??= new StreamDemand(record.node.proxy.generator);
    if (!this.#demand.concerns(type)) return true;
    const names = this.#dialect.wantedNames(request, this.#states.get(type.url)?.names ?? []);
    if (this.#demand.take(type, names)) this.#host.ask(this, this.#demand.current);
    return this.#demand.isMet(type, this.#madeFor);
  }

  #handle(request: R): void {
    if (request.typeUrl === TYPE_HEALTH) return this.#host.reported(this, healthOf(request));
    let state = this.#states.get(request.typeUrl);
    const isFirst = state === undefined;
    if (state === undefined) {
      if (this.#states.size >= MAX_TYPES) return this.#refuse('too many resource types on one stream');
      state = new TypeState(resourceType(request.typeUrl), this.#host.diffs);
      this.#states.set(request.typeUrl, state);
    }
    const isExpired = !isFirst && request.nonce !== '' && request.nonce !== this.#lastNonce.get(state);
    if (!isFirst && request.nonce !== '') this.#answer(state, request, isExpired);
    const target = this.target(state.type);
    // Only claims are compared by version, and those come in thousands or not at all.
    const clusters = this.target(CDS);
    const versionOf = wireVersions(state.type, {
      get: (name) => this.#host.diffs.lookup(clusters, target.size).get(name),
    });
    this.#dialect.subscribe(request, {
      state,
      target,
      isFirst,
      isExpired,
      versionOf,
      nowMs: this.#host.clock.nowMs(),
    });
    const known = 2 * target.size + state.base.size + MAX_UNKNOWN_NAMES;
    if (state.names.size + state.exceptions.size > known) this.#refuse('too many unknown resource names');
  }

  #refuse(reason: string): void {
    this.#host.metrics.refused(reason);
    this.close(grpcStatus(GRPC_RESOURCE_EXHAUSTED, reason));
  }

  /** ACK or NACK of a response. */
  #answer(state: TypeState, request: R, isExpired: boolean): void {
    if (isExpired) this.#host.metrics.expiredNonce(state.type.name);
    if (request.error !== undefined) {
      const refusal = state.nack(request.nonce, request.error.message);
      if (refusal !== undefined) this.#recordNack(state, refusal, request.error);
      return;
    }
    const sent = state.ack(request.nonce);
    if (sent === undefined || this.#record === undefined) return;
    this.#record.acked(state.type, sent, this.#host.clock.nowMs());
    if (state.type === PCDS) this.#host.bundleAnswered(this.#record);
  }

  #recordNack(state: TypeState, refusal: Refusal, error: NonNullable<R['error']>): void {
    const record = this.#record;
    if (record === undefined) return;
    const nack = {
      proxyId: record.node.proxy.id,
      typeUrl: state.type.url,
      nonce: refusal.sent.nonce,
      code: error.code,
      message: error.message,
      atMs: this.#host.clock.nowMs(),
      resources: refusal.sent.adds.map(([name]) => name),
    };
    record.nacked(state.type, nack);
    this.#host.metrics.rejected(state.type.name, nack.proxyId, nack.code);
    this.#host.nacked({ ...nack, suspects: refusal.suspects });
  }

  /** Sends what can be sent now, and sees to it that the rest is looked at in time. */
  #pump(): void {
    if (this.#isEnded || this.#snapshot === undefined) return;
    const order = new PushOrder(this, this.#host.clock.nowMs());
    for (const state of this.#inOrder()) this.#push(state, order);
    // What clusters' removals wait for may have come about just now.
    const clusters = this.state(CDS);
    if (clusters !== undefined) this.#push(clusters, order);
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    if (order.wakeAtMs < Number.POSITIVE_INFINITY) {
      const delayMs = order.wakeAtMs - this.#host.clock.nowMs();
      this.#timer = this.#host.clock.schedule(delayMs, () => this.#guard(() => this.#pump()));
    }
    this.#reportEpoch();
  }

  /** Newer changes may be on their way already: what counts is the epoch that all types have behind them. */
  #reportEpoch(): void {
    let answered = this.#epoch.number;
    for (const state of this.#states.values()) {
      if (state.isSettled(this.target(state.type))) state.answeredEpoch = this.#epoch.number;
      answered = Math.min(answered, state.answeredEpoch);
    }
    if (this.#record !== undefined) this.#host.settled(this.#record, answered);
  }

  *#inOrder(): Iterable<TypeState> {
    for (const type of RESOURCE_TYPES) {
      const state = this.#states.get(type.url);
      if (state !== undefined) yield state;
    }
    for (const state of this.#states.values()) if (!RESOURCE_TYPES.includes(state.type)) yield state;
  }

  #push(state: TypeState, order: PushOrder): void {
    const target = this.target(state.type);
    const startedMs = this.#host.clock.monotonicMs();
    const nowMs = this.#host.clock.nowMs();
    if (state.isQuiet(target)) {
      state.blockedSinceMs = 0;
      return;
    }
    const changes = this.#changes(state, target, order);
    if (changes.adds.length === 0 && changes.removals.length === 0 && !state.mustAnswer) {
      state.blockedSinceMs = 0;
      if (state.inFlight.length === 0) state.commit(target, changes, undefined, nowMs);
      return;
    }
    if (!order.mayPush(state, changes.adds.length > 0)) return;
    state.blockedSinceMs = 0;
    this.#send(state, target, changes, startedMs);
  }

  /**
   * Clusters are removed in responses of their own: of a refused response Envoy may have taken a part, and the versions that
   * it lists after a reconnect don't show what was removed with it.
   */
  #changes(state: TypeState, target: ResourceMap, order: PushOrder): Changes {
    const changes = state.changes(target, order.removalRules(state.type));
    return state.type === CDS && this.isDelta && changes.adds.length > 0
      ? { ...changes, removals: [] }
      : changes;
  }

  #send(state: TypeState, target: ResourceMap, changes: Changes, startedMs: number): void {
    const { clock, diffs, controlPlane, metrics } = this.#host;
    const { type } = state;
    const nonce = `${this.#record?.id ?? ''}/${(++this.#nonces).toString(36)}`;
    const { version } = this.#epoch;
    const versionedBy = type === EDS ? this.state(CDS)?.base : undefined;
    const versionOf = wireVersions(type, versionedBy);
    const head = { typeUrl: type.url, version, nonce, controlPlane };
    const response = this.#dialect.compose(
      { state, target, changes, head, versionOf, versionedBy, diffs },
      this.#bodies,
    );
    const nowMs = clock.nowMs();
    if (response === undefined) {
      state.commit(target, changes, undefined, nowMs);
      return;
    }
    const isWhole = !this.isDelta && type.isWholeState;
    state.commit(
      target,
      changes,
      { nonce, version, sentAtMs: nowMs, epoch: this.#epoch.number, isWhole },
      nowMs,
    );
    if (state.inFlight.length > MAX_IN_FLIGHT) state.forgetOldest();
    this.#lastNonce.set(state, nonce);
    const sent = state.inFlight.at(-1);
    if (type === CDS) this.#forceEndpoints(changes);
    if (type === LDS && sent !== undefined) this.lingering.sent(sent);
    this.#stream.send(response.chunks);
    if (sent !== undefined) this.#record?.sent(type, sent);
    metrics.pushed({
      type: type.name,
      sizeBytes: response.sizeBytes,
      durationMs: clock.monotonicMs() - startedMs,
    });
  }

  /** A cluster that is sent warms until its endpoints come, also when the client has them already. */
  #forceEndpoints(changes: Changes): void {
    const endpoints = this.state(EDS);
    if (endpoints === undefined) return;
    const target = this.target(EDS);
    for (const [name] of changes.adds) if (target.has(name)) endpoints.force(name);
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#timer?.[Symbol.dispose]();
    this.#states.clear();
    this.#host.leave(this);
  }
}

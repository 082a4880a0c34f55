/**
 * The xDS server behind the transport: makes a session per stream, tells the world which proxies are connected, and
 * wakes sessions when an epoch changed their snapshot. Everything from outside comes in by constructor.
 */
import type { Clock } from '#base/clock.ts';
import { Scope } from '#base/disposable.ts';
import { GRPC_INVALID_ARGUMENT, GRPC_UNAVAILABLE, type GrpcStatus, grpcStatus } from '#base/grpc-frame.ts';
import type { Logger } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { AdsMetrics } from './ads-metrics.ts';
import { AdsSession } from './ads-session.ts';
import { ConnectionRecord, Connections } from './connections.ts';
import { DELTA } from './delta-stream.ts';
import type { NackEvent } from './nack-event.ts';
import { decodeNode } from './node-decoder.ts';
import { nodeToProxy } from './node-to-proxy.ts';
import type { Peer, ProxyAdmission } from './peer.ts';
import { DEFAULT_PUSH_QUEUE, PushQueue, type PushQueueOptions } from './push-queue.ts';
import type { RegisteredProxy, Registrar } from './registrar.ts';
import { BodyCache } from './response-body.ts';
import { DiffCache } from './snapshot-diff.ts';
import type { Proxy } from '#model/proxy.ts';
import type { Epoch, ProxySession, SessionHost } from './session-host.ts';
import type { ProxyLease, SnapshotSource } from './snapshot-source.ts';
import { SOTW } from './sotw-stream.ts';
import type { XdsStream } from './xds-stream.ts';

export interface AdsServerOptions {
  readonly source: SnapshotSource;
  readonly admission: ProxyAdmission;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: AdsMetrics;
  /** ControlPlane.identifier of every response; Istio's is a JSON text with component, ID and version. */
  readonly controlPlane: string;
  readonly registrar?: Registrar;
  /** Called for each refused response. */
  readonly onNack?: (event: NackEvent) => void;
  readonly queue?: PushQueueOptions;
  /** Memory for encoded responses that streams share. Default: 64 MiB. */
  readonly bodyCacheBytes?: number;
}

const DEFAULT_BODY_CACHE_BYTES = 64 << 20;

export class AdsServer implements Disposable {
  readonly connections: Connections;
  readonly #options: AdsServerOptions;
  readonly #host: SessionHost;
  readonly #queue: PushQueue;
  readonly #deltaBodies: BodyCache;
  readonly #sotwBodies: BodyCache;
  readonly #sessions: Map<string, Set<ProxySession>> = new Map();
  readonly #open: Set<ProxySession> = new Set();
  readonly #leases: Map<ProxySession, ProxyLease> = new Map();
  readonly #registered: Map<ProxySession, RegisteredProxy> = new Map();
  /** When each waiting proxy's oldest unanswered change was finished, monotonic milliseconds. */
  readonly #changedAtMs: Map<string, number> = new Map();
  readonly #scope: Scope = new Scope();
  #epoch: Epoch;
  #connectionCount = 0;

  constructor(options: AdsServerOptions) {
    this.#options = options;
    const { clock, source } = options;
    this.connections = new Connections(clock);
    const bytes = options.bodyCacheBytes ?? DEFAULT_BODY_CACHE_BYTES;
    this.#deltaBodies = new BodyCache(bytes);
    this.#sotwBodies = new BodyCache(bytes);
    this.#epoch = { number: 0, version: epochVersion(clock.nowMs(), 0) };
    this.#host = this.#createHost();
    this.#queue = new PushQueue(clock, options.queue ?? DEFAULT_PUSH_QUEUE, (proxyId) =>
      this.#refresh(proxyId),
    );
    this.#scope.add(this.#queue);
    this.#scope.add(source.onEpoch((changed) => this.#onEpoch(changed)));
  }

  /** The last finished epoch, as stands in version_info; `connections.waitForAck` takes its number. */
  get epoch(): Epoch {
    return this.#epoch;
  }

  /** How many responses were encoded rather than shared, since start. */
  get encodedCount(): number {
    return this.#deltaBodies.encodedCount + this.#sotwBodies.encodedCount;
  }

  /** Serves a DeltaAggregatedResources stream. */
  serveDelta(stream: XdsStream, peer: Peer): void {
    this.#serve(new AdsSession(this.#host, stream, peer, DELTA, this.#deltaBodies));
  }

  /** Serves a StreamAggregatedResources stream. */
  serveSotw(stream: XdsStream, peer: Peer): void {
    this.#serve(new AdsSession(this.#host, stream, peer, SOTW, this.#sotwBodies));
  }

  /** Ends one proxy's streams, so that it connects again; how many there were. */
  disconnect(proxyId: string, reason: string): number {
    const sessions = [...(this.#sessions.get(proxyId) ?? [])];
    for (const session of sessions) session.close(grpcStatus(GRPC_UNAVAILABLE, reason));
    return sessions.length;
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
    for (const session of this.#open)
      session.close(grpcStatus(GRPC_UNAVAILABLE, 'the server is shutting down'));
  }

  #serve(session: ProxySession & { run(): void }): void {
    this.#open.add(session);
    session.run();
  }

  #createHost(): SessionHost {
    const { clock, log, metrics, controlPlane, source, onNack } = this.#options;
    return {
      clock,
      log,
      metrics,
      controlPlane,
      diffs: new DiffCache(),
      epoch: () => this.#epoch,
      join: (session, node) => this.#join(session, node),
      leave: (session) => this.#leave(session),
      snapshot: (proxyId) => source.snapshot(proxyId),
      demand: (proxyId) => source.demand(proxyId),
      ask: (session, demand) => this.#leases.get(session)?.ask(demand),
      reported: (session, health) => this.#registered.get(session)?.report(health),
      settled: (record, epoch) => this.#settled(record, epoch),
      bundleAnswered: (record) => this.connections.touch(record.node.proxy.id),
      nacked: (event) => {
        log.warn('a proxy refused configuration', {
          proxy: event.proxyId,
          type: event.typeUrl,
          message: event.message,
        });
        onNack?.(event);
      },
    };
  }

  #join(session: ProxySession, nodeBytes: Uint8Array): Result<ConnectionRecord, GrpcStatus> {
    const { admission, clock, source, metrics, log } = this.#options;
    const read = nodeToProxy(decodeNode(nodeBytes));
    if (!read.ok) {
      metrics.refused(read.error.kind);
      return fail(grpcStatus(GRPC_INVALID_ARGUMENT, read.error.text));
    }
    const admitted = admission.admit(session.peer, read.value.proxy);
    if (!admitted.ok) {
      metrics.refused(admitted.error.code === GRPC_UNAVAILABLE ? 'not-ready' : 'not-admitted');
      log.warn('a proxy was refused', { proxy: read.value.proxy.id, reason: admitted.error.message });
      return admitted;
    }
    const proxy = admitted.value;
    const registered = this.#register(session, proxy);
    if (!registered.ok) return registered;
    const record = new ConnectionRecord({
      id: `${proxy.name}.${proxy.namespace}-${++this.#connectionCount}`,
      node: { ...read.value, proxy },
      address: session.peer.connection.remoteAddress,
      identity: session.peer.identity,
      isDelta: session.isDelta,
      connectedAtMs: clock.nowMs(),
    });
    record.changedEpoch = this.#epoch.number;
    const sessions = this.#sessions.get(proxy.id) ?? new Set();
    this.#sessions.set(proxy.id, sessions.add(session));
    this.connections.add(record);
    metrics.connected(record.node.proxy.istioVersion, 1);
    this.#leases.set(session, source.connect(proxy));
    return ok(record);
  }

  #register(session: ProxySession, proxy: Proxy): Result<undefined, GrpcStatus> {
    const { registrar, clock, metrics, log } = this.#options;
    const registered = registrar?.register({
      proxy,
      remoteAddress: session.peer.connection.remoteAddress,
      connectedAtMs: clock.nowMs(),
      end: (status) => session.close(status),
    });
    if (registered?.ok === false) {
      metrics.refused('not-registered');
      log.warn('a proxy was refused', { proxy: proxy.id, reason: registered.error.message });
      return registered;
    }
    if (registered?.value !== undefined) this.#registered.set(session, registered.value);
    return ok(undefined);
  }

  #leave(session: ProxySession): void {
    this.#open.delete(session);
    this.#registered.get(session)?.[Symbol.dispose]();
    this.#registered.delete(session);
    const { record } = session;
    if (record === undefined) return;
    const { id } = record.node.proxy;
    const sessions = this.#sessions.get(id);
    sessions?.delete(session);
    if (sessions?.size === 0) {
      this.#sessions.delete(id);
      this.#changedAtMs.delete(id);
    }
    this.connections.remove(record);
    this.#options.metrics.connected(record.node.proxy.istioVersion, -1);
    this.#leases.get(session)?.[Symbol.dispose]();
    this.#leases.delete(session);
  }

  #onEpoch(changed: readonly string[]): void {
    const number = this.#epoch.number + 1;
    this.#epoch = { number, version: epochVersion(this.#options.clock.nowMs(), number) };
    const connected = changed.filter((proxyId) => this.#sessions.has(proxyId));
    for (const proxyId of connected) {
      this.connections.changed(proxyId, number);
      if (!this.#changedAtMs.has(proxyId)) this.#changedAtMs.set(proxyId, this.#options.clock.monotonicMs());
    }
    this.#queue.enqueue(connected);
  }

  #refresh(proxyId: string): void {
    const changedAtMs = this.#changedAtMs.get(proxyId);
    if (changedAtMs !== undefined)
      this.#options.metrics.queued(this.#options.clock.monotonicMs() - changedAtMs);
    for (const session of this.#sessions.get(proxyId) ?? []) session.refresh();
  }

  #settled(record: ConnectionRecord, epoch: number): void {
    this.connections.settled(record, epoch);
    const proxyId = record.node.proxy.id;
    const changedAtMs = this.#changedAtMs.get(proxyId);
    if (changedAtMs === undefined || !this.connections.synced(proxyId)) return;
    this.#changedAtMs.delete(proxyId);
    this.#options.metrics.converged(this.#options.clock.monotonicMs() - changedAtMs);
  }
}

/** As Istio prints it: the time of the epoch and its number. */
function epochVersion(atMs: number, number: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19)}Z/${number}`;
}

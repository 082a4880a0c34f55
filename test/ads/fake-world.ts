/**
 * The world around the xDS server for tests: a snapshot source over plain maps, a still clock, and resources whose bytes
 * are JSON that says what they use.
 */
import { type AdsMetrics, noMetrics } from '#ads/ads-metrics.ts';
import { AdsServer, type AdsServerOptions } from '#ads/ads-server.ts';
import type { NackEvent } from '#ads/nack-event.ts';
import type { Peer } from '#ads/peer.ts';
import { type ProxyLease, ProxyLeases, type SnapshotSource } from '#ads/snapshot-source.ts';
import { TestClock } from '#base/clock.ts';
import { toDisposable } from '#base/disposable.ts';
import { hashHex } from '#base/hash.ts';
import { silentLogger } from '#base/logger.ts';
import { WireWriter } from '#base/proto-wire.ts';
import { ok } from '#base/result.ts';
import { emptyMap, mapOf } from '#collections/persistent-map.ts';
import { type Demand, NO_DEMAND } from '#model/demand.ts';
import type { Proxy } from '#model/proxy.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import {
  type Resource,
  type ResourceEntry,
  TYPE_CLUSTER,
  TYPE_ENDPOINT,
  TYPE_LISTENER,
  TYPE_ROUTE,
} from '#xds/resource.ts';

/** What the bytes of a test resource say. */
export interface Content {
  readonly name: string;
  readonly revision: number;
  readonly isEds?: boolean;
  readonly clusters?: readonly string[];
  readonly routes?: readonly string[];
}

/** A world of resources as a test writes it down. */
export interface WorldDescription {
  readonly clusters: readonly Content[];
  readonly endpoints: readonly Content[];
  readonly listeners: readonly Content[];
  readonly routes: readonly Content[];
}

export function resourceOf(typeUrl: string, content: Content): Resource {
  const bytes = Buffer.from(JSON.stringify(content));
  const references = [...(content.clusters ?? []), ...(content.routes ?? [])];
  return { typeUrl, name: content.name, bytes, version: hashHex(bytes), references };
}

export function contentOf(bytes: Uint8Array): Content {
  return JSON.parse(Buffer.from(bytes).toString()) as Content;
}

/** A fresh snapshot; entries and maps are new objects even when the content is not. */
export function snapshotOf(
  world: Partial<WorldDescription>,
  more: Partial<ProxySnapshot> = {},
): ProxySnapshot {
  const map = (typeUrl: string, contents: readonly Content[] = []) =>
    mapOf(
      contents.map((content): [string, ResourceEntry] => [
        content.name,
        {
          resource: resourceOf(typeUrl, content),
          causes: [{ kind: 'Service', namespace: 'ns', name: content.name, path: '' }],
        },
      ]),
    );
  return {
    clusters: map(TYPE_CLUSTER, world.clusters),
    endpoints: map(TYPE_ENDPOINT, world.endpoints),
    listeners: map(TYPE_LISTENER, world.listeners),
    routes: map(TYPE_ROUTE, world.routes),
    nameTable: emptyMap(),
    trustBundle: emptyMap(),
    secrets: emptyMap(),
    secretsOwner: '',
    extensions: emptyMap(),
    ...more,
  };
}

export class FakeSource implements SnapshotSource {
  readonly proxies: Map<string, Proxy> = new Map();
  readonly #snapshots: Map<string, ProxySnapshot> = new Map();
  /** What clients ask for, and what the published snapshots count as made for. */
  readonly wishes: Map<string, Demand> = new Map();
  readonly #met: Map<string, Demand> = new Map();
  readonly #leases: ProxyLeases = new ProxyLeases({
    set: (id, proxy) => this.proxies.set(id, proxy),
    delete: (id) => this.proxies.delete(id),
    ask: (id, demand) => this.wishes.set(id, demand),
  });
  readonly #callbacks: Set<(changed: readonly string[]) => void> = new Set();

  connect(proxy: Proxy): ProxyLease {
    return this.#leases.connect(proxy);
  }

  demand(proxyId: string): Demand {
    return this.#met.get(proxyId) ?? NO_DEMAND;
  }

  /** The next snapshot is one that was made for what the proxy asks for now. */
  meet(proxyId: string): void {
    this.#met.set(proxyId, this.wishes.get(proxyId) ?? NO_DEMAND);
  }

  snapshot(proxyId: string): ProxySnapshot | undefined {
    return this.#snapshots.get(proxyId);
  }

  onEpoch(callback: (changed: readonly string[]) => void): Disposable {
    this.#callbacks.add(callback);
    return toDisposable(() => this.#callbacks.delete(callback));
  }

  /** One epoch in which these proxies' snapshots become this one. */
  publish(snapshot: ProxySnapshot, ...proxyIds: string[]): void {
    for (const proxyId of proxyIds) this.#snapshots.set(proxyId, snapshot);
    for (const callback of this.#callbacks) callback(proxyIds);
  }
}

export const NODE_ID = 'sidecar~10.0.0.1~app-0.default~default.svc.cluster.local';

/** An encoded node with that id and no metadata. */
export function encodeNode(id = NODE_ID): Uint8Array {
  return new WireWriter().string(1, id).finish();
}

export const LOCAL_PEER: Peer = {
  identity: undefined,
  isTrusted: false,
  connection: { transport: 'unix', remoteAddress: '', tls: undefined },
};

/** A server over a fake source and a still clock. */
export class FakeWorld {
  readonly clock: TestClock = new TestClock(Date.UTC(2026, 10, 21, 10, 31, 1));
  readonly source: FakeSource = new FakeSource();
  readonly nacks: NackEvent[] = [];
  readonly server: AdsServer;

  constructor(options: Partial<AdsServerOptions> = {}, metrics: AdsMetrics = noMetrics()) {
    this.server = new AdsServer({
      source: this.source,
      admission: { admit: (_peer, proxy) => ok(proxy) },
      clock: this.clock,
      log: silentLogger(),
      metrics,
      controlPlane: 'lateen',
      onNack: (event) => this.nacks.push(event),
      ...options,
    });
  }

  /** Publishes an epoch and lets the push queue run. */
  publish(snapshot: ProxySnapshot, ...proxyIds: string[]): void {
    this.source.publish(snapshot, ...(proxyIds.length === 0 ? [NODE_ID] : proxyIds));
    this.clock.advance(200);
  }
}

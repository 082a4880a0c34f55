/**
 * DNS name tables: what an agent answers its application's queries from. One table per view, put together from encoded
 * shards, so that a changed host costs its own encoding, its shard, and one copy of the other shards' bytes.
 */
import type { Cause } from '#base/cause.ts';
import { hashHex } from '#base/hash.ts';
import type { Collection, Fetch, Index } from '#collections/collection.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import type { Interner } from '#collections/interner.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import { SHARD_NAMES } from '#model/host-shard.ts';
import type { Proxy } from '#model/proxy.ts';
import type { Service } from '#model/service.ts';
import { serviceKey } from '#model/service-hostname.ts';
import type { ServiceModel } from '#model/service-model.ts';
import { type EgressListener, importsService } from '#scope/egress-listener.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import type { OutboundScope } from '#scope/outbound-host-model.ts';
import { viewerKey } from '#scope/viewer.ts';
import { isSameEntry } from '#xds/resource-entry.ts';
import { type Resource, type ResourceEntry, TYPE_NAME_TABLE } from '#xds/resource.ts';
import { concatenate } from '#xds/routes/bytes.ts';
import { createHeadlessAddresses, type HeadlessAddresses } from './headless-addresses.ts';
import { buildNameRecords, type NameRecords } from './name-records.ts';
import { createNameViews, type NamePlace, type NameView, type NameViewDeps } from './name-view.ts';

/** Name of the one resource of its type. */
const NAME_TABLE = 'name-table';

/** The hosts of one shard as a view may know them. Keyed `view|shard`. */
interface NameShard {
  readonly view: string;
  readonly encoded: NameRecords;
  readonly causes: readonly Cause[];
}

export interface NameTableDeps extends NameViewDeps {
  readonly interner: Interner;
  readonly serviceModel: Pick<ServiceModel, 'services' | 'endpoints'>;
  readonly scope: Pick<OutboundScope, 'viewers' | 'viewerOf' | 'hostsByTableShard'>;
}

export interface NameTables {
  /** By view; one entry each. */
  readonly tables: Index<ResourceEntry>;
  /** The proxy's bucket in `tables`; undefined when it has not asked for names. */
  viewOf(fetch: Fetch, proxy: Proxy): string | undefined;
}

type Build = (service: Service, headless: HeadlessAddresses, place: NamePlace) => NameRecords | undefined;

const NO_ADDRESSES: HeadlessAddresses = { addresses: [] };

/** Derives the tables of all views. */
export function createNameTables(deps: NameTableDeps): NameTables {
  const { engine, interner } = deps;
  const { views, viewOf } = createNameViews(deps);
  const shards = createNameShards(deps, views);
  const shardsByView = engine.index('xds.nameShardsByView', shards, (shard) => [shard.view]);
  const tables = engine.derive(
    'xds.nameTables',
    views,
    (fetch, view): ResourceEntry => composeTable(interner, fetch.bucket(shardsByView, view.key)),
    { equals: isSameEntry },
  );
  return {
    tables: engine.index(
      'xds.nameTablesByView',
      tables,
      (_entry, key) => [key],
      () => NAME_TABLE,
    ),
    viewOf,
  };
}

function createNameShards(deps: NameTableDeps, views: Collection<NameView>): Collection<NameShard> {
  const { engine, serviceModel, scope } = deps;
  const headless = createHeadlessAddresses(engine, serviceModel);
  const build = identityMemo<Parameters<Build>, ReturnType<Build>>(buildNameRecords);
  const parts = engine.deriveMany('xds.nameShardParts', views, (_fetch, view) =>
    view.hasNames ? SHARD_NAMES.map((shard) => [viewerKey(view.key, shard), { view, shard }] as const) : [],
  );
  return engine.derive(
    'xds.nameShards',
    parts,
    (fetch, { view, shard }): NameShard | undefined => {
      const hosts = fetch.bucket(scope.hostsByTableShard, viewerKey(view.viewer, shard));
      if (hosts.size === 0) return undefined;
      const place = deps.interner.intern('namePlace', view.place, (input) => ({ ...input }));
      const addressesOf = (service: Service): HeadlessAddresses =>
        fetch.get(headless, serviceKey(service.namespace, service.hostname)) ?? NO_ADDRESSES;
      return nameShard(view, hosts, (service) => build(service, addressesOf(service), place));
    },
    { equals: isSameShard },
  );
}

function nameShard(
  view: NameView,
  hosts: PersistentMap<OutboundHost>,
  recordsOf: (service: Service) => NameRecords | undefined,
): NameShard | undefined {
  const parts: NameRecords[] = [];
  const causes: Cause[] = [];
  for (const { service } of hosts.values()) {
    if (view.imports !== undefined && !isImported(view.imports, service)) continue;
    const records = recordsOf(service);
    if (records === undefined) continue;
    parts.push(records);
    causes.push(service.cause);
  }
  if (parts.length === 0) return undefined;
  return { view: view.key, encoded: joined(parts), causes };
}

/** Only what the Sidecar object names, not what VirtualServices bring along. Source: name_table.go, EgressListeners. */
function isImported(listeners: readonly EgressListener[], service: Service): boolean {
  return listeners.some(
    (listener) =>
      importsService(listener, service) &&
      (listener.port === 0 ||
        listener.isHttpProxy ||
        service.ports.some(({ number }) => number === listener.port)),
  );
}

function joined(parts: readonly NameRecords[]): NameRecords {
  return {
    records: concatenate(parts.map((part) => part.records)),
    hash: hashHex(parts.map((part) => part.hash).join(' ')),
  };
}

function isSameShard(a: NameShard, b: NameShard): boolean {
  return (
    a.encoded.hash === b.encoded.hash &&
    a.causes.length === b.causes.length &&
    a.causes.every((cause, i) => cause === b.causes[i])
  );
}

/** The whole table, also an empty one: it tells the agent that there is nothing to wait for. */
function composeTable(interner: Interner, shards: PersistentMap<NameShard>): ResourceEntry {
  const parts = [...shards.values()];
  const hashes = parts.map((part) => part.encoded.hash).join(' ');
  const resource = interner.intern(
    'nameTable',
    { hashes },
    (): Resource => ({
      typeUrl: TYPE_NAME_TABLE,
      name: NAME_TABLE,
      version: hashHex(hashes),
      bytes: concatenate(parts.map((part) => part.encoded.records)),
    }),
  );
  return { resource, causes: parts.flatMap((part) => part.causes) };
}

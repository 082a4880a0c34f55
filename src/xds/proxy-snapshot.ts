/**
 * Everything one proxy should hold, by type and name: the hand-over from xds/ to ads/. The maps are immutable and
 * share structure from epoch to epoch and between proxies, so a diff costs what changed.
 */
import type { PersistentMap } from '#collections/persistent-map.ts';
import type { ResourceEntry } from './resource.ts';

/** The maps of a snapshot. */
export type SnapshotMap = Exclude<keyof ProxySnapshot, 'secretsOwner'>;

/** Keyed by proxy id in the collection `xds.snapshots`. Maps are keyed by resource name. */
export interface ProxySnapshot {
  readonly clusters: PersistentMap<ResourceEntry>;
  /** One per EDS cluster in `clusters`, for gateways with chosen clusters more; and that of the proxy's own cluster. */
  readonly endpoints: PersistentMap<ResourceEntry>;
  readonly listeners: PersistentMap<ResourceEntry>;
  readonly routes: PersistentMap<ResourceEntry>;
  /** At most one entry, the DNS name table. */
  readonly nameTable: PersistentMap<ResourceEntry>;
  /** At most one entry, whom to believe. */
  readonly trustBundle: PersistentMap<ResourceEntry>;
  readonly secrets: PersistentMap<ResourceEntry>;
  /** SPIFFE id of the one who may see them; '' for nobody. */
  readonly secretsOwner: string;
  readonly extensions: PersistentMap<ResourceEntry>;
}

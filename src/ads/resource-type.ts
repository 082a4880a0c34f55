/**
 * The resource types that the xDS server serves: their names in metrics and debug output, where they lie in a snapshot,
 * and the two properties of the protocol that differ by type.
 */
import { emptyMap, type PersistentMap } from '#collections/persistent-map.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import {
  type ResourceEntry,
  TYPE_CLUSTER,
  TYPE_ENDPOINT,
  TYPE_EXTENSION,
  TYPE_LISTENER,
  TYPE_NAME_TABLE,
  TYPE_ROUTE,
  TYPE_SECRET,
  TYPE_TRUST_BUNDLE,
} from '#xds/resource.ts';

/** One resource type. Compared by identity for the known ones. */
export interface ResourceType {
  readonly url: string;
  /** Short name as in Istio's metric label `type`: cds, eds, lds, rds, sds, ecds, nds, pcds; `unknown` otherwise. */
  readonly name: string;
  /** An empty first subscription means all resources. Source: xDS protocol, "wildcard" (CDS and LDS; NDS and PCDS as in Istio). */
  readonly isWildcard: boolean;
  /** A state-of-the-world response carries everything, so that what is missing is removed. Source: as above. */
  readonly isWholeState: boolean;
  pick(snapshot: ProxySnapshot): PersistentMap<ResourceEntry>;
}

export const CDS: ResourceType = {
  url: TYPE_CLUSTER,
  name: 'cds',
  isWildcard: true,
  isWholeState: true,
  pick: (snapshot) => snapshot.clusters,
};

export const EDS: ResourceType = {
  url: TYPE_ENDPOINT,
  name: 'eds',
  isWildcard: false,
  isWholeState: false,
  pick: (snapshot) => snapshot.endpoints,
};

export const LDS: ResourceType = {
  url: TYPE_LISTENER,
  name: 'lds',
  isWildcard: true,
  isWholeState: true,
  pick: (snapshot) => snapshot.listeners,
};

export const RDS: ResourceType = {
  url: TYPE_ROUTE,
  name: 'rds',
  isWildcard: false,
  isWholeState: false,
  pick: (snapshot) => snapshot.routes,
};

export const SDS: ResourceType = {
  url: TYPE_SECRET,
  name: 'sds',
  isWildcard: false,
  isWholeState: false,
  pick: (snapshot) => snapshot.secrets,
};

export const ECDS: ResourceType = {
  url: TYPE_EXTENSION,
  name: 'ecds',
  isWildcard: false,
  isWholeState: false,
  pick: (snapshot) => snapshot.extensions,
};

export const NDS: ResourceType = {
  url: TYPE_NAME_TABLE,
  name: 'nds',
  isWildcard: true,
  isWholeState: true,
  pick: (snapshot) => snapshot.nameTable,
};

export const PCDS: ResourceType = {
  url: TYPE_TRUST_BUNDLE,
  name: 'pcds',
  isWildcard: true,
  isWholeState: true,
  pick: (snapshot) => snapshot.trustBundle,
};

/**
 * In the order in which a stream's types are looked at: additions flow down this list. Extension configs come before the
 * listeners that use them: Envoy refuses a listener for the last config that it had of a name, also one that it refused.
 */
export const RESOURCE_TYPES: readonly ResourceType[] = [CDS, EDS, SDS, ECDS, LDS, RDS, NDS, PCDS];

/** The type of a URL. An unknown URL gets a type without resources: a client that asks is answered, not left waiting. */
export function resourceType(url: string): ResourceType {
  const known = RESOURCE_TYPES.find((type) => type.url === url);
  return known ?? { url, name: 'unknown', isWildcard: true, isWholeState: false, pick: () => emptyMap() };
}

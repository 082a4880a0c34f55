/**
 * The version of a resource as written to the client. For load assignments it also holds the version of the cluster
 * that the client was sent: a stream that breaks between a changed cluster and its endpoints leaves that cluster
 * warming, and only so does the reconnecting client's own list of versions show that it still waits for them.
 */
import type { ResourceEntry } from '#xds/resource.ts';
import { EDS, type ResourceType } from './resource-type.ts';
import type { Lookup } from './snapshot-diff.ts';
import type { VersionOf } from './subscription.ts';

/** How versions of this type are written on a stream whose clusters are (or will be) `clusters`. */
export function wireVersions(type: ResourceType, clusters: Lookup | undefined): VersionOf {
  if (type !== EDS || clusters === undefined) return (_name, entry) => entry.resource.version;
  return (name: string, entry: ResourceEntry) => {
    const cluster = clusters.get(name);
    return cluster === undefined
      ? entry.resource.version
      : `${entry.resource.version}.${cluster.resource.version}`;
  };
}

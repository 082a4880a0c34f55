/**
 * What of a snapshot a peer may see: secrets, and configurations with something secret in them, only when its identity is
 * proven and is the one that they were looked up for. The reduced map is made once per map, so that streams compare it by identity like any other.
 */
import { identityMemo } from '#collections/identity-memo.ts';
import { emptyMap } from '#collections/persistent-map.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import type { Peer } from './peer.ts';
import { ECDS, PCDS, type ResourceType, SDS } from './resource-type.ts';
import type { ResourceMap } from './snapshot-diff.ts';

/** The resources of that type for the peer: a snapshot may be that of another caller with the same proxy id. */
export function resourcesFor(peer: Peer, type: ResourceType, snapshot: ProxySnapshot): ResourceMap {
  const resources = type.pick(snapshot);
  const { isTrusted, identity = '' } = peer;
  if (isTrusted && identity !== '' && identity === snapshot.secretsOwner) return resources;
  if (type === SDS) return emptyMap();
  // Who listens in can change what a plain stream carries: nobody is to believe that.
  if (type === PCDS) return isTrusted && identity !== '' ? resources : emptyMap();
  return type === ECDS ? withoutConfidential(resources) : resources;
}

const withoutConfidential = identityMemo((resources: ResourceMap): ResourceMap => {
  const names = [...resources].filter(([, { resource }]) => resource.isConfidential === true);
  return names.length === 0 ? resources : resources.patch(names.map(([name]) => [name, undefined] as const));
});

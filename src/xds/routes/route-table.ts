/**
 * A route table: virtual hosts with names that do not clash, and what becomes of hosts that it does not know.
 * Normally no two virtual hosts want the same name, and the bytes of whole shards go in as they are; where two do, the
 * one with precedence keeps it, the other is encoded again without, and the table is put together host by host.
 */
import type { Cause } from '#base/cause.ts';
import type { Interner } from '#collections/interner.ts';
import { compareRanks, type HostRank } from '#scope/route-binding.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { internHosts, type ShardVariant } from './host-shard.ts';
import { causesOf, type OutboundVirtualHost } from './outbound-virtual-host.ts';
import { internRouteConfiguration } from './route-configuration.ts';
import { type EncodedVirtualHost, replaceDomains } from './virtual-host.ts';

export interface TableInput {
  readonly name: string;
  /** In their final order. */
  readonly shards: readonly ShardVariant[];
  /** Stands last; gives way to a host that has taken `*`. */
  readonly catchAll: EncodedVirtualHost | undefined;
  readonly ignorePort: boolean;
  /** Whose precedence counts. */
  readonly namespace: string;
}

const EVERY_HOST = '*';

/** Composes the table. Cost: O(addresses and foreign names), and a copy of the bytes where the content is new. */
export function composeTable(interner: Interner, input: TableInput): ResourceEntry {
  const { name, shards, catchAll, ignorePort } = input;
  const hosts = hasClash(shards, catchAll)
    ? [internHosts(interner, resolveClashes(input))]
    : [
        ...shards.map((shard) => shard.encoded),
        ...(catchAll === undefined ? [] : [internHosts(interner, [catchAll])]),
      ];
  return {
    resource: internRouteConfiguration(interner, { name, ignorePort, hosts }),
    causes: tableCauses(shards),
  };
}

function tableCauses(shards: readonly ShardVariant[]): readonly Cause[] {
  const causes: Cause[] = [];
  for (const shard of shards) for (const host of shard.hosts) causes.push(...causesOf(host));
  return causes;
}

/**
 * True when some name is wanted twice. Cluster names differ from one another by themselves, so only addresses and
 * foreign names are gathered, and cluster names are looked up among these if there are any.
 */
function hasClash(shards: readonly ShardVariant[], catchAll: EncodedVirtualHost | undefined): boolean {
  const gathered = new NameSet();
  for (const { hosts } of shards) {
    for (const { encoded } of hosts) {
      const { domains, addressCount, isClusterName } = encoded.domains;
      for (let i = isClusterName ? domains.length - addressCount : 0; i < domains.length; i++) {
        if (!gathered.take(domains[i] as string)) return true;
      }
      if (!isClusterName) gathered.hasForeign = true;
    }
  }
  if (catchAll !== undefined && gathered.has(EVERY_HOST)) return true;
  return (
    gathered.hasForeign && shards.some(({ hosts }) => hosts.some(({ encoded }) => gathered.meets(encoded)))
  );
}

class NameSet {
  readonly #names = new Set<string>();
  hasForeign = false;

  /** False when the name is taken already. */
  take(name: string): boolean {
    const before = this.#names.size;
    return this.#names.add(name).size > before;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** True when a cluster name is also a foreign one. */
  meets(host: EncodedVirtualHost): boolean {
    const { domains, addressCount, isClusterName } = host.domains;
    if (!isClusterName) return false;
    for (let i = 0; i < domains.length - addressCount; i++)
      if (this.#names.has(domains[i] as string)) return true;
    return false;
  }
}

/**
 * Gives each name to the first that wants it, in order of precedence; a short form gives way to a service that has the
 * name in full. Hosts left without a name go. Source: istio httproute.go dedupeDomains.
 */
function resolveClashes(input: TableInput): readonly EncodedVirtualHost[] {
  const hosts = input.shards.flatMap((shard) => shard.hosts);
  const fullNames = new Set(
    hosts.filter((host) => host.service !== undefined).map((host) => host.encoded.domains.domains[0]),
  );
  const taken = new Set<string>();
  const kept = new Map<OutboundVirtualHost, readonly string[]>();
  for (const host of hosts.toSorted((a, b) => compareRanks(input.namespace, rankOf(a), rankOf(b)))) {
    const { domains, alternates } = host.encoded.domains;
    const free = domains.filter(
      (domain) => !taken.has(domain) && !(fullNames.has(domain) && alternates.includes(domain)),
    );
    for (const domain of free) taken.add(domain);
    kept.set(host, free);
  }
  const resolved = hosts.flatMap((host) => {
    const free = kept.get(host) ?? [];
    if (free.length === host.encoded.domains.domains.length) return [host.encoded];
    return free.length === 0 ? [] : [replaceDomains(host.encoded, free)];
  });
  return input.catchAll === undefined || taken.has(EVERY_HOST) ? resolved : [...resolved, input.catchAll];
}

function rankOf(host: OutboundVirtualHost): HostRank {
  return {
    virtualService: host.virtualService,
    isService: host.service !== undefined,
    name: host.encoded.name,
  };
}

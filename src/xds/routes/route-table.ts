/**
 * A route table: virtual hosts with names that do not clash, and what becomes of hosts that it does not know.
 * Normally no two virtual hosts want the same name, and their bytes go in as they are; where two do, the one with
 * precedence keeps it and the other is encoded again without.
 */
import type { Cause } from '#base/cause.ts';
import type { Interner } from '#collections/interner.ts';
import { compareRanks, type HostRank } from '#scope/route-binding.ts';
import type { Resource } from '../resource.ts';
import { internRouteConfiguration } from './route-configuration.ts';
import { type EncodedVirtualHost, replaceDomains } from './virtual-host.ts';

/** A virtual host on its way into a table. */
export interface TableHost {
  readonly name: string;
  readonly domains: readonly string[];
  readonly alternates: ReadonlySet<string>;
  readonly encoded: EncodedVirtualHost;
  readonly rank: HostRank;
  readonly causes: readonly Cause[];
}

export interface TableInput {
  readonly name: string;
  /** In order of their names. */
  readonly hosts: readonly TableHost[];
  /** Stands last; gives way to a host that has taken `*`. */
  readonly catchAll: EncodedVirtualHost | undefined;
  readonly ignorePort: boolean;
  /** Whose precedence counts. */
  readonly namespace: string;
}

const EVERY_HOST = '*';

/** Composes the table. Cost: O(domains), and a copy of the bytes where the content is new. */
export function composeTable(interner: Interner, input: TableInput): Resource {
  const taken = new Set<string>();
  const hosts = takeAll(input.hosts, taken) ? input.hosts : resolveClashes(input, taken);
  const virtualHosts = hosts.map((host) => host.encoded);
  if (input.catchAll !== undefined && !taken.has(EVERY_HOST)) virtualHosts.push(input.catchAll);
  return internRouteConfiguration(interner, { name: input.name, ignorePort: input.ignorePort, virtualHosts });
}

/** False when some name is wanted twice. */
function takeAll(hosts: readonly TableHost[], taken: Set<string>): boolean {
  let count = 0;
  for (const host of hosts) {
    for (const domain of host.domains) taken.add(domain);
    count += host.domains.length;
  }
  return taken.size === count;
}

/**
 * Gives each name to the first that wants it, in order of precedence; a short form gives way to a service that has the
 * name in full. Hosts left without a name go. Source: istio httproute.go dedupeDomains.
 */
function resolveClashes(input: TableInput, taken: Set<string>): readonly TableHost[] {
  taken.clear();
  const fullNames = new Set(input.hosts.filter((host) => host.rank.isService).map((host) => host.domains[0]));
  const kept = new Map<TableHost, readonly string[]>();
  for (const host of input.hosts.toSorted((a, b) => compareRanks(input.namespace, a.rank, b.rank))) {
    const domains = host.domains.filter(
      (domain) => !taken.has(domain) && !(host.alternates.has(domain) && fullNames.has(domain)),
    );
    for (const domain of domains) taken.add(domain);
    kept.set(host, domains);
  }
  return input.hosts.flatMap((host) => {
    const domains = kept.get(host) ?? [];
    if (domains.length === host.domains.length) return [host];
    if (domains.length === 0) return [];
    return [{ ...host, domains, encoded: replaceDomains(host.encoded, host.name, domains) }];
  });
}

/**
 * Virtual addresses for hosts of ServiceEntries that have none, so that proxies which answer DNS can tell TCP services apart.
 * A host's addresses follow from its key: the same on every replica, whatever the order of events. Addresses that the
 * status of an object records stay; where two hosts fall on one address, the older object has it and the other one the next.
 * Costs one walk over the hosts without recorded addresses when one of them comes or goes, and nothing otherwise.
 * Source: Istio pilot/pkg/controllers/ipallocate (ranges, who gets addresses), serviceentry/auto_allocation.go (by hash).
 */
import type { MeshObject } from '#api/mesh-object.ts';
import { allocatesAddresses, type ServiceEntrySpec } from '#api/service-entry.ts';
import { compareBytes } from '#base/bytes-order.ts';
import { isIpv4 } from '#base/cidr.ts';
import { fnv1a } from '#base/fnv1a.ts';
import type { Collection, Engine } from '#collections/collection.ts';
import { isWildcardHost, serviceKey } from './service-hostname.ts';

/** What one ServiceEntry says about virtual addresses. */
export interface AddressClaims {
  readonly createdAtMs: number;
  /** Hosts that want addresses, as keys of services, with those that are recorded for them. */
  readonly hosts: readonly { readonly key: string; readonly recorded: readonly string[] }[];
  /** Addresses that the user chose, which nobody else may get. */
  readonly taken: readonly string[];
}

/** 240.240.0.1 to 240.240.255.254, without the first and last of each 256. Source: PILOT_IP_AUTOALLOCATE_IPV4_PREFIX. */
const IPV4_PREFIX = '240.240';
/** Within 2001:2::/48. Source: PILOT_IP_AUTOALLOCATE_IPV6_PREFIX. */
const IPV6_PREFIX = '2001:2::f0f0';
const HOSTS_PER_OCTET = 254;
const SLOTS = 256 * HOSTS_PER_OCTET;

/** Addresses by key of service; `derivesMissing` false gives only those that are recorded. */
export function createAddressAllocation(
  engine: Engine,
  serviceEntries: Collection<MeshObject<ServiceEntrySpec>>,
  derivesMissing: boolean,
): Collection<readonly string[]> {
  const claims = engine.derive('model.addressClaims', serviceEntries, (_fetch, entry) => claimsOf(entry));
  const everywhere = engine.index('model.addressClaims.all', claims, () => ['']);
  const gathered = engine.group('model.addressClaims.gathered', everywhere);
  return engine.deriveMany('model.allocatedAddresses', gathered, (_fetch, all) =>
    allocateAddresses([...all.values()], derivesMissing),
  );
}

function claimsOf(entry: MeshObject<ServiceEntrySpec>): AddressClaims | undefined {
  const { createdAtMs, spec, namespace } = entry;
  const taken = (spec.addresses ?? []).filter((address) => slotOf(address) !== undefined);
  const recorded = entry.status?.addresses ?? [];
  const hosts = allocatesAddresses(entry)
    ? (spec.hosts ?? []).filter((host) => mayHaveAddress(host, spec))
    : [];
  if (hosts.length === 0 && taken.length === 0) return undefined;
  return {
    createdAtMs,
    hosts: hosts.map((host) => ({
      key: serviceKey(namespace, host),
      recorded: recorded.filter((address) => address.host === host).map(({ value }) => value),
    })),
    taken,
  };
}

/** A wildcard stands for many names, of which only a dynamic look-up knows the one that was meant. */
function mayHaveAddress(host: string, spec: ServiceEntrySpec): boolean {
  return !isWildcardHost(host) || spec.resolution === 'DYNAMIC_DNS';
}

/** Addresses for the hosts, IPv4 first; none for hosts that come when all 65,024 are given away. */
export function allocateAddresses(
  claims: readonly AddressClaims[],
  derivesMissing: boolean,
): ReadonlyMap<string, readonly string[]> {
  const addresses = new Map<string, readonly string[]>();
  const occupied = new Set(claims.flatMap(({ taken }) => taken.flatMap((address) => slotOf(address) ?? [])));
  const missing = new Map<string, number>();
  for (const { hosts, createdAtMs } of claims) {
    for (const { key, recorded } of hosts) {
      if (recorded.length > 0) addresses.set(key, recorded.toSorted(compareFamilies));
      else missing.set(key, Math.min(createdAtMs, missing.get(key) ?? Number.POSITIVE_INFINITY));
      for (const slot of recorded.flatMap((address) => slotOf(address) ?? [])) occupied.add(slot);
    }
  }
  if (!derivesMissing) return addresses;
  const inOrder = [...missing].sort((a, b) => a[1] - b[1] || compareBytes(a[0], b[0]));
  for (const [key] of inOrder) {
    if (addresses.has(key) || occupied.size >= SLOTS) continue;
    let slot = fnv1a(key) % SLOTS;
    while (occupied.has(slot)) slot = (slot + 1) % SLOTS;
    occupied.add(slot);
    addresses.set(key, addressesAt(slot));
  }
  return addresses;
}

function addressesAt(slot: number): readonly string[] {
  const third = Math.floor(slot / HOSTS_PER_OCTET);
  const fourth = (slot % HOSTS_PER_OCTET) + 1;
  return [`${IPV4_PREFIX}.${third}.${fourth}`, `${IPV6_PREFIX}:${(third * 256 + fourth).toString(16)}`];
}

/** The slot that an address belongs to; undefined outside of the two ranges. */
function slotOf(address: string): number | undefined {
  const [a, b, third, fourth] = address.split('.').map(Number);
  if (a === 240 && b === 240) return slotAt(third ?? 0, fourth ?? 0);
  if (!address.startsWith(`${IPV6_PREFIX}:`)) return undefined;
  const low = Number.parseInt(address.slice(IPV6_PREFIX.length + 1), 16);
  return slotAt(Math.floor(low / 256), low % 256);
}

function slotAt(third: number, fourth: number): number | undefined {
  const isInRange = third >= 0 && third < 256 && fourth >= 1 && fourth <= HOSTS_PER_OCTET;
  return isInRange ? third * HOSTS_PER_OCTET + fourth - 1 : undefined;
}

function compareFamilies(a: string, b: string): number {
  return Number(isIpv4(b)) - Number(isIpv4(a)) || compareBytes(a, b);
}

/**
 * Virtual addresses for hosts of ServiceEntries that have none, so that proxies which answer DNS can tell TCP services apart.
 * A host's addresses follow from its key: the same on every replica, whatever the order of events. Addresses that the
 * status of an object records stay (address-record.ts has them written there); where two hosts fall on one address, the older object
 * has it and the other one the next.
 * Costs one walk over the hosts without recorded addresses when one of them comes or goes, and nothing otherwise.
 * Source: Istio pilot/pkg/controllers/ipallocate (ranges, who gets addresses), serviceentry/auto_allocation.go (by hash).
 */
import type { MeshObject } from '#api/mesh-object.ts';
import { allocatesAddresses, type ServiceEntrySpec } from '#api/service-entry.ts';
import { compareBytes } from '#base/bytes-order.ts';
import { formatIp, isIpv4, normaliseIp, parseCidr } from '#base/cidr.ts';
import { fnv1a } from '#base/fnv1a.ts';
import type { Collection, Engine } from '#collections/collection.ts';
import type { MeshFlags } from './mesh-flags.ts';
import { isWildcardHost, serviceKey } from './service-hostname.ts';

/** What one ServiceEntry says about virtual addresses. */
export interface AddressClaims {
  readonly createdAtMs: number;
  /** Hosts that want addresses, as keys of services, with those that are recorded for them. */
  readonly hosts: readonly { readonly key: string; readonly recorded: readonly string[] }[];
  /** Addresses that the user chose, which nobody else may get. */
  readonly taken: readonly string[];
}

/** How addresses are given. */
export interface AllocationOptions {
  /** False where only recorded addresses count. */
  readonly derivesMissing: boolean;
  readonly flags: Pick<MeshFlags, 'ipAutoallocate' | 'ipAutoallocateV4Prefix' | 'ipAutoallocateV6Prefix'>;
}

/** Addresses by key of service. */
export function createAddressAllocation(
  engine: Engine,
  serviceEntries: Collection<MeshObject<ServiceEntrySpec>>,
  options: AllocationOptions,
): Collection<readonly string[]> {
  const claims = engine.derive('model.addressClaims', serviceEntries, (_fetch, entry) =>
    options.flags.ipAutoallocate ? claimsOf(entry) : undefined,
  );
  const everywhere = engine.index('model.addressClaims.all', claims, () => ['']);
  const gathered = engine.group('model.addressClaims.gathered', everywhere);
  return engine.deriveMany('model.allocatedAddresses', gathered, (_fetch, all) =>
    allocateAddresses([...all.values()], options),
  );
}

function claimsOf(entry: MeshObject<ServiceEntrySpec>): AddressClaims | undefined {
  const { createdAtMs, spec, namespace } = entry;
  const taken = (spec.addresses ?? []).flatMap((address) => normaliseIp(address) ?? []);
  const recorded = entry.status?.addresses ?? [];
  const hosts = allocatesAddresses(entry)
    ? (spec.hosts ?? []).filter((host) => mayHaveAddress(host, spec))
    : [];
  if (hosts.length === 0 && taken.length === 0) return undefined;
  return {
    createdAtMs,
    hosts: hosts.map((host) => ({
      key: serviceKey(namespace, host),
      recorded: recorded
        .filter((address) => address.host === host)
        .flatMap(({ value }) => normaliseIp(value) ?? []),
    })),
    taken,
  };
}

/** A wildcard stands for many names, of which only a dynamic look-up knows the one that was meant. */
export function mayHaveAddress(host: string, spec: ServiceEntrySpec): boolean {
  return !isWildcardHost(host) || spec.resolution === 'DYNAMIC_DNS';
}

/** Addresses for the hosts, IPv4 first; none for hosts that come when all are given away. */
export function allocateAddresses(
  claims: readonly AddressClaims[],
  { derivesMissing, flags }: AllocationOptions,
): ReadonlyMap<string, readonly string[]> {
  const recorded = recordedAddresses(claims, derivesMissing);
  if (!derivesMissing) return recorded.kept;
  const ranges = [rangeOf(flags.ipAutoallocateV4Prefix), rangeOf(flags.ipAutoallocateV6Prefix)];
  const addresses = new Map(recorded.kept);
  const missing = new Map<string, number>();
  for (const { hosts, createdAtMs } of claims) {
    for (const { key } of hosts) {
      if (!addresses.has(key))
        missing.set(key, Math.min(createdAtMs, missing.get(key) ?? Number.POSITIVE_INFINITY));
    }
  }
  const inOrder = [...missing].sort((a, b) => a[1] - b[1] || compareBytes(a[0], b[0]));
  for (const [key] of inOrder) {
    addresses.set(
      key,
      ranges.flatMap((range) => range?.take(fnv1a(key), recorded.occupied) ?? []),
    );
  }
  return addresses;
}

/** Recorded addresses that stay, and all that nobody else may get. */
interface RecordedAddresses {
  readonly kept: ReadonlyMap<string, readonly string[]>;
  readonly occupied: Set<string>;
}

/** A host by its key and the age of the object that says so. */
type Holder = readonly [createdAtMs: number, key: string];

/**
 * Of two hosts with one address on record the older object's keeps it (then the one whose key comes first), and what a user chose is
 * nobody else's; the loser is as one without a record. Source: ipallocate resolveConflict.
 */
function recordedAddresses(claims: readonly AddressClaims[], settlesConflicts: boolean): RecordedAddresses {
  const chosen = new Set(claims.flatMap(({ taken }) => taken));
  const holders = new Map<string, Holder>();
  for (const { hosts, createdAtMs } of claims) {
    for (const { key, recorded } of hosts) {
      for (const address of recorded) {
        const holder = holders.get(address);
        if (holder === undefined || isOlder([createdAtMs, key], holder))
          holders.set(address, [createdAtMs, key]);
      }
    }
  }
  const keeps = (key: string, address: string): boolean =>
    !settlesConflicts || (!chosen.has(address) && holders.get(address)?.[1] === key);
  const kept = new Map<string, readonly string[]>();
  const ages = new Map<string, number>();
  for (const { hosts, createdAtMs } of claims) {
    for (const { key, recorded } of hosts) {
      if (recorded.length === 0 || !recorded.every((address) => keeps(key, address))) continue;
      // Several objects may speak of one host.
      if (createdAtMs >= (ages.get(key) ?? Number.POSITIVE_INFINITY)) continue;
      ages.set(key, createdAtMs);
      kept.set(key, recorded.toSorted(compareFamilies));
    }
  }
  return { kept, occupied: new Set([...chosen, ...holders.keys()]) };
}

function isOlder([aMs, aKey]: Holder, [bMs, bKey]: Holder): boolean {
  return (aMs - bMs || compareBytes(aKey, bKey)) < 0;
}

/** Addresses of a block that may be given away. */
interface AddressRange {
  /** The first free address from a place on; undefined when none is left. Marks it as occupied. */
  take(place: number, occupied: Set<string>): string | undefined;
}

/** As many hosts as one block gives addresses to: those of 240.240.0.0/16 without first and last of each 256. */
const MAX_SLOTS = 256 * 254;
/** Of each 256 addresses, first and last look like those of a network and of its broadcast. */
const PER_OCTET = 254;

/** Undefined for a text that is no block of at least 256 addresses. */
function rangeOf(prefix: string): AddressRange | undefined {
  const block = parseCidr(prefix);
  if (!block.ok) return undefined;
  const { address, prefixLength } = block.value;
  const bits = address.length * 8 - prefixLength;
  if (bits < 8) return undefined;
  const slots = Math.min(MAX_SLOTS, 2 ** Math.min(bits - 8, 8) * PER_OCTET);
  let isExhausted = false;
  return {
    take(place, occupied) {
      for (let tried = 0; tried < slots && !isExhausted; tried++) {
        const slot = (place + tried) % slots;
        const candidate = addressAt(address, Math.floor(slot / PER_OCTET), (slot % PER_OCTET) + 1);
        if (occupied.has(candidate)) continue;
        occupied.add(candidate);
        return candidate;
      }
      isExhausted = true;
      return undefined;
    },
  };
}

/** The address with its last two bytes counted on from the beginning of the block. */
function addressAt(block: Uint8Array, third: number, fourth: number): string {
  const address = Uint8Array.from(block);
  address[address.length - 2] = (address[address.length - 2] ?? 0) + third;
  address[address.length - 1] = fourth;
  return formatIp(address);
}

function compareFamilies(a: string, b: string): number {
  return Number(isIpv4(b)) - Number(isIpv4(a)) || compareBytes(a, b);
}

/**
 * What is to stand in `status.addresses` of ServiceEntries: the virtual addresses that their hosts have, so that these stay whatever
 * comes later. Only objects whose status says something else are in here; one that is put right leaves. Costs an object its own hosts.
 * Source: Istio pilot/pkg/controllers/ipallocate.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { ObjectStatus } from '#api/object-status.ts';
import { allocatesAddresses, type ServiceEntrySpec } from '#api/service-entry.ts';
import { normaliseIp } from '#base/cidr.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import { mayHaveAddress } from './address-allocation.ts';
import { serviceKey } from './service-hostname.ts';

/** The addresses of a ServiceEntry in the form of its status. */
export type AddressRecord = NonNullable<ObjectStatus['addresses']>;

/** Records that are due, keyed like the objects. `allocated` is the service model's, by key of service. */
export function createAddressRecords(
  engine: Engine,
  serviceEntries: Collection<MeshObject<ServiceEntrySpec>>,
  allocated: Collection<readonly string[]>,
): Collection<AddressRecord> {
  return engine.derive('model.addressRecords', serviceEntries, (fetch, entry) => {
    const recorded = entry.status?.addresses ?? [];
    const wanted = wantedRecord(fetch, entry, allocated);
    return isSameRecord(recorded, wanted) ? undefined : wanted;
  });
}

/** A host that the mesh has no addresses for (its object is held back) keeps what is recorded for it. */
function wantedRecord(
  fetch: Fetch,
  entry: MeshObject<ServiceEntrySpec>,
  allocated: Collection<readonly string[]>,
): AddressRecord {
  if (!allocatesAddresses(entry)) return [];
  const { namespace, spec, status } = entry;
  const hosts = [...new Set(spec.hosts ?? [])].filter((host) => mayHaveAddress(host, spec));
  return hosts.flatMap((host) => {
    const given = fetch.get(allocated, serviceKey(namespace, host));
    if (given !== undefined) return given.map((value) => ({ host, value }));
    return (status?.addresses ?? []).filter((address) => address.host === host);
  });
}

/** The same addresses for the same hosts, in whatever order and spelling. */
export function isSameRecord(a: AddressRecord, b: AddressRecord): boolean {
  const [mine, theirs] = [wordsOf(a), wordsOf(b)];
  return mine.size === theirs.size && [...mine].every((word) => theirs.has(word));
}

function wordsOf(record: AddressRecord): ReadonlySet<string> {
  return new Set(record.map(({ host, value }) => `${host} ${normaliseIp(value) ?? value}`));
}

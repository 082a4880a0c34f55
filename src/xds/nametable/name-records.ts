/**
 * The names of one service as entries of a name table, encoded. A pure function of the service, the addresses of its
 * endpoints where it has none itself, and the client's place.
 * Source: Istio pkg/dns/server/name_table.go BuildNameTable, pilot/pkg/model/service.go getAllAddressesForProxy.
 */
import { create } from '@bufbuild/protobuf';
import { compareBytes } from '#base/bytes-order.ts';
import { isIp, isIpv4 } from '#base/cidr.ts';
import { hashHex } from '#base/hash.ts';
import type { Service } from '#model/service.ts';
import { NameTable_NameInfoSchema, NameTableSchema } from '#proto/istio/networking/nds/v1/nds_pb.ts';
import { encodeCanonical } from '#xds/encode.ts';
import type { HeadlessAddress, HeadlessAddresses } from './headless-addresses.ts';
import { isHeadless } from './headless-addresses.ts';
import type { NamePlace } from './name-view.ts';

/** Entries of a name table, one behind the other: joined with others they are a larger table. */
export interface NameRecords {
  readonly records: Uint8Array;
  readonly hash: string;
}

/** What the table says about one name. */
interface NameInfo {
  readonly ips: readonly string[];
  readonly shortname: string;
  readonly namespace: string;
}

/** Names of services of several clusters, which have no short forms. */
const CLUSTER_SET_SUFFIX = '.clusterset.local';

/** The entries of a service; undefined when there is no address to tell. */
export function buildNameRecords(
  service: Service,
  headless: HeadlessAddresses,
  place: NamePlace,
): NameRecords | undefined {
  const names = namesOf(service, headless.addresses, place);
  if (names.size === 0) return undefined;
  const table = Object.fromEntries(
    [...names].map(([name, info]) => [
      name,
      create(NameTable_NameInfoSchema, { ...info, ips: [...info.ips], registry: service.registry }),
    ]),
  );
  const records = encodeCanonical(NameTableSchema, create(NameTableSchema, { table }));
  return { records, hash: hashHex(records) };
}

function namesOf(
  service: Service,
  headless: readonly HeadlessAddress[],
  place: NamePlace,
): ReadonlyMap<string, NameInfo> {
  const names = new Map<string, NameInfo>();
  const own = ownAddresses(service, place);
  const near = headless.filter(({ network }) => isSameOrEmpty(network, place.network));
  const ips = own ?? (isHeadless(service) ? near.map(({ address }) => address) : []);
  if (own === undefined && isHeadless(service)) addEndpointNames(names, service, near, place);
  if (ips.length > 0) names.set(service.hostname, { ips, ...shortForm(service) });
  return names;
}

/** The virtual addresses that the client may be told of; undefined where the name stands for endpoints, if anything. */
function ownAddresses(service: Service, place: NamePlace): readonly string[] | undefined {
  const isUnspecified = service.addresses.length === 0 || service.addresses.includes('0.0.0.0');
  if (isUnspecified) {
    const allocated = place.autoAllocated ? service.autoAllocatedAddresses : [];
    const usable = allocated.filter((address) => isOfFamily(address, place));
    return usable.length === 0 ? undefined : usable;
  }
  const addresses = service.addresses.filter(isIp);
  // Addresses that somebody wrote into a ServiceEntry are told to everybody.
  if (service.registry === 'External') return addresses;
  return addresses.filter((address) => isOfFamily(address, place));
}

function isOfFamily(address: string, place: NamePlace): boolean {
  return isIpv4(address) ? place.ipv4 : place.ipv6;
}

/** `db-0.db.default.svc.cluster.local` for each endpoint that has a name; those of the client's own cluster hide others. */
function addEndpointNames(
  names: Map<string, NameInfo>,
  service: Service,
  addresses: readonly HeadlessAddress[],
  place: NamePlace,
): void {
  const dot = service.hostname.indexOf('.');
  if (dot < 0) return;
  const named = addresses.filter(({ hostname }) => hostname !== '');
  const isLocal = ({ clusterId }: HeadlessAddress): boolean => isSameOrEmpty(clusterId, place.clusterId);
  for (const [hostname, ofName] of Map.groupBy(named, (address) => address.hostname)) {
    const local = ofName.filter(isLocal);
    const ips = (local.length > 0 ? local : ofName).map(({ address }) => address).sort(compareBytes);
    names.set(hostname + service.hostname.slice(dot), {
      ips,
      shortname: hostname,
      namespace: service.namespace,
    });
  }
}

/** What the agent makes `a`, `a.ns` and `a.ns.svc` of. */
function shortForm({ registry, hostname, name, namespace }: Service): Omit<NameInfo, 'ips'> {
  const hasShortForm = registry === 'Kubernetes' && !hostname.endsWith(CLUSTER_SET_SUFFIX);
  return hasShortForm ? { shortname: name, namespace } : { shortname: '', namespace: '' };
}

function isSameOrEmpty(a: string, b: string): boolean {
  return a === '' || b === '' || a === b;
}

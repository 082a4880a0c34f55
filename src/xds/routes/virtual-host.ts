/**
 * Virtual hosts as bytes, composed of encoded routes. The bytes equal the full encoding of the same message, because
 * protobuf writes fields by number and each repeated entry as a record of its own (a test says so).
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { hashHex } from '#base/hash.ts';
import type { EncodedRoute } from './encoded-route.ts';

/** Fields of envoy.config.route.v3.VirtualHost, by number. */
const NAME = 1;
const DOMAINS = 2;
const ROUTES = 3;
const REQUIRE_TLS = 4;
const INCLUDE_REQUEST_ATTEMPT_COUNT = 14;

/** VirtualHost.TlsRequirementType.ALL */
const TLS_FOR_ALL = 2;

export interface VirtualHostInput {
  readonly name: string;
  readonly domains: readonly string[];
  readonly routes: readonly EncodedRoute[];
  /** Plain requests are redirected to https. */
  readonly requireTls: boolean;
  readonly includeAttemptCount: boolean;
}

/** What follows the domains: shared by virtual hosts that differ in name and domains only. */
export function encodeVirtualHostTail(input: Omit<VirtualHostInput, 'name' | 'domains'>): Uint8Array {
  const writer = new BinaryWriter();
  for (const route of input.routes) writer.tag(ROUTES, WireType.LengthDelimited).bytes(route.bytes);
  if (input.requireTls) writer.tag(REQUIRE_TLS, WireType.Varint).int32(TLS_FOR_ALL);
  if (input.includeAttemptCount) writer.tag(INCLUDE_REQUEST_ATTEMPT_COUNT, WireType.Varint).bool(true);
  return writer.finish();
}

/** Encodes the whole virtual host in front of a tail made by `encodeVirtualHostTail`. */
export function encodeVirtualHost(name: string, domains: readonly string[], tail: Uint8Array): Uint8Array {
  const writer = new BinaryWriter();
  if (name !== '') writer.tag(NAME, WireType.LengthDelimited).string(name);
  for (const domain of domains) writer.tag(DOMAINS, WireType.LengthDelimited).string(domain);
  return writer.raw(tail).finish();
}

/** An encoded virtual host, ready to go into a route table and still open to other domains. */
export interface EncodedVirtualHost {
  /** The virtual host with the tag and length that it has as a field of RouteConfiguration. */
  readonly record: Uint8Array;
  /** Hash of the record. */
  readonly hash: string;
  /** Where tag, length, name and domains end. */
  readonly tailOffset: number;
  readonly clusters: readonly string[];
}

/** Field of envoy.config.route.v3.RouteConfiguration. */
const VIRTUAL_HOSTS = 2;

/** Encodes a virtual host as a record. */
export function encodeVirtualHostRecord(
  name: string,
  domains: readonly string[],
  tail: Uint8Array,
  clusters: readonly string[],
): EncodedVirtualHost {
  const bytes = encodeVirtualHost(name, domains, tail);
  const record = new BinaryWriter().tag(VIRTUAL_HOSTS, WireType.LengthDelimited).bytes(bytes).finish();
  return { record, hash: hashHex(record), tailOffset: record.length - tail.length, clusters };
}

/** The same virtual host under other domains: what it gets where another host has taken some of its names. */
export function replaceDomains(
  host: EncodedVirtualHost,
  name: string,
  domains: readonly string[],
): EncodedVirtualHost {
  return encodeVirtualHostRecord(name, domains, host.record.subarray(host.tailOffset), host.clusters);
}

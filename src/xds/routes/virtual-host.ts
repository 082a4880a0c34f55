/**
 * Virtual hosts as bytes, composed of encoded routes. The bytes equal the full encoding of the same message, because
 * protobuf writes fields by number and each repeated entry as a record of its own (a test says so).
 */
import { toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { hashHex } from '#base/hash.ts';
import type { PersistentSession } from '#model/service.ts';
import type { HostDomains } from '#scope/route-domains.ts';
import { SESSION_FILTER, sessionSettings } from '#xds/filters/stateful-session.ts';
import type { EncodedRoute } from './encoded-route.ts';

/** Fields of envoy.config.route.v3.VirtualHost, by number. */
const NAME = 1;
const DOMAINS = 2;
const ROUTES = 3;
const REQUIRE_TLS = 4;
const INCLUDE_REQUEST_ATTEMPT_COUNT = 14;
const TYPED_PER_FILTER_CONFIG = 15;
/** Fields of an entry of that map. */
const MAP_KEY = 1;
const MAP_VALUE = 2;
/** Field of envoy.config.route.v3.RouteConfiguration. */
const VIRTUAL_HOSTS = 2;

/** VirtualHost.TlsRequirementType.ALL */
const TLS_FOR_ALL = 2;

/** An encoded virtual host, ready to go into a route table and still open to other domains. */
export interface EncodedVirtualHost {
  readonly name: string;
  readonly domains: HostDomains;
  /** The virtual host with the tag and length that it has as a field of RouteConfiguration. */
  readonly record: Uint8Array;
  /** Hash of the record. */
  readonly hash: string;
  /** Where tag, length, name and domains end. */
  readonly tailOffset: number;
  readonly clusters: readonly string[];
}

export interface VirtualHostTail {
  readonly routes: readonly EncodedRoute[];
  /** Plain requests are redirected to https. */
  readonly requireTls: boolean;
  readonly includeAttemptCount: boolean;
  /** Sessions of the service that stay with an endpoint, for all routes without settings of their own. */
  readonly session?: PersistentSession | undefined;
}

/** Encodes a virtual host. Cost: one copy of the routes. */
export function encodeVirtualHost(
  name: string,
  domains: HostDomains,
  tail: VirtualHostTail,
): EncodedVirtualHost {
  const clusters = [...new Set(tail.routes.flatMap((route) => route.clusters))];
  return withTail(name, domains, encodeTail(tail), clusters);
}

/** The same virtual host under other domains: what it gets where another host has taken some of its names. */
export function replaceDomains(host: EncodedVirtualHost, domains: readonly string[]): EncodedVirtualHost {
  const replaced: HostDomains = { domains, addressCount: 0, alternates: [], isClusterName: false };
  return withTail(host.name, replaced, host.record.subarray(host.tailOffset), host.clusters);
}

function withTail(
  name: string,
  domains: HostDomains,
  tail: Uint8Array,
  clusters: readonly string[],
): EncodedVirtualHost {
  const writer = new BinaryWriter();
  writer.tag(NAME, WireType.LengthDelimited).string(name);
  for (const domain of domains.domains) writer.tag(DOMAINS, WireType.LengthDelimited).string(domain);
  const bytes = writer.raw(tail).finish();
  const record = new BinaryWriter().tag(VIRTUAL_HOSTS, WireType.LengthDelimited).bytes(bytes).finish();
  return { name, domains, record, hash: hashHex(record), tailOffset: record.length - tail.length, clusters };
}

function encodeTail(tail: VirtualHostTail): Uint8Array {
  const writer = new BinaryWriter();
  for (const route of tail.routes) writer.tag(ROUTES, WireType.LengthDelimited).bytes(route.bytes);
  if (tail.requireTls) writer.tag(REQUIRE_TLS, WireType.Varint).int32(TLS_FOR_ALL);
  if (tail.includeAttemptCount) writer.tag(INCLUDE_REQUEST_ATTEMPT_COUNT, WireType.Varint).bool(true);
  if (tail.session !== undefined) {
    const entry = new BinaryWriter().tag(MAP_KEY, WireType.LengthDelimited).string(SESSION_FILTER);
    entry.tag(MAP_VALUE, WireType.LengthDelimited).bytes(toBinary(AnySchema, sessionSettings(tail.session)));
    writer.tag(TYPED_PER_FILTER_CONFIG, WireType.LengthDelimited).bytes(entry.finish());
  }
  return writer.finish();
}

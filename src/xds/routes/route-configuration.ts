/**
 * RouteConfigurations as bytes, composed of encoded virtual hosts: a change of one host costs the encoding of that host
 * and one copy of the rest (memcpy), never their encoding. The bytes equal the full encoding of the same message.
 */
import { create } from '@bufbuild/protobuf';
import { hashHex } from '#base/hash.ts';
import type { Interner } from '#collections/interner.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { encodeCanonical } from '#xds/encode.ts';
import { type Resource, TYPE_ROUTE } from '#xds/resource.ts';
import { concatenate } from './bytes.ts';
import type { EncodedHosts } from './host-shard.ts';

/** As much as the webhook accepts in a direct response; Envoy's own limit is 4 KiB. */
const MAX_DIRECT_RESPONSE_BYTES = 1024 * 1024;

export interface RouteConfigurationInput {
  readonly name: string;
  /** The port of the Host header takes no part in finding the virtual host. */
  readonly ignorePort: boolean;
  /** In their final order. */
  readonly hosts: readonly EncodedHosts[];
}

/**
 * Composes the resource, once per distinct content. Cost: for a new one a single allocation and copy; the version is a
 * hash over the hashes of the parts, so that the table itself is never hashed.
 */
export function internRouteConfiguration(interner: Interner, input: RouteConfigurationInput): Resource {
  const { name, ignorePort, hosts } = input;
  const hashes = hosts.map((part) => part.hash).join(' ');
  return interner.intern('routeConfiguration', { name, ignorePort, hashes }, () => ({
    typeUrl: TYPE_ROUTE,
    name,
    // Before the bytes: who compares two tables field by field is done here.
    version: hashHex(`${name} ${ignorePort} ${hashes}`),
    bytes: composeRouteConfiguration(input),
    references: [...new Set(hosts.flatMap((part) => part.clusters))],
  }));
}

/** The bytes of the whole message: what stands before and after the virtual hosts, and their records in between. */
export function composeRouteConfiguration(input: RouteConfigurationInput): Uint8Array {
  const head = encodeCanonical(
    RouteConfigurationSchema,
    create(RouteConfigurationSchema, { name: input.name }),
  );
  const tail = encodeCanonical(
    RouteConfigurationSchema,
    create(RouteConfigurationSchema, {
      validateClusters: false,
      maxDirectResponseBodySizeBytes: MAX_DIRECT_RESPONSE_BYTES,
      ignorePortInHostMatching: input.ignorePort,
    }),
  );
  return concatenate([head, ...input.hosts.map((part) => part.records), tail]);
}

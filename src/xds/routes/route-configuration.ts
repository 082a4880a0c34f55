/**
 * RouteConfigurations as bytes, composed of encoded virtual hosts: a change of one host costs the encoding of that host
 * and one copy of the rest (memcpy), never their encoding. The bytes equal the full encoding of the same message.
 */
import { create } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { encodeCanonical } from '../encode.ts';
import { type Resource, TYPE_ROUTE } from '../resource.ts';

/** Field of envoy.config.route.v3.RouteConfiguration. */
const VIRTUAL_HOSTS = 2;
/** As much as the webhook accepts in a direct response; Envoy's own limit is 4 KiB. */
const MAX_DIRECT_RESPONSE_BYTES = 1024 * 1024;

export interface RouteConfigurationInput {
  readonly name: string;
  /** Encoded virtual hosts in their final order. */
  readonly virtualHosts: readonly Uint8Array[];
  /** The port of the Host header takes no part in finding the virtual host. */
  readonly ignorePort: boolean;
  /** Fingerprint of all the rest. */
  readonly version: string;
  /** Clusters that the routes send to. */
  readonly references: readonly string[];
}

/** Composes the resource. Cost: one allocation and copy of the table. */
export function composeRouteConfiguration(input: RouteConfigurationInput): Resource {
  const head = encodeCanonical(RouteConfigurationSchema, create(RouteConfigurationSchema, { name: input.name }));
  const tail = encodeCanonical(
    RouteConfigurationSchema,
    create(RouteConfigurationSchema, {
      validateClusters: false,
      maxDirectResponseBodySizeBytes: MAX_DIRECT_RESPONSE_BYTES,
      ignorePortInHostMatching: input.ignorePort,
    }),
  );
  const bytes = concatenate([head, ...input.virtualHosts.flatMap((host) => [recordHead(host.length), host]), tail]);
  const resource = { typeUrl: TYPE_ROUTE, name: input.name, bytes, version: input.version };
  return input.references.length === 0 ? resource : { ...resource, references: input.references };
}

/** Tag and length in front of one virtual host. */
function recordHead(sizeBytes: number): Uint8Array {
  return new BinaryWriter().tag(VIRTUAL_HOSTS, WireType.LengthDelimited).uint32(sizeBytes).finish();
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  let sizeBytes = 0;
  for (const part of parts) sizeBytes += part.length;
  const bytes = new Uint8Array(sizeBytes);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** A TCP socket address as Envoy's messages hold it. */
import { create } from '@bufbuild/protobuf';
import type { Address } from '#proto/envoy/config/core/v3/address_pb.ts';
import { AddressSchema } from '#proto/envoy/config/core/v3/address_pb.ts';

/** An IP address (or host name, where Envoy resolves) and a port. */
export function socketAddress(address: string, port: number): Address {
  return create(AddressSchema, {
    address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } },
  });
}

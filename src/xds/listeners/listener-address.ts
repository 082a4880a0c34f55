/** Where listeners of sidecars listen, and what all of them share. Source: istio pilot/pkg/networking/core/listener_address.go. */
import { create } from '@bufbuild/protobuf';
import type { Address } from '#proto/envoy/config/core/v3/address_pb.ts';
import { AddressSchema } from '#proto/envoy/config/core/v3/address_pb.ts';
import type { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { IpFamilies, ListenerFacts } from '#scope/listener-facts.ts';
import { socketAddress } from '#xds/address.ts';
import type { InitOf } from '#xds/message-init.ts';

type ListenerInit = InitOf<typeof ListenerSchema>;

const UNIX_PREFIX = 'unix://';

/** An address and port, or the path of a Unix socket. */
export function listenAddress(address: string, port: number): Address {
  if (!address.startsWith(UNIX_PREFIX)) return socketAddress(address, port);
  const path = address.slice(UNIX_PREFIX.length);
  return create(AddressSchema, { address: { case: 'pipe', value: { path } } });
}

/** Further addresses of one listener. */
export function moreAddresses(
  addresses: readonly string[],
  port: number,
): NonNullable<ListenerInit['additionalAddresses']> {
  return addresses.map((address) => ({ address: listenAddress(address, port) }));
}

/** All addresses of a proxy's families, the first one first. */
export function anyAddresses(families: IpFamilies): readonly [string, ...string[]] {
  if (families === 'v6') return ['::'];
  return families === 'dual' ? ['0.0.0.0', '::'] : ['0.0.0.0'];
}

/** The proxy's own loopback. */
export function localAddresses(families: IpFamilies): readonly [string, ...string[]] {
  if (families === 'v6') return ['::1'];
  return families === 'dual' ? ['127.0.0.1', '::1'] : ['127.0.0.1'];
}

/** Connections are spread evenly over Envoy's threads. */
export function exactBalance(): NonNullable<ListenerInit['connectionBalanceConfig']> {
  return { balanceType: { case: 'exactBalance', value: {} } };
}

/** What the HTTP inspector says of plain HTTP. HTTP/1.0 counts where the mesh takes it: else it passes as bytes. */
export function plainHttpAlpn({ flags }: ListenerFacts): string[] {
  return flags.http10 ? ['http/1.0', 'http/1.1', 'h2c'] : ['http/1.1', 'h2c'];
}

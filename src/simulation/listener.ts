/**
 * Which listener has a connection. Captured connections come to the one that hands them on by original destination; others to
 * the socket that they were made to.
 * Source: envoy source/common/listener_manager/connection_handler_impl.cc getBalancedHandlerByAddress.
 */
import { identityMemo } from '#collections/identity-memo.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import type { Address } from '#proto/envoy/config/core/v3/address_pb.ts';
import { TrafficDirection } from '#proto/envoy/config/core/v3/base_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { decodeListener } from './resources.ts';

/** How a connection reaches the proxy: from its own workload, or from elsewhere. */
export type Direction = 'outbound' | 'inbound';

export interface FoundListener {
  readonly listener: Listener;
  readonly entry: ResourceEntry;
}

interface ListenerIndex {
  /** Takes captured connections of a direction. */
  readonly captures: ReadonlyMap<Direction, FoundListener>;
  /** By `address:port`. */
  readonly bySocket: ReadonlyMap<string, FoundListener>;
}

/** The listener; undefined when nobody listens there. */
export function findListener(
  listeners: PersistentMap<ResourceEntry>,
  direction: Direction,
  address: string,
  port: number,
): FoundListener | undefined {
  const { captures, bySocket } = indexOf(listeners);
  const capture = captures.get(direction);
  const exact = bySocket.get(socketKey(address, port));
  if (capture === undefined) return bound(exact) ?? bound(bySocket.get(anySocket(address, port)));
  // A connection to a socket of the proxy itself is not captured, nor does inbound traffic go on by destination.
  if (direction === 'inbound') return bound(exact) ?? capture;
  return exact ?? bySocket.get(anySocket(address, port)) ?? capture;
}

function bound(found: FoundListener | undefined): FoundListener | undefined {
  return found?.listener.bindToPort === false ? undefined : found;
}

const indexOf = identityMemo((listeners: PersistentMap<ResourceEntry>): ListenerIndex => {
  const captures = new Map<Direction, FoundListener>();
  const bySocket = new Map<string, FoundListener>();
  for (const entry of listeners.values()) {
    const listener = decodeListener(entry.resource);
    const found = { listener, entry };
    const direction = captureDirection(listener);
    if (direction !== undefined) captures.set(direction, found);
    else for (const socket of socketsOf(listener)) bySocket.set(socket, found);
  }
  return { captures, bySocket };
});

/** The listeners behind iptables: one hands on, the other reads the original destination itself. */
function captureDirection(listener: Listener): Direction | undefined {
  if (listener.useOriginalDst === true) return 'outbound';
  const readsDestination = listener.listenerFilters.some(
    ({ name }) => name === 'envoy.filters.listener.original_dst',
  );
  const isTransparent = listener.transparent === true;
  if (!readsDestination && !isTransparent) return undefined;
  return listener.trafficDirection === TrafficDirection.INBOUND ? 'inbound' : undefined;
}

function socketsOf({ address, additionalAddresses }: Listener): readonly string[] {
  const all = [address, ...additionalAddresses.map((additional) => additional.address)];
  return all.flatMap((one) => socketOf(one) ?? []);
}

function socketOf(address: Address | undefined): string | undefined {
  if (address?.address.case !== 'socketAddress') return undefined;
  const { address: ip, portSpecifier } = address.address.value;
  return portSpecifier.case === 'portValue' ? socketKey(ip, portSpecifier.value) : undefined;
}

function anySocket(address: string, port: number): string {
  return socketKey(address.includes(':') ? '::' : '0.0.0.0', port);
}

function socketKey(address: string, port: number): string {
  return `${address}|${port}`;
}

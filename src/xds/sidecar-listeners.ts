/**
 * The listeners of one sidecar, put together: what its viewer needs outbound, in the dialect of its capture, and its
 * own inbound ones. Costs O(log n) for each listener that is its own; the viewer's map is shared.
 */
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { Cause } from '#base/cause.ts';
import type { Interner } from '#collections/interner.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import type { Proxy } from '#model/proxy.ts';
import type { WorkloadExtensions } from '#scope/extension.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { encodeResource } from './encode.ts';
import {
  configurationNames,
  extensionCauses,
  extensionsAt,
  type ListenerExtensions,
} from './extensions/listener-extensions.ts';
import { buildHttpProxyListener, buildVirtualOutbound } from './listeners/virtual-outbound.ts';
import { BLACK_HOLE_CLUSTER, PASSTHROUGH_CLUSTER } from './names.ts';
import { listenerResource, type OutboundListener } from './outbound-listeners.ts';
import { type Resource, type ResourceEntry, TYPE_LISTENER } from './resource.ts';
import { HTTP_PROXY_ROUTES } from './routes/outbound-routes.ts';

export interface SidecarListenerInput {
  readonly proxy: Proxy;
  readonly facts: ListenerFacts;
  /** Outbound listeners of the viewer as captured traffic has them. */
  readonly captured: PersistentMap<ResourceEntry>;
  /** The same before they were built, for sockets of the proxy's own. */
  readonly inputs: PersistentMap<OutboundListener>;
  readonly inbound: PersistentMap<ResourceEntry>;
  readonly extensions: WorkloadExtensions;
}

/** All listeners of the sidecar by name. */
export function sidecarListeners(
  interner: Interner,
  input: SidecarListenerInput,
): PersistentMap<ResourceEntry> {
  const { proxy, facts } = input;
  let listeners = input.inbound;
  if (proxy.interceptionMode === 'NONE') listeners = withBound(interner, listeners, input);
  else {
    listeners = merge(input.captured, listeners);
    listeners = add(listeners, virtualOutbound(interner, facts));
  }
  const proxyPort = proxy.httpProxyPort || facts.httpProxyPort;
  if (proxyPort === 0) return listeners;
  const address = proxy.interceptionMode === 'NONE' ? (proxy.addresses[0] ?? '127.0.0.1') : '127.0.0.1';
  return withHttpProxy(interner, listeners, { ...input, address, port: proxyPort });
}

/** Byte listeners on the proxy's outbound address; of services with one port number the first by name has it. */
function withBound(
  interner: Interner,
  inbound: PersistentMap<ResourceEntry>,
  { proxy, inputs, extensions }: SidecarListenerInput,
): PersistentMap<ResourceEntry> {
  if (proxy.outboundAddress === '') return inbound;
  let listeners = inbound;
  for (const { bound, causes } of inputs.values()) {
    if (bound === undefined) continue;
    const name = `${proxy.outboundAddress}_${bound.port}`;
    if (listeners.has(name)) continue;
    const extended = atPort(interner, extensions, bound.port);
    const own = { name, address: proxy.outboundAddress, extensions: extended.extensions };
    const resource = listenerResource(interner, { ...bound, ...own });
    listeners = listeners.set(name, { resource, causes: [...causes, ...extended.causes] });
  }
  return listeners;
}

/** The larger map with the entries of the smaller set in it; the smaller one's win. */
export function merge<V>(larger: PersistentMap<V>, smaller: PersistentMap<V>): PersistentMap<V> {
  let merged = larger;
  for (const [name, value] of smaller) merged = merged.set(name, value);
  return merged;
}

function add(map: PersistentMap<ResourceEntry>, resource: Resource): PersistentMap<ResourceEntry> {
  return map.set(resource.name, { resource, causes: [] });
}

function virtualOutbound(interner: Interner, facts: ListenerFacts): Resource {
  return interner.intern('virtualOutbound', facts, (frozen) => {
    const fallback = frozen.outboundPolicy === 'ALLOW_ANY' ? PASSTHROUGH_CLUSTER : BLACK_HOLE_CLUSTER;
    const listener = buildVirtualOutbound(frozen);
    return encodeResource(ListenerSchema, listener, TYPE_LISTENER, listener.name, [
      BLACK_HOLE_CLUSTER,
      fallback,
    ]);
  });
}

function withHttpProxy(
  interner: Interner,
  listeners: PersistentMap<ResourceEntry>,
  input: SidecarListenerInput & { readonly address: string; readonly port: number },
): PersistentMap<ResourceEntry> {
  const { facts, address, port } = input;
  const { extensions, causes } = atPort(interner, input.extensions, port);
  const resource = interner.intern('httpProxyListener', { facts, address, port, extensions }, (frozen) => {
    const listener = buildHttpProxyListener(frozen);
    const references = [HTTP_PROXY_ROUTES, ...configurationNames(frozen.extensions)];
    return encodeResource(ListenerSchema, listener, TYPE_LISTENER, listener.name, references);
  });
  return listeners.set(resource.name, { resource, causes });
}

/** The extensions in an outbound listener of that port, and why. */
function atPort(
  interner: Interner,
  { facet, causes }: WorkloadExtensions,
  port: number,
): { readonly extensions: ListenerExtensions; readonly causes: readonly Cause[] } {
  const traffic = { side: 'CLIENT', port } as const;
  const own = interner.intern('extensionFacet', facet, (one) => one);
  return { extensions: extensionsAt(own, traffic), causes: extensionCauses(facet, causes, traffic) };
}

/**
 * The listeners of one sidecar, put together: what its view needs outbound, in the dialect of its capture, and its
 * own inbound ones. Costs O(log n) for each listener that is its own; the view's map is shared.
 */
import type { Interner } from '#collections/interner.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import type { Proxy } from '#model/proxy.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import type { ListenerView } from '#scope/outbound-listener-view.ts';
import { encodeResource } from './encode.ts';
import { configurationNames, extensionCauses, extensionsAt } from './extensions/listener-extensions.ts';
import { tracingReferences } from './filters/tracing.ts';
import { localAddresses } from './listeners/listener-address.ts';
import {
  buildHttpProxyListener,
  buildVirtualOutbound,
  type VirtualOutboundInput,
  virtualOutboundReferences,
} from './listeners/virtual-outbound.ts';
import { listenerResource, movedListener, type OutboundListener } from './outbound-listeners.ts';
import { type Resource, type ResourceEntry, TYPE_LISTENER } from './resource.ts';
import { HTTP_PROXY_ROUTES } from './routes/outbound-routes.ts';

export interface SidecarListenerInput {
  readonly proxy: Proxy;
  /** As the proxy's listener view has them. */
  readonly facts: ListenerFacts;
  /** Outbound listeners of the view. */
  readonly outbound: PersistentMap<ResourceEntry>;
  /** The same before they were built, for a proxy with addresses of its own on one machine. */
  readonly inputs: PersistentMap<OutboundListener>;
  readonly inbound: PersistentMap<ResourceEntry>;
  /** What stands in outbound listeners. */
  readonly extensions: ListenerView['extensions'];
}

/** All listeners of the sidecar by name. */
export function sidecarListeners(
  interner: Interner,
  input: SidecarListenerInput,
): PersistentMap<ResourceEntry> {
  const { proxy, facts } = input;
  let listeners = facts.onOneMachine ? withMoved(interner, input) : merge(input.outbound, input.inbound);
  if (proxy.interceptionMode !== 'NONE') {
    const transparent = proxy.interceptionMode === 'TPROXY';
    listeners = add(listeners, virtualOutbound(interner, { facts, transparent }));
  }
  const proxyPort = proxy.httpProxyPort || facts.httpProxyPort;
  if (proxyPort === 0) return listeners;
  const [local] = localAddresses(facts.ipFamilies);
  const address = facts.onOneMachine ? (proxy.addresses[0] ?? local) : local;
  return withHttpProxy(interner, listeners, { ...input, address, port: proxyPort });
}

/** Outbound listeners at the address that the proxy was given. */
function withMoved(
  interner: Interner,
  { proxy, inputs, inbound }: SidecarListenerInput,
): PersistentMap<ResourceEntry> {
  let listeners = inbound;
  for (const listener of inputs.values()) {
    const moved = movedListener(listener, proxy.outboundAddress);
    if (moved === undefined || listeners.has(moved.name)) continue;
    const resource = listenerResource(interner, moved);
    listeners = listeners.set(moved.name, { resource, causes: listener.causes });
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

function virtualOutbound(interner: Interner, input: VirtualOutboundInput): Resource {
  return interner.intern('virtualOutbound', input, (frozen) => {
    const listener = buildVirtualOutbound(frozen);
    return encodeResource(
      ListenerSchema,
      listener,
      TYPE_LISTENER,
      listener.name,
      virtualOutboundReferences(frozen.facts),
    );
  });
}

function withHttpProxy(
  interner: Interner,
  listeners: PersistentMap<ResourceEntry>,
  input: SidecarListenerInput & { readonly address: string; readonly port: number },
): PersistentMap<ResourceEntry> {
  const { facts, address, port } = input;
  const { facet, causes } = input.extensions;
  const traffic = { side: 'CLIENT', port } as const;
  const extensions = extensionsAt(facet, traffic);
  const resource = interner.intern('httpProxyListener', { facts, address, port, extensions }, (frozen) => {
    const listener = buildHttpProxyListener(frozen);
    const references = [
      HTTP_PROXY_ROUTES,
      ...configurationNames(frozen.extensions),
      ...tracingReferences(frozen.facts.tracing),
    ];
    return encodeResource(ListenerSchema, listener, TYPE_LISTENER, listener.name, references);
  });
  return listeners.set(resource.name, { resource, causes: extensionCauses(facet, causes, traffic) });
}

/**
 * Outbound listeners of every viewer, per capture dialect and per set of extensions: claims of services grouped by address and port become one
 * listener each, interned by input. Under interception NONE only bytes need listeners, bound on the proxy's outbound
 * address; HTTP goes through the proxy listener.
 * Costs O(claims of one listener) per changed claim; nothing for changes of routes, endpoints or policies.
 */
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Cause } from '#base/cause.ts';
import type { Collection, Engine, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import {
  createOutboundClaims,
  type OutboundClaim,
  type OutboundClaimDeps,
} from '#scope/outbound-listener.ts';
import type { ExtensionView, ExtensionViews } from '#scope/extension-view.ts';
import { viewerKey } from '#scope/viewer.ts';
import { encodeResource } from './encode.ts';
import {
  configurationNames,
  extensionCauses,
  extensionsAt,
  NO_EXTENSIONS,
} from './extensions/listener-extensions.ts';
import {
  buildOutboundListener,
  type OutboundListenerInput,
  serviceStream,
  type StreamTarget,
} from './listeners/outbound-listener.ts';
import { type Resource, type ResourceEntry, TYPE_LISTENER } from './resource.ts';

/** The listener of one group of claims, in both dialects. `bound` has no address yet: that is the proxy's. */
export interface OutboundListener {
  readonly viewer: string;
  readonly name: string;
  readonly captured: OutboundListenerInput;
  /** Byte streams of the port, for a socket of its own; undefined when the port carries only HTTP. */
  readonly bound: OutboundListenerInput | undefined;
  /** The address, where it is that of an endpoint of a headless service and nothing else is there; '' otherwise. */
  readonly endpointAddress: string;
  readonly causes: readonly Cause[];
}

/** Captured listeners as resources by view (a viewer and its extensions), and the inputs by viewer for proxies that bind. */
export interface OutboundListeners {
  readonly captured: Index<ResourceEntry>;
  readonly inputs: Index<OutboundListener>;
  /** Listeners for single endpoints by `viewer|address`: the proxy at that address does without them. */
  readonly ofEndpoints: Index<OutboundListener>;
}

export interface OutboundListenerDeps extends OutboundClaimDeps {
  /** Listener facts by viewer. */
  readonly viewerFacts: Collection<ListenerFacts>;
  readonly extensionViews: ExtensionViews;
  readonly interner: Interner;
}

export function createOutboundListeners(engine: Engine, deps: OutboundListenerDeps): OutboundListeners {
  const { byListener } = createOutboundClaims(engine, deps);
  const groups = engine.group('xds.outboundListenerClaims', byListener);
  const listeners = engine.derive('xds.outboundListeners', groups, (fetch, claims, key) => {
    const facts = fetch.get(deps.viewerFacts, viewerOf(key));
    return facts === undefined ? undefined : outboundListener(claims, facts);
  });
  const entries = engine.deriveMany('xds.outboundListenerResources', listeners, (fetch, listener) => {
    const views = [...fetch.bucket(deps.extensionViews.byViewer, listener.viewer).values()];
    return views.map((view) => [viewerKey(view.key, listener.name), listenerEntry(deps, listener, view)]);
  });
  return {
    captured: engine.index(
      'xds.outboundListeners.captured',
      entries,
      (_entry, key) => [viewerOf(key)],
      (entry) => entry.resource.name,
    ),
    inputs: engine.index(
      'xds.outboundListeners.inputs',
      listeners,
      (listener) => [listener.viewer],
      (l) => l.name,
    ),
    ofEndpoints: engine.index(
      'xds.outboundListeners.ofEndpoints',
      listeners,
      ({ viewer, endpointAddress }) => (endpointAddress === '' ? [] : [viewerKey(viewer, endpointAddress)]),
      (listener) => listener.name,
    ),
  };
}

/** The listener under the extensions of one view. */
function listenerEntry(
  { interner }: OutboundListenerDeps,
  { captured, causes }: OutboundListener,
  view: ExtensionView,
): ResourceEntry {
  const traffic = { side: 'CLIENT', port: captured.port } as const;
  const facet = interner.intern('extensionFacet', view.facet, (one) => one);
  const input = { ...captured, extensions: extensionsAt(facet, traffic) };
  return {
    resource: listenerResource(interner, input),
    causes: [...causes, ...extensionCauses(view.facet, view.causes, traffic)],
  };
}

/** The resource of one input, built and encoded once however many viewers share it. */
export function listenerResource(interner: Interner, input: OutboundListenerInput): Resource {
  return interner.intern('outboundListener', input, (frozen) =>
    encodeResource(
      ListenerSchema,
      buildOutboundListener(frozen),
      TYPE_LISTENER,
      frozen.name,
      references(frozen),
    ),
  );
}

function viewerOf(key: string): string {
  return key.slice(0, key.indexOf('|'));
}

/** Names that must outlive the listener: its route table, its clusters, configurations of its extensions. */
function references(input: OutboundListenerInput): string[] {
  const clusters = input.streams.flatMap((stream) => stream.clusters.map(({ cluster }) => cluster));
  const names = [...clusters, ...configurationNames(input.extensions)];
  return input.routeName === '' ? names : [input.routeName, ...names];
}

function outboundListener(
  claims: PersistentMap<OutboundClaim>,
  facts: ListenerFacts,
): OutboundListener | undefined {
  const ordered = [...claims.values()].sort(
    (a, b) => a.createdAtMs - b.createdAtMs || compareBytes(a.hostname, b.hostname),
  );
  const [first] = ordered;
  if (first === undefined) return undefined;
  const streams = streamTargets(ordered);
  const captured: OutboundListenerInput = {
    name: first.listener,
    address: first.address,
    port: first.port,
    bound: false,
    routeName: routeName(ordered),
    streams,
    sniff: ordered.some((claim) => claim.kind === 'auto'),
    facts,
    extensions: NO_EXTENSIONS,
  };
  const bytes = streams.length === 0 ? undefined : { ...captured, routeName: '', sniff: false, bound: true };
  return {
    viewer: first.viewer,
    name: first.listener,
    captured,
    bound: bytes,
    endpointAddress: ordered.every((claim) => claim.isEndpoint) ? first.address : '',
    causes: ordered.map((claim) => claim.cause),
  };
}

/**
 * The route table behind a listener: the port's table where HTTP is shared by all services of the port, the service's
 * own where a service with an address of its own is sniffed.
 */
function routeName(claims: readonly OutboundClaim[]): string {
  const speaking = claims.find((claim) => claim.kind === 'http' || claim.kind === 'auto');
  if (speaking === undefined) return '';
  const own = speaking.kind === 'auto' && speaking.address !== '0.0.0.0';
  return own ? `${speaking.hostname}:${speaking.port}` : String(speaking.port);
}

/**
 * TLS is told apart by server name where services share the address, bytes by the range of addresses where a service
 * has one; of other byte services the oldest has the port.
 */
function streamTargets(claims: readonly OutboundClaim[]): StreamTarget[] {
  const targets: StreamTarget[] = [];
  let taken = false;
  for (const claim of claims) {
    if (claim.kind === 'http') continue;
    const cidrs = claim.cidr === '' ? [] : [claim.cidr];
    const sniHosts = claim.kind === 'tls' && claim.address === '0.0.0.0' ? [claim.hostname] : [];
    if (cidrs.length + sniHosts.length > 0)
      targets.push(serviceStream(claim.hostname, claim.port, sniHosts, cidrs));
    else if (!taken) {
      taken = true;
      targets.push(serviceStream(claim.hostname, claim.port));
    }
  }
  return targets;
}

/**
 * Outbound listeners of every listener view: claims of services grouped by address and port become one listener each, interned by
 * input. Where a proxy has sockets of its own on one machine, its byte listeners move to the address that it was given.
 * Costs O(claims of one listener) per view and changed claim or stream route; nothing for changes of HTTP routes, endpoints or policies.
 */
import type { Cause } from '#base/cause.ts';
import type { Engine, Fetch, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import { type StreamRoutes, streamRoutesFor } from '#model/stream-routes.ts';
import { isVisibleTo } from '#model/service-visibility.ts';
import { comparePrecedenceIn, type VirtualService } from '#model/virtual-service.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { importsVirtualService } from '#scope/egress-listener.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import {
  createOutboundClaims,
  type OutboundClaim,
  type OutboundClaimDeps,
} from '#scope/outbound-listener.ts';
import { type OutboundChain, streamChains } from '#scope/outbound-listener-chains.ts';
import { type MergedListener, mergeClaims } from '#scope/outbound-listener-merge.ts';
import type { ListenerView, ListenerViews } from '#scope/outbound-listener-view.ts';
import { untracedFacts } from '#scope/tracing.ts';
import { viewerKey } from '#scope/viewer.ts';
import { encodeResource } from './encode.ts';
import { extensionCauses, extensionsAt } from './extensions/listener-extensions.ts';
import {
  buildOutboundListener,
  outboundListenerReferences,
  type OutboundListenerInput,
} from './listeners/outbound-listener.ts';
import { type Resource, type ResourceEntry, TYPE_LISTENER } from './resource.ts';

/** The listener of one group of claims, as one view has it. */
export interface OutboundListener {
  readonly view: string;
  readonly input: OutboundListenerInput;
  /** The user chose the address or the port; else it is at the proxy's own loopback or where connections were going. */
  readonly isChosen: boolean;
  /** The address, where it is that of an endpoint of a headless service and nothing else is there; '' otherwise. */
  readonly endpointAddress: string;
  readonly causes: readonly Cause[];
}

/** Listeners as resources by view, and the inputs by view for proxies that bind on an address of their own. */
export interface OutboundListeners {
  readonly resources: Index<ResourceEntry>;
  readonly inputs: Index<OutboundListener>;
  /** Listeners for single endpoints by `view|address`: the proxy at that address does without them. */
  readonly ofEndpoints: Index<OutboundListener>;
}

export interface OutboundListenerDeps extends OutboundClaimDeps {
  readonly listenerViews: ListenerViews;
  readonly streamRoutes: StreamRoutes;
  readonly interner: Interner;
}

export function createOutboundListeners(engine: Engine, deps: OutboundListenerDeps): OutboundListeners {
  const { byListener } = createOutboundClaims(engine, deps);
  const groups = engine.group('xds.outboundListenerClaims', byListener);
  const listeners = engine.deriveMany('xds.outboundListeners', groups, (fetch, claims, key) => {
    const viewer = key.slice(0, key.indexOf('|'));
    const views = fetch.bucket(deps.listenerViews.viewsByViewer, viewer);
    return [...views.values()].flatMap((view) => {
      const listener = outboundListener(fetch, deps, claims, view);
      return listener === undefined
        ? []
        : [[viewerKey(view.key, key.slice(viewer.length + 1)), listener] as const];
    });
  });
  const entries = engine.derive(
    'xds.outboundListenerResources',
    listeners,
    (_fetch, listener): ResourceEntry => {
      return { resource: listenerResource(deps.interner, listener.input), causes: listener.causes };
    },
  );
  return {
    resources: engine.index(
      'xds.outboundListeners.byView',
      entries,
      (_entry, key) => [key.slice(0, key.indexOf('|'))],
      (entry) => entry.resource.name,
    ),
    inputs: engine.index(
      'xds.outboundListeners.inputs',
      listeners,
      ({ view }) => [view],
      ({ input }) => input.name,
    ),
    ofEndpoints: engine.index(
      'xds.outboundListeners.ofEndpoints',
      listeners,
      ({ view, endpointAddress }) => (endpointAddress === '' ? [] : [viewerKey(view, endpointAddress)]),
      ({ input }) => input.name,
    ),
  };
}

/** The resource of one input, built and encoded once however many views share it. */
export function listenerResource(interner: Interner, input: OutboundListenerInput): Resource {
  return interner.intern('outboundListener', input, (frozen) =>
    encodeResource(
      ListenerSchema,
      buildOutboundListener(frozen),
      TYPE_LISTENER,
      frozen.name,
      outboundListenerReferences(frozen),
    ),
  );
}

function outboundListener(
  fetch: Fetch,
  deps: OutboundListenerDeps,
  claims: PersistentMap<OutboundClaim>,
  view: ListenerView,
): OutboundListener | undefined {
  const streamsOf = (claim: OutboundClaim) =>
    streamChains(claim, {
      view,
      routes: routesOf(fetch, deps, claim, view),
      lookup: (hostname): OutboundHost | undefined => fetch.get(deps.hosts, viewerKey(view.viewer, hostname)),
    });
  const merged = mergeClaims(claims.values(), streamsOf, (claim) => canListen(claim, view));
  const isOfEndpoints = [...claims.values()].every((claim) => claim.isEndpoint);
  return merged === undefined ? undefined : listenerOf(merged, view, isOfEndpoints);
}

/** The stream routes for a claim's host that the view takes into account on its egress listener. */
function routesOf(
  fetch: Fetch,
  deps: OutboundListenerDeps,
  claim: OutboundClaim,
  view: ListenerView,
): readonly VirtualService[] {
  const found = streamRoutesFor(fetch, deps.streamRoutes, claim.hostname);
  if (found.length === 0) return found;
  const listener =
    claim.sidecar === undefined ? undefined : fetch.get(deps.imports, view.viewer)?.listeners[claim.egress];
  return found
    .filter((object) => isVisibleTo(object.visibility, view.namespace))
    .filter((object) => listener === undefined || importsVirtualService(listener, object))
    .sort((a, b) => comparePrecedenceIn(view.namespace, a, b));
}

const FIRST_UNPRIVILEGED_PORT = 1_024;

/** Source: istio Proxy.CanBindToPort. The proxy's own doors, and its listeners for captured traffic, are at all addresses. */
function canListen(claim: OutboundClaim, { facts }: ListenerView): boolean {
  const isPrivileged = claim.port > 0 && claim.port < FIRST_UNPRIVILEGED_PORT;
  if (claim.isBound && isPrivileged && facts.unprivileged) return false;
  const isTaken = [facts.outboundPort, facts.inboundPort, ...facts.reservedPorts].includes(claim.port);
  return !isTaken || !claim.isAnywhere || (claim.kind !== 'http' && !claim.isBound);
}

function listenerOf(
  { first, chains, causes }: MergedListener,
  view: ListenerView,
  isOfEndpoints: boolean,
): OutboundListener {
  const traffic = { side: 'CLIENT', port: first.port } as const;
  const { facet, causes: why } = view.extensions;
  const input: OutboundListenerInput = {
    name: first.listener,
    address: first.address,
    extraAddresses: first.extraAddresses,
    port: first.port,
    bound: first.isBound,
    chains,
    facts: chains.some(({ target }) => target.kind === 'http') ? view.facts : untracedFacts(view.facts),
    extensions: extensionsAt(facet, traffic),
  };
  const isChosen = !first.isCatchAll || (first.isBound && !first.isLocal);
  return {
    view: view.key,
    input,
    isChosen,
    endpointAddress: isOfEndpoints ? first.address : '',
    causes: [...causes, ...extensionCauses(facet, why, traffic)],
  };
}

/**
 * The listener as it is on one machine, at an address of the proxy's own: HTTP comes through the proxy listener instead, unless a
 * Sidecar object asks for the port. Undefined where nothing is left to listen for.
 */
export function movedListener(
  { input, isChosen }: OutboundListener,
  address: string,
): OutboundListenerInput | undefined {
  const isLocal = input.address === '127.0.0.1' || input.address === '::1';
  const chains: readonly OutboundChain[] = isChosen
    ? input.chains
    : input.chains.filter(({ target }) => target.kind === 'stream');
  if (chains.length === 0) return undefined;
  if (!isLocal) return { ...input, chains };
  return { ...input, chains, name: `${address}_${input.port}`, address, extraAddresses: [] };
}

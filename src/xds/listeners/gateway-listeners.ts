/**
 * Listeners of gateway proxies, by view. A VirtualService for HTTP changes none of them; one for TCP or TLS changes the
 * listeners of its gateways only.
 */
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { Cause } from '#base/cause.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import type { MeshFlags } from '#model/mesh-flags.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { RouteModel } from '#model/route-model.ts';
import { type GatewayTlsDefaults, gatewayTlsDefaults } from '#scope/gateway-facts.ts';
import {
  type GatewayListener,
  type GatewayListenerScope,
  gatewayListeners,
} from '#scope/gateway-listener.ts';
import { type GatewayScopes, virtualServicesAt } from '#scope/gateway-scope.ts';
import type { GatewayView } from '#scope/gateway-view.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import { tracedFacts } from '#scope/tracing.ts';
import { viewerKey } from '#scope/viewer.ts';
import { encodeResource } from '#xds/encode.ts';
import { type Resource, type ResourceEntry, TYPE_LISTENER } from '#xds/resource.ts';
import { anyAddresses } from './listener-address.ts';
import {
  buildGatewayListener,
  type GatewayListenerInput,
  gatewayListenerReferences,
  type GatewaySecurity,
} from './gateway-listener.ts';

export interface GatewayListenerDeps {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly model: RouteModel;
  readonly tlsDefaults: Collection<GatewayTlsDefaults>;
  /** By view. */
  readonly facts: Collection<ListenerFacts>;
  readonly hosts: Collection<OutboundHost>;
  readonly hostsByViewer: Index<OutboundHost>;
  readonly scopes: GatewayScopes;
  readonly flags: MeshFlags;
  /** Filters of the policies and extensions that select the gateway's proxies, for a listener of that port. */
  readonly securityOf: (
    fetch: Fetch,
    view: GatewayView,
    port: number,
  ) => GatewaySecurity & { readonly causes: readonly Cause[] };
}

export interface GatewayListeners {
  /** By view; inner key is the listener's name. */
  readonly listeners: Index<ResourceEntry>;
  /** What was left out, by view. */
  readonly diagnostics: Collection<readonly Diagnostic[]>;
}

/** All listeners of one view, before they are built. Keyed by view. */
interface PlannedListeners {
  readonly view: GatewayView;
  readonly listeners: readonly GatewayListener[];
}

/** One of them. Keyed `view|name`. */
interface PlannedListener {
  readonly view: GatewayView;
  readonly listener: GatewayListener;
}

/** Derives the listeners of all views. */
export function createGatewayListeners(deps: GatewayListenerDeps): GatewayListeners {
  const { engine } = deps;
  const { scopes } = deps.scopes;
  const planned = engine.derive(
    'xds.plannedGateways',
    scopes,
    (fetch, { view, merged }): PlannedListeners => {
      return { view, listeners: gatewayListeners(merged, listenerScope(fetch, deps, view)) };
    },
  );
  const scoped = engine.deriveMany('xds.plannedGatewayListeners', planned, (_fetch, { view, listeners }) =>
    listeners
      .filter((listener) => listener.chains.length > 0)
      .map((listener): [string, PlannedListener] => [viewerKey(view.key, listener.name), { view, listener }]),
  );
  const entries = engine.derive('xds.gatewayListeners', scoped, (fetch, { view, listener }) => {
    const own = fetch.get(deps.facts, view.key);
    if (own === undefined) return undefined;
    const facts = tracedFacts(fetch, deps.hosts, view.viewer, own);
    const { causes, ...security } = deps.securityOf(fetch, view, listener.port);
    const defaults = fetch.get(deps.tlsDefaults, MESH_KEY) ?? gatewayTlsDefaults({});
    const input = {
      ...listenerInput(view, listener, facts),
      handshakeTimeoutMs: deps.flags.gatewayHandshakeTimeoutMs,
      security,
      tlsDefaults: defaults,
      facts,
    };
    const entry: ResourceEntry = {
      resource: listenerResource(deps.interner, input),
      causes: [...listener.causes, ...causes],
    };
    return entry;
  });
  const listeners = engine.index(
    'xds.gatewayListeners.byView',
    entries,
    (_entry, key) => [key.slice(0, key.indexOf('|'))],
    (entry) => entry.resource.name,
  );
  const diagnostics = engine.derive('xds.gatewayDiagnostics', scopes, (fetch, { merged }, key) => {
    const dropped = fetch.get(planned, key)?.listeners.flatMap((one) => one.diagnostics) ?? [];
    const all = [...merged.diagnostics, ...dropped];
    return all.length === 0 ? undefined : all;
  });
  return { listeners, diagnostics };
}

function listenerScope(fetch: Fetch, deps: GatewayListenerDeps, view: GatewayView): GatewayListenerScope {
  return {
    lookup: (hostname) => fetch.get(deps.hosts, viewerKey(view.viewer, hostname)),
    virtualServices: (gateway) => virtualServicesAt(fetch, deps.model, view.namespace, gateway),
    hosts: () => [...fetch.bucket(deps.hostsByViewer, view.viewer).values()],
    anyAddress: anyAddresses(view.ipFamilies)[0],
    unprivileged: view.unprivileged,
    statName: fetch.get(deps.facts, view.key)?.outboundStatName ?? '',
  };
}

function listenerInput(
  view: GatewayView,
  listener: GatewayListener,
  { flags }: ListenerFacts,
): Omit<GatewayListenerInput, 'handshakeTimeoutMs' | 'security' | 'tlsDefaults' | 'facts'> {
  const [any, ...more] = anyAddresses(view.ipFamilies);
  const isAnywhere = listener.bind === any;
  // On one machine "all addresses" are the proxy's own; the name stays Istio's.
  const isOwn = isAnywhere && view.bindAddress !== '';
  return {
    name: listener.name,
    transport: listener.transport,
    address: isOwn ? view.bindAddress : listener.bind,
    extraAddresses: isAnywhere && !isOwn && flags.dualStack ? more : [],
    port: listener.port,
    chains: listener.chains,
    readsProxyProtocol: view.topology?.proxyProtocol !== undefined && listener.transport === 'tcp',
    trustedHops: view.topology?.numTrustedProxies ?? 0,
    clientCertForwarding: clientCertForwarding(view),
  };
}

/** Of the topology; proxyHeaders have no say here. Source: istio gateway.go buildGatewayConnectionManager. */
function clientCertForwarding({ topology }: GatewayView): GatewayListenerInput['clientCertForwarding'] {
  const asked = topology?.forwardClientCertDetails ?? 'UNDEFINED';
  return asked === 'UNDEFINED' ? 'SANITIZE_SET' : asked;
}

function listenerResource(interner: Interner, input: GatewayListenerInput): Resource {
  return interner.intern('gatewayListener', input, (frozen) =>
    encodeResource(
      ListenerSchema,
      buildGatewayListener(frozen),
      TYPE_LISTENER,
      frozen.name,
      gatewayListenerReferences(frozen),
    ),
  );
}

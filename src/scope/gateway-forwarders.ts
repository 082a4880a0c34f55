/**
 * Gateways that forward mesh TLS between networks as it is (AUTO_PASSTHROUGH): they need clusters and load assignments of
 * their own, which nobody else has. Source: istio MergedGateway.ContainsAutoPassthroughGateways.
 */
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import type { Proxy } from '#model/proxy.ts';
import type { GatewayScope } from './gateway-scope.ts';
import { mode } from './gateway-server.ts';

export interface MeshTlsForwarders {
  /** Outbound viewers of such gateways; key and value are the viewer's key. */
  readonly viewers: Collection<string>;
  isForwarder(fetch: Fetch, proxy: Proxy): boolean;
}

/** Finds them among the gateway views. */
export function createMeshTlsForwarders(
  engine: Engine,
  scopes: Collection<GatewayScope>,
  viewOf: (fetch: Fetch, proxy: Proxy) => string,
): MeshTlsForwarders {
  const ofViews = engine.derive('scope.meshTlsForwarders', scopes, (_fetch, { view, merged }) => {
    const servers = merged.ports.flatMap((port) => port.servers);
    return servers.some((server) => mode(server) === 'AUTO_PASSTHROUGH') ? view.viewer : undefined;
  });
  return {
    viewers: engine.deriveMany('scope.meshTlsForwardingViewers', ofViews, (_fetch, viewer) => [
      [viewer, viewer],
    ]),
    isForwarder: (fetch, proxy) =>
      proxy.type === 'router' && fetch.get(ofViews, viewOf(fetch, proxy)) !== undefined,
  };
}

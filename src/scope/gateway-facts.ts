/** What gateway listeners take from mesh config beyond what all listeners do. Keyed 'mesh'. */
import type { Collection, Engine } from '#collections/collection.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';

/** TLS settings for servers that say nothing of their own; '' and empty lists: Envoy's own. */
export interface GatewayTlsDefaults {
  readonly minimumVersion: string;
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
}

/** Takes the facts out of mesh config; equal facts keep their identity. */
export function createGatewayTlsDefaults(
  engine: Engine,
  meshConfig: Collection<MeshConfigJson>,
): Collection<GatewayTlsDefaults> {
  return engine.derive('scope.gatewayTlsDefaults', meshConfig, (_fetch, mesh) => gatewayTlsDefaults(mesh));
}

/** The facts of one mesh config. */
export function gatewayTlsDefaults(mesh: MeshConfigJson): GatewayTlsDefaults {
  const defaults = mesh.tlsDefaults ?? {};
  return {
    minimumVersion: defaults.minProtocolVersion ?? '',
    cipherSuites: defaults.cipherSuites ?? [],
    ecdhCurves: defaults.ecdhCurves ?? [],
  };
}

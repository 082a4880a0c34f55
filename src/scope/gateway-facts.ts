/** What servers with TLS settings of their own (Gateways, Sidecar ingress) take from mesh config. Keyed 'mesh'. */
import type { Collection, Engine, Index } from '#collections/collection.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { createSecretProvider, type SecretProvider } from '#model/secret-provider.ts';
import type { Service } from '#model/service.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';

/** TLS settings for servers that say nothing of their own; '' and empty lists: Envoy's own. */
export interface GatewayTlsDefaults {
  readonly minimumVersion: string;
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
  /** The mesh's server of secrets, where it has one. */
  readonly secretProvider?: SecretProvider;
}

/** Takes the facts out of mesh config; equal facts keep their identity. */
export function createGatewayTlsDefaults(
  engine: Engine,
  meshConfig: Collection<MeshConfigJson>,
  servicesByHostname: Index<Service>,
): Collection<GatewayTlsDefaults> {
  const providers = createSecretProvider(engine, meshConfig, servicesByHostname);
  return engine.derive('scope.gatewayTlsDefaults', meshConfig, (fetch, mesh) =>
    gatewayTlsDefaults(mesh, fetch.get(providers, MESH_KEY)),
  );
}

/** The facts of one mesh config. */
export function gatewayTlsDefaults(
  mesh: MeshConfigJson,
  secretProvider?: SecretProvider,
): GatewayTlsDefaults {
  const defaults = mesh.tlsDefaults ?? {};
  return {
    minimumVersion: defaults.minProtocolVersion ?? '',
    cipherSuites: defaults.cipherSuites ?? [],
    ecdhCurves: defaults.ecdhCurves ?? [],
    ...(secretProvider === undefined ? {} : { secretProvider }),
  };
}

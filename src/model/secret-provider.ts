/**
 * The server of secrets that mesh config names (extension provider `sds`): where gateways ask for credentials named `sds://…` that no
 * server in their own pod has. The first provider counts, as in Istio. Costs a read of one bucket of services, again only when mesh
 * config or that service changes.
 * Source: Istio pilot/pkg/security/model/authentication.go ConstructSdsSecretConfigForCredential.
 */
import type { Collection, Engine, Index } from '#collections/collection.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { providerService } from './provider-service.ts';
import type { Service } from './service.ts';

/** Where it is. */
export interface SecretProvider {
  /** '' when the mesh has no such service, or several namespaces have one: then nobody can be asked. */
  readonly hostname: string;
  readonly port: number;
}

/** Derives the provider, keyed 'mesh'; nothing where mesh config names none. */
export function createSecretProvider(
  engine: Engine,
  meshConfig: Collection<MeshConfigJson>,
  servicesByHostname: Index<Service>,
): Collection<SecretProvider> {
  return engine.derive('model.secretProvider', meshConfig, (fetch, config) => {
    const provider = (config.extensionProviders ?? []).find(({ sds }) => sds !== undefined)?.sds;
    if (provider === undefined) return undefined;
    const found = providerService(fetch, servicesByHostname, provider.service ?? '');
    return { hostname: found.fault === undefined ? found.hostname : '', port: provider.port ?? 0 };
  });
}

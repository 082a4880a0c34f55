/**
 * Secrets over ADS, by who asks: proxies with one proven identity and one view of the mesh share them. A proxy gets what its
 * own listeners and clusters name, or EnvoyFilters put there, and its identity may have; who has proven nothing gets nothing.
 * A changed Secret costs those who use it; a proxy whose resources name no secret costs a look at two empty buckets.
 * Source: istio pilot/pkg/xds/sds.go; there the cache is shared by all askers and checked before, here the asker is the key.
 */
import { canonicalJson } from '#base/canonical-json.ts';
import type { Cause } from '#base/cause.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { hashHex } from '#base/hash.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import { emptyMap, equalMaps, type PersistentMap } from '#collections/persistent-map.ts';
import type { Proxy } from '#model/proxy.ts';
import { mayReadKeys, type SecretAccess } from '#model/secret-access.ts';
import type { PatchSet } from '#scope/envoy-filter.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { isSameEntry } from '#xds/resource-entry.ts';
import { credentialDiagnostic } from './credential-diagnostic.ts';
import type { CredentialClient, Credentials } from './credentials.ts';

/** A name under which a secret is asked for, and the object that names it. */
export interface SecretUse {
  readonly name: string;
  readonly cause: Cause;
}

/** What gateways of one view ask for. */
export interface GatewaySecretUses {
  readonly uses: readonly SecretUse[];
  /** Names that they may have although they may not read keys. */
  readonly granted: readonly string[];
}

export interface ProxySecretSources {
  readonly engine: Engine;
  readonly proxies: Collection<Proxy>;
  readonly credentials: Credentials;
  readonly access: Collection<SecretAccess>;
  viewerOf(fetch: Fetch, proxy: Proxy): string;
  /** Clusters that use secrets over ADS, of a viewer and of the gateways of a view ('' for others). */
  clustersWithSecrets(fetch: Fetch, viewer: string, gatewayView: string): readonly ResourceEntry[];
  readonly gateways: {
    /** Key of a gateway proxy's view. */
    viewOf(fetch: Fetch, proxy: Proxy): string;
    secretUses(fetch: Fetch, view: string): GatewaySecretUses;
  };
  /** EnvoyFilters' patches, by proxy id. */
  readonly patchSets: Collection<PatchSet>;
}

/** An identity, and the resources of those of its proxies that look alike. */
interface SecretAsker {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly viewer: string;
  /** '' for all but gateways. */
  readonly gatewayView: string;
  readonly patched: readonly SecretUse[];
}

/** What one asker needs; only where it needs something. */
export interface SecretWish extends GatewaySecretUses {
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface ProxySecrets {
  /** Who wants secrets now. */
  readonly wishes: Collection<SecretWish>;
  /** Names that lead nowhere, by asker. */
  readonly diagnostics: Collection<readonly Diagnostic[]>;
  /** The secrets of one proxy. */
  secretsOf(fetch: Fetch, proxy: Proxy): PersistentMap<ResourceEntry>;
}

const NONE = emptyMap<ResourceEntry>();
const NO_USES: GatewaySecretUses = { uses: [], granted: [] };

/** Derives the secrets of all connected proxies. */
export function createProxySecrets(sources: ProxySecretSources): ProxySecrets {
  const { engine, credentials, access } = sources;
  const askers = engine.deriveMany('xds.secretAskers', sources.proxies, (fetch, proxy) => {
    const asker = askerOf(fetch, proxy, sources);
    return asker === undefined ? [] : [[askerKey(proxy, asker), asker] as const];
  });
  const wishes = engine.derive('xds.secretWishes', askers, (fetch, asker) => wishOf(fetch, asker, sources));
  const secrets = engine.derive(
    'xds.secrets',
    wishes,
    (fetch, wish) => credentials.credentialsFor(fetch, namesOf(wish), clientOf(fetch, wish, access)),
    { equals: (a, b) => equalMaps(a, b, isSameEntry) },
  );
  const diagnostics = engine.derive('xds.secretDiagnostics', wishes, (fetch, wish) => {
    const client = clientOf(fetch, wish, access);
    const found = wish.uses.flatMap((use) => {
      const problem = credentials.problemOf(fetch, use.name, client);
      return problem === undefined ? [] : [credentialDiagnostic(use, problem, wish)];
    });
    return found.length === 0 ? undefined : found;
  });
  return {
    wishes,
    diagnostics,
    secretsOf(fetch, proxy) {
      const asker = askerOf(fetch, proxy, sources);
      return asker === undefined ? NONE : (fetch.get(secrets, askerKey(proxy, asker)) ?? NONE);
    },
  };
}

function namesOf({ uses }: SecretWish): ReadonlySet<string> {
  return new Set(uses.map(({ name }) => name));
}

function clientOf(fetch: Fetch, wish: SecretWish, access: Collection<SecretAccess>): CredentialClient {
  const { namespace, granted } = wish;
  return { namespace, mayReadKeys: mayReadKeys(fetch, access, wish), granted: new Set(granted) };
}

function askerOf(fetch: Fetch, proxy: Proxy, sources: ProxySecretSources): SecretAsker | undefined {
  const { identity, namespace, serviceAccount, type } = proxy;
  if (identity === undefined) return undefined;
  const gatewayView = type === 'router' ? sources.gateways.viewOf(fetch, proxy) : '';
  const viewer = sources.viewerOf(fetch, proxy);
  const patched = usesOfPatches(fetch.get(sources.patchSets, proxy.id));
  return { namespace, serviceAccount, viewer, gatewayView, patched };
}

function usesOfPatches(set: PatchSet | undefined): readonly SecretUse[] {
  return (set?.patches ?? []).flatMap(({ patch, cause }) => patch.secrets.map((name) => ({ name, cause })));
}

/** Identities and views hold no '|'. */
function askerKey({ identity = '' }: Proxy, { viewer, gatewayView, patched }: SecretAsker): string {
  const patches = patched.length === 0 ? '' : hashHex(canonicalJson(patched));
  return `${identity}|${viewer}|${gatewayView}|${patches}`;
}

function wishOf(fetch: Fetch, asker: SecretAsker, sources: ProxySecretSources): SecretWish | undefined {
  const { viewer, gatewayView, patched, ...identity } = asker;
  const ofGateway = gatewayView === '' ? NO_USES : sources.gateways.secretUses(fetch, gatewayView);
  const clusters = sources.clustersWithSecrets(fetch, viewer, gatewayView);
  const uses = [...ofGateway.uses, ...clusters.flatMap(usesOfCluster), ...patched];
  return uses.length === 0 ? undefined : { ...identity, uses, granted: ofGateway.granted };
}

/** Only DestinationRules name credentials of clusters. */
function usesOfCluster({ resource, causes }: ResourceEntry): readonly SecretUse[] {
  const cause = causes.findLast(({ kind }) => kind === 'DestinationRule') ?? causes[0];
  return cause === undefined ? [] : (resource.secrets ?? []).map((name) => ({ name, cause }));
}

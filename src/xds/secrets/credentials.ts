/**
 * Secrets over ADS: what gateways and clusters name as credentials, looked up by resource name. A proxy gets the names that
 * its own resources use, from its own namespace; keys only when it may read them. Costs one edge per name.
 * Source: Istio pilot/pkg/xds/sds.go.
 */
import type { ConfigMapSpec } from '#api/config-map.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SecretSpec } from '#api/secret.ts';
import type { Collection, Fetch } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import { mapOf, type PersistentMap } from '#collections/persistent-map.ts';
import { SecretSchema } from '#proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { encodeResource } from '#xds/encode.ts';
import { type Resource, type ResourceEntry, TYPE_SECRET } from '#xds/resource.ts';
import { type CredentialName, parseCredentialName } from './credential-name.ts';
import { buildCredential, type CredentialInput, certificateOf, rootsOf } from './credential-secret.ts';
import { CA_SUFFIX } from './sds-secret.ts';

/** Where credentials are kept, both keyed `namespace/name`. */
export interface CredentialSources {
  readonly interner: Interner;
  readonly secrets: Collection<MeshObject<SecretSpec>>;
  readonly configMaps: Collection<MeshObject<ConfigMapSpec>>;
}

/** Who asks. */
export interface CredentialClient {
  readonly namespace: string;
  /** May read private keys of its namespace. */
  readonly mayReadKeys: boolean;
  /** Names with scheme `kubernetes-gateway` that its gateways may have. */
  readonly granted: ReadonlySet<string>;
}

/** The look-up. */
export interface Credentials {
  /** The secrets of those names that exist and that the client may have, by name. */
  credentialsFor(
    fetch: Fetch,
    names: Iterable<string>,
    client: CredentialClient,
  ): PersistentMap<ResourceEntry>;
  /** Why the client does not get a name; undefined when it does. */
  problemOf(fetch: Fetch, name: string, client: CredentialClient): CredentialProblem | undefined;
}

/** No such object; an object without what is asked for; nothing for this client; no name of an object at all. */
export type CredentialProblem = 'missing' | 'incomplete' | 'denied' | 'no-name';

/** Makes the look-up. */
export function createCredentials(sources: CredentialSources): Credentials {
  const lookUp = (
    fetch: Fetch,
    text: string,
    client: CredentialClient,
  ): ResourceEntry | CredentialProblem => {
    const name = parseCredentialName(text, client.namespace);
    if (name === undefined) return 'no-name';
    return isAllowed(text, name, client) ? findCredential(fetch, text, name, sources) : 'denied';
  };
  return {
    credentialsFor(fetch, names, client) {
      const entries: [string, ResourceEntry][] = [];
      for (const text of names) {
        const found = lookUp(fetch, text, client);
        if (typeof found !== 'string') entries.push([text, found]);
      }
      return mapOf(entries);
    },
    problemOf(fetch, name, client) {
      const found = lookUp(fetch, name, client);
      return typeof found === 'string' ? found : undefined;
    },
  };
}

/**
 * ConfigMaps hold nothing secret; CA certificates may be read by the whole namespace; names with a scheme of Gateway API by
 * those who were granted them. Source: Istio pilot/pkg/xds/sds.go filterAuthorizedResources.
 */
function isAllowed(text: string, name: CredentialName, client: CredentialClient): boolean {
  if (name.kind === 'ConfigMap') return true;
  if (name.scheme === 'kubernetes-gateway') return client.granted.has(text);
  return name.namespace === client.namespace && (name.isCaOnly || client.mayReadKeys);
}

function findCredential(
  fetch: Fetch,
  text: string,
  name: CredentialName,
  sources: CredentialSources,
): ResourceEntry | CredentialProblem {
  const { kind, namespace } = name;
  const baseName = name.isCaOnly ? name.name.slice(0, -CA_SUFFIX.length) : name.name;
  const read = kind === 'ConfigMap' ? readConfigMap : readSecret;
  // CA certificates lie in an object of their own, or beside the certificate.
  const candidates = name.isCaOnly && kind === 'Secret' ? [name.name, baseName] : [baseName];
  for (const objectName of candidates) {
    const data = read(fetch, sources, `${namespace}/${objectName}`);
    if (data === undefined) continue;
    const input = name.isCaOnly || kind === 'ConfigMap' ? rootsOf(text, data) : certificateOf(text, data);
    if (input === undefined) return 'incomplete';
    const resource = sources.interner.intern('credential', input, encodeCredential);
    return { resource, causes: [{ kind, namespace, name: objectName, path: '' }] };
  }
  return 'missing';
}

function readSecret(
  fetch: Fetch,
  { secrets }: CredentialSources,
  key: string,
): Readonly<Record<string, string>> | undefined {
  return fetch.get(secrets, key)?.spec.data;
}

function readConfigMap(
  fetch: Fetch,
  { configMaps }: CredentialSources,
  key: string,
): Readonly<Record<string, string>> | undefined {
  const spec = fetch.get(configMaps, key)?.spec;
  if (spec === undefined) return undefined;
  const encoded = Object.entries(spec.data).map(
    ([name, text]) => [name, Buffer.from(text).toString('base64')] as const,
  );
  return Object.assign(Object.create(null), spec.binaryData, Object.fromEntries(encoded));
}

function encodeCredential(input: CredentialInput): Resource {
  return encodeResource(SecretSchema, buildCredential(input), TYPE_SECRET, input.name);
}

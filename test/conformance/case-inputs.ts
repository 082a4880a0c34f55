/**
 * The inputs of a case of suite xds (README there): Kubernetes objects, resources of Istio, mesh config, proxies. Other suites
 * use the same inputs by name.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JsonObject } from '#ads/node-decoder.ts';
import { nodeToProxy } from '#ads/node-to-proxy.ts';
import { decodeObject } from '#api/decode-object.ts';
import { defaultMeshConfig, type MeshConfig, parseMeshConfig } from '#api/mesh-config.ts';
import { type MeshNetworks, NO_NETWORKS, parseMeshNetworks } from '#api/mesh-networks.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { parseDocuments } from '#api/yaml-documents.ts';
import { NamespaceFilter } from '#sources/namespace-filter.ts';
import type { ProxyFacts } from '../support/mesh-fixture.ts';
import type { Capability } from './suite.ts';

/** Resources without a creation time are of this moment. */
const CREATED_AT_MS = Date.parse('2023-11-14T22:13:20Z');

/**
 * How the corpus came about: its generators were called with proxies as case.json describes them, without the look-up of their
 * workloads by which a connection begins; and no controller ran beside, so addresses of ServiceEntries are those in statuses.
 */
export const CORPUS = { describesProxies: false, derivesAddresses: false };

/** A proxy as case.json describes it. */
interface ProxyDescriptor {
  readonly name: string;
  readonly type: 'sidecar' | 'router' | 'waypoint';
  readonly ip: string;
  readonly namespace: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
  readonly network?: string;
  readonly locality?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly proxyConfig?: Readonly<Record<string, unknown>>;
}

/** What the clients say of themselves. */
const PROXY_VERSION = '1.30.0';

interface CaseJson {
  readonly name: string;
  readonly tags?: readonly string[];
  readonly proxies?: readonly ProxyDescriptor[];
  readonly meshConfig?: unknown;
  readonly meshNetworks?: unknown;
  readonly clusters?: Readonly<Record<string, string>>;
  readonly ambient?: boolean;
}

type Document = Readonly<Record<string, unknown>>;

/** Everything that a case gives to a control plane. */
export interface CaseInputs {
  readonly name: string;
  readonly folder: string;
  readonly tags: readonly string[];
  readonly needs: readonly Capability[];
  readonly objects: readonly MeshObject[];
  readonly meshConfig: MeshConfig;
  readonly meshNetworks: MeshNetworks;
  readonly proxies: readonly ProxyFacts[];
}

/** Folders of cases below `dir`/xds/cases, by name. */
export function caseFolders(dir: string): readonly string[] {
  const root = join(dir, 'xds', 'cases');
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(root, entry.name, 'case.json')))
    .map((entry) => join(root, entry.name))
    .sort();
}

/** Reads one case. What our decoder refuses is left out, and so are fields that a kind does not have, as an API server does it. */
export function readCase(folder: string): CaseInputs {
  const info = JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8')) as CaseJson;
  const documents = ['k8s.yaml', 'istio.yaml'].flatMap((file) => readDocuments(join(folder, file)));
  const objects = documents.flatMap((document) => {
    const { object } = decodeObject(document, { defaultNamespace: 'default', dropsUnknownFields: true });
    if (object === undefined) return [];
    const isOfIstio = object.apiVersion.includes('istio.io/');
    return [isOfIstio && object.createdAtMs === 0 ? { ...object, createdAtMs: CREATED_AT_MS } : object];
  });
  const meshConfig =
    info.meshConfig === undefined ? defaultMeshConfig() : parseMeshConfig(info.meshConfig).config;
  return {
    name: info.name,
    folder,
    tags: info.tags ?? [],
    needs: needsOf(info, documents),
    objects: discovered(objects, meshConfig),
    meshConfig,
    meshNetworks: parseMeshNetworks(info.meshNetworks).networks ?? NO_NETWORKS,
    proxies: (info.proxies ?? []).map(proxyFacts),
  };
}

/** What the discovery selectors leave of the cluster's own objects; the corpus's store of Istio's resources knew no selectors. */
function discovered(
  objects: readonly MeshObject[],
  { discoverySelectors }: MeshConfig,
): readonly MeshObject[] {
  const kept: MeshObject[] = [];
  const filter = new NamespaceFilter({ apply: ({ set }) => kept.push(...set) }, discoverySelectors ?? []);
  const isOfIstio = ({ apiVersion }: MeshObject): boolean => apiVersion.includes('istio.io/');
  filter.apply({ set: objects.filter((object) => !isOfIstio(object)), remove: [], diagnostics: [] });
  return [...kept, ...objects.filter(isOfIstio)];
}

function readDocuments(file: string): readonly Document[] {
  if (!existsSync(file)) return [];
  return [...parseDocuments(readFileSync(file, 'utf8'), file)].flatMap(({ value }) => {
    const items = (value as { readonly items?: unknown } | undefined)?.items;
    return ((Array.isArray(items) ? items : [value]) as readonly Document[]).map(withTextName);
  });
}

/** The corpus was read by a reader that knows fields' types: a name that YAML 1.1 takes for a truth value became its text. */
function withTextName(document: Document): Document {
  const metadata = document['metadata'] as { readonly name?: unknown } | undefined;
  if (typeof metadata?.name !== 'boolean') return document;
  return { ...document, metadata: { ...metadata, name: String(metadata.name) } };
}

function needsOf(info: CaseJson, documents: readonly Document[]): readonly Capability[] {
  const groups = documents.map(({ apiVersion }) => String(apiVersion).split('/')[0]);
  const kinds = documents.map(({ kind }) => String(kind));
  const found: readonly (readonly [Capability, boolean])[] = [
    ['multicluster', info.clusters !== undefined],
    ['gateway-api', groups.includes('gateway.networking.k8s.io')],
    ['ambient', info.ambient === true],
    ['telemetry', kinds.includes('Telemetry')],
    [
      'security',
      kinds.some((kind) => /^(RequestAuthentication|AuthorizationPolicy|PeerAuthentication)$/.test(kind)),
    ],
  ];
  return found.filter(([, isNeeded]) => isNeeded).map(([capability]) => capability);
}

/** Id of the cluster that k8s.yaml is of, and of the proxies that name none. */
const MAIN_CLUSTER = 'Kubernetes';

function proxyFacts(descriptor: ProxyDescriptor): ProxyFacts {
  const { name, type, ip, namespace, proxyConfig = {}, labels = {} } = descriptor;
  const [region = '', zone = '', subzone = ''] = (descriptor.locality ?? '').split('/');
  const node = nodeToProxy({
    id: `${type}~${ip}~${name}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: '',
    metadata: {
      ISTIO_VERSION: PROXY_VERSION,
      NAME: name,
      NAMESPACE: namespace,
      LABELS: labels,
      SERVICE_ACCOUNT: descriptor.serviceAccount ?? '',
      CLUSTER_ID: MAIN_CLUSTER,
      ...descriptor.metadata,
      PROXY_CONFIG: proxyConfig as JsonObject,
    },
    locality: { region, zone, subzone },
    userAgent: '',
  });
  if (!node.ok) throw new Error(`${name}: ${node.error.text}`);
  return {
    ...node.value.proxy,
    ip,
    labels,
    serviceAccount: descriptor.serviceAccount ?? '',
    network: descriptor.network ?? '',
  };
}

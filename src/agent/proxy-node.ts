/**
 * Who this proxy is, in Envoy's words: node id, cluster, locality and metadata as Istio's agent sends them. The control plane
 * chooses everything that the proxy gets from these facts (on Kubernetes it trusts the Pod more). Pure: environment and
 * files arrive as values.
 * Source: Istio pkg/bootstrap/config.go GetNodeMetaData, getServiceCluster; pilot/pkg/model node metadata.
 */
import { parseDownwardFile } from './downward-file.ts';
import type { JsonObject, JsonValue } from './json-value.ts';
import { isObject, type ProxyConfig } from './proxy-config.ts';
import type { FoundSockets } from './secret-sockets.ts';

/** The node of the bootstrap. */
export interface ProxyNode {
  readonly id: string;
  readonly cluster: string;
  readonly locality?: Locality;
  readonly metadata: JsonObject;
}

/** Where the workload runs; a part that is not known is ''. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly sub_zone: string;
}

/** What the node is derived from. */
export interface NodeFacts {
  readonly kind: 'sidecar' | 'router';
  readonly addresses: readonly string[];
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** DNS suffix of the node id, `<namespace>.svc.cluster.local` by default. */
  readonly domain: string;
  readonly environment: ReadonlyMap<string, string>;
  readonly proxyConfig: ProxyConfig;
  readonly readinessPort: number;
  readonly prometheusPort: number;
  readonly version: string;
  /** Contents of the downward API files; undefined where there is none. */
  readonly labelsFile: string | undefined;
  readonly annotationsFile: string | undefined;
  readonly outlierLogPath: string | undefined;
  /** Where the agent answers DNS, `address:port`; undefined: nowhere. */
  readonly dnsAddress?: string;
  /** Envoy writes to the agent's own standard output, and cannot open a socket by the name /dev/stdout. */
  readonly stdoutIsSocket: boolean;
  /** Who hands out secrets beside the agent. */
  readonly sockets: FoundSockets;
}

const metaPrefix = 'ISTIO_META_';
const metaJsonPrefix = 'ISTIO_METAJSON_';
const localityLabel = 'istio-locality';

/** Builds the node. Malformed ISTIO_METAJSON_ values and files are left out. */
export function buildProxyNode(facts: NodeFacts): ProxyNode {
  const metadata = new Map<string, JsonValue>(readMetadataVariables(facts));
  const labels = joinLabels(facts, metadata);
  const locality = readLocality(labels);
  metadata.set('NAME', facts.name);
  metadata.set('NAMESPACE', facts.namespace);
  metadata.set('SERVICE_ACCOUNT', facts.serviceAccount);
  metadata.set('INSTANCE_IPS', [...new Set(facts.addresses)].join(','));
  metadata.set('LABELS', Object.fromEntries(labels));
  metadata.set('ANNOTATIONS', Object.fromEntries(joinAnnotations(facts, metadata)));
  metadata.set('PROXY_CONFIG', facts.proxyConfig.raw);
  metadata.set('ENVOY_STATUS_PORT', facts.readinessPort);
  metadata.set('ENVOY_PROMETHEUS_PORT', facts.prometheusPort);
  // The workload's facts are in Envoy's environment: the control plane need not write them into its configuration.
  metadata.set('LATEEN_ENVIRONMENT', 'true');
  metadata.set('PILOT_SAN', [facts.proxyConfig.discoveryAddress.replace(/:\d+$/, '')]);
  if (!metadata.has('ISTIO_VERSION')) metadata.set('ISTIO_VERSION', facts.version);
  if (facts.outlierLogPath !== undefined) metadata.set('OUTLIER_LOG_PATH', facts.outlierLogPath);
  if (facts.dnsAddress !== undefined) metadata.set('DNS_PROXY_ADDR', facts.dnsAddress);
  if (facts.stdoutIsSocket) metadata.set('LATEEN_STDOUT_IS_SOCKET', 'true');
  // Source: Istio pkg/security CredentialMetaDataName, CredentialFileMetaDataName.
  if (facts.sockets.credentials) metadata.set('credential', 'true');
  if (facts.sockets.workload) metadata.set('file-credential', 'true');
  const address = facts.addresses[0] ?? '127.0.0.1';
  return {
    id: `${facts.kind}~${address}~${facts.name}.${facts.namespace}~${facts.domain}`,
    cluster: nameCluster(facts, labels, metadata),
    ...(locality === undefined ? {} : { locality }),
    metadata: Object.fromEntries([...metadata].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** The pod's annotations as the agent sees them; the bootstrap's stats options come from there too. */
export function readAnnotations(facts: NodeFacts): ReadonlyMap<string, string> {
  return joinAnnotations(facts, new Map(readMetadataVariables(facts)));
}

/**
 * ISTIO_META_X is metadata X, from the mesh's proxyMetadata first and then from the environment. ISTIO_METAJSON_X holds an object
 * whose entries are metadata, except for LABELS and ANNOTATIONS, which are themselves the entry.
 */
function readMetadataVariables(facts: NodeFacts): [string, JsonValue][] {
  const metadata = new Map<string, JsonValue>();
  for (const [name, value] of [...facts.proxyConfig.proxyMetadata, ...facts.environment]) {
    if (name.startsWith(metaPrefix)) metadata.set(name.slice(metaPrefix.length), value);
  }
  for (const [name, value] of facts.environment) {
    if (!name.startsWith(metaJsonPrefix)) continue;
    const object = parseObject(value);
    if (object === undefined) continue;
    const key = name.slice(metaJsonPrefix.length);
    if (key === 'LABELS' || key === 'ANNOTATIONS') metadata.set(key, object);
    else for (const [entry, item] of Object.entries(object)) metadata.set(entry, item);
  }
  return [...metadata];
}

function joinLabels(facts: NodeFacts, metadata: ReadonlyMap<string, JsonValue>): Map<string, string> {
  const labels = textEntries(metadata.get('LABELS'));
  for (const [name, value] of parseDownwardFile(facts.labelsFile ?? '')) {
    if (name !== 'pod-template-hash') labels.set(name, value);
  }
  const locality = labels.get(localityLabel);
  if (locality !== undefined && !locality.includes('/'))
    labels.set(localityLabel, locality.replaceAll('.', '/'));
  return labels;
}

function joinAnnotations(facts: NodeFacts, metadata: ReadonlyMap<string, JsonValue>): Map<string, string> {
  const annotations = textEntries(metadata.get('ANNOTATIONS'));
  for (const [name, value] of parseDownwardFile(facts.annotationsFile ?? '')) annotations.set(name, value);
  return annotations;
}

function readLocality(labels: ReadonlyMap<string, string>): Locality | undefined {
  const [region = '', zone = '', sub_zone = ''] = (labels.get(localityLabel) ?? '').split('/');
  return region === '' ? undefined : { region, zone, sub_zone };
}

function nameCluster(
  facts: NodeFacts,
  labels: ReadonlyMap<string, string>,
  metadata: ReadonlyMap<string, JsonValue>,
): string {
  const workload = textOf(metadata.get('WORKLOAD_NAME'));
  const tracing = facts.proxyConfig.tracingServiceName;
  const given = facts.proxyConfig.raw['serviceCluster'] === undefined ? '' : facts.proxyConfig.serviceCluster;
  if (given === '' && tracing.startsWith('CANONICAL_NAME')) {
    const canonical = nameCanonicalService(labels, workload);
    return tracing === 'CANONICAL_NAME_ONLY' ? canonical : `${canonical}.${facts.namespace}`;
  }
  if (given !== '' && given !== 'istio-proxy') return given;
  return `${labels.get('app') ?? (workload === '' ? 'istio-proxy' : workload)}.${facts.namespace}`;
}

function nameCanonicalService(labels: ReadonlyMap<string, string>, workload: string): string {
  const named =
    labels.get('service.istio.io/canonical-name') ??
    labels.get('app.kubernetes.io/name') ??
    labels.get('app');
  return named ?? (workload === '' ? 'istio-proxy' : workload);
}

function textEntries(value: JsonValue | undefined): Map<string, string> {
  if (!isObject(value)) return new Map();
  return new Map(Object.entries(value).map(([name, entry]) => [name, textOf(entry)]));
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: JsonValue = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

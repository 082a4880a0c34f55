/**
 * What a replica's agent is started with: names of Istio's injection where there are any, so that the same agent runs in a pod. Each
 * agent works in a folder of its own; its sockets, token and root lie at the places below it that Istio's agent uses. Pure.
 */
import { Findings } from '#api/findings.ts';
import type { LocalWorkloadSpec } from '#api/local-workload.ts';
import { type MeshProxyConfig, type MeshProxyConfigPart, parseMeshProxyConfig } from '#api/mesh-config.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { PROXY_CONFIG_ANNOTATION } from '#api/proxy-config-merge.ts';
import { parseDocuments } from '#api/yaml-documents.ts';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import type { ReplicaAddresses } from './address-block.ts';

/** Where the agent finds its token and the mesh's root, relative to its folder. Source: Istio's agent. */
export const TOKEN_PATH = 'var/run/secrets/tokens/istio-token';
export const ROOT_CERT_PATH = 'var/run/secrets/istio/root-cert.pem';

/** The name that the control plane's certificate shows. */
const CONTROL_PLANE_NAME = 'istiod.istio-system.svc';
const CLUSTER_ID = 'Kubernetes';
const MERGE_ANNOTATION = 'prometheus.istio.io/merge-metrics';

/** What all agents of a mesh have in common. */
export interface AgentSurroundings {
  readonly envoyPath: string;
  /** `host:port` of TLS xDS and the CA. */
  readonly controlPlaneAddress: string;
  readonly trustDomain: string;
  readonly httpProxyPort: number;
}

/** One replica, as its agent must know it. */
export interface AgentReplica {
  readonly object: MeshObject<LocalWorkloadSpec>;
  readonly replica: number;
  readonly addresses: ReplicaAddresses;
  /** What applies to this workload, of mesh config, ProxyConfig objects and its annotation. */
  readonly proxyConfig: MeshProxyConfig;
  /** Whether the agent serves the application's metrics beside its own. */
  readonly mergesMetrics: boolean;
}

/** Arguments of pilot-agent. */
export function agentArguments(object: MeshObject<LocalWorkloadSpec>): readonly string[] {
  const kind = object.spec.type === 'gateway' ? 'router' : 'sidecar';
  return ['proxy', kind, '--domain', `${object.namespace}.svc.cluster.local`, '--proxyLogLevel', 'warning'];
}

/** The agent's environment but PATH; proxyMetadata may add variables, and changes none that the runner sets. */
export function agentEnvironment(
  around: AgentSurroundings,
  { object, replica, addresses, proxyConfig, mergesMetrics }: AgentReplica,
): ReadonlyMap<string, string> {
  const { name, namespace, spec } = object;
  const isGateway = spec.type === 'gateway';
  const started = {
    ...proxyConfig,
    discoveryAddress: around.controlPlaneAddress,
    binaryPath: around.envoyPath,
  };
  return new Map([
    ...ownVariables(proxyConfig),
    ['POD_NAME', `${name}-${replica}`],
    ['POD_NAMESPACE', namespace],
    // A gateway's listeners bind its first address; its other doors stay at the address of its own.
    ['INSTANCE_IP', isGateway ? spec.bind : addresses.proxy],
    ['SERVICE_ACCOUNT', spec.serviceAccount],
    ['TRUST_DOMAIN', around.trustDomain],
    ['ISTIOD_SAN', CONTROL_PLANE_NAME],
    ['CA_ADDR', around.controlPlaneAddress],
    ['PROXY_CONFIG', JSON.stringify(started)],
    ['LATEEN_LISTEN_ADDRESS', addresses.proxy],
    ['LATEEN_ADMIN_ADDRESS', addresses.proxy],
    ['LATEEN_APP_ADDRESS', addresses.app],
    // Everything is on this machine, modules of plugins too.
    ['LATEEN_ALLOWED_CIDRS_IN_WASM_FETCH', '127.0.0.0/8,::1/128'],
    ['ISTIO_META_CLUSTER_ID', CLUSTER_ID],
    ['ISTIO_META_WORKLOAD_NAME', name],
    ['ISTIO_META_INTERCEPTION_MODE', 'NONE'],
    ['ISTIO_META_HTTP_PROXY_PORT', String(around.httpProxyPort)],
    ['ISTIO_META_OUTBOUND_ADDRESS', isGateway ? spec.bind : addresses.outbound],
    ['ISTIO_METAJSON_LABELS', JSON.stringify(spec.labels)],
    ['ISTIO_METAJSON_ANNOTATIONS', JSON.stringify(spec.annotations)],
    ...(mergesMetrics ? applicationMetrics(spec.annotations) : []),
  ]);
}

/** Variables that proxyMetadata asks for, as injection sets them; what no process can be started with is left out. */
function ownVariables({ proxyMetadata = {} }: MeshProxyConfig): readonly (readonly [string, string])[] {
  return Object.entries(proxyMetadata).filter(
    ([name, value]) => /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name) && !value.includes('\0'),
  );
}

/** The workload's own word on merging metrics, else the mesh's. Source: istio pkg/kube/inject enablePrometheusMerge. */
export function mergesMetrics(
  annotations: LocalWorkloadSpec['annotations'],
  ofMesh: boolean | undefined,
): boolean {
  const own = annotations[MERGE_ANNOTATION];
  return own === 'true' || own === 'false' ? own === 'true' : (ofMesh ?? true);
}

/** Where the application serves metrics of its own, as injection passes it on. */
function applicationMetrics(
  annotations: LocalWorkloadSpec['annotations'],
): readonly (readonly [string, string])[] {
  const scrape = annotations['prometheus.io/scrape'];
  if (scrape !== 'true') return [];
  const path = annotations['prometheus.io/path'] ?? '/metrics';
  const port = annotations['prometheus.io/port'] ?? '80';
  return [['ISTIO_PROMETHEUS_ANNOTATIONS', JSON.stringify({ scrape, path, port })]];
}

/** The annotation proxy.istio.io/config: what of it can be used, and what is wrong with the rest. */
export function ownProxyConfig(annotations: LocalWorkloadSpec['annotations']): {
  readonly part: MeshProxyConfigPart;
  readonly problems: readonly string[];
} {
  const text = annotations[PROXY_CONFIG_ANNOTATION];
  if (text === undefined) return { part: {}, problems: [] };
  const [document] = parseDocuments(text, PROXY_CONFIG_ANNOTATION);
  const findings = new Findings();
  const part = parseMeshProxyConfig(document?.value ?? {}, '', findings) ?? {};
  const found = [...(document?.diagnostic === undefined ? [] : [document.diagnostic]), ...findings.all];
  return { part, problems: found.map((one) => `${PROXY_CONFIG_ANNOTATION}: ${printDiagnostic(one)}`) };
}

/**
 * What a replica's agent is started with: names of Istio's injection where there are any, so that the same agent runs in a pod. Each
 * agent works in a folder of its own; its sockets, token and root lie at the places below it that Istio's agent uses. Pure.
 */
import type { LocalWorkloadSpec } from '#api/local-workload.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { ReplicaAddresses } from './address-block.ts';

/** Where the agent finds its token and the mesh's root, relative to its folder. Source: Istio's agent. */
export const TOKEN_PATH = 'var/run/secrets/tokens/istio-token';
export const ROOT_CERT_PATH = 'var/run/secrets/istio/root-cert.pem';

/** The name that the control plane's certificate shows. */
const CONTROL_PLANE_NAME = 'istiod.istio-system.svc';
const CLUSTER_ID = 'Kubernetes';
const UNKNOWN = 'unknown';

/** What all agents of a mesh have in common. */
export interface AgentSurroundings {
  readonly envoyPath: string;
  /** `host:port` of TLS xDS and the CA. */
  readonly controlPlaneAddress: string;
  readonly trustDomain: string;
  readonly httpProxyPort: number;
  /** mesh config's defaultConfig. */
  readonly proxyConfig: Readonly<Record<string, unknown>>;
}

/** One replica, as its agent must know it. */
export interface AgentReplica {
  readonly object: MeshObject<LocalWorkloadSpec>;
  readonly replica: number;
  readonly addresses: ReplicaAddresses;
}

/** Arguments of pilot-agent. */
export function agentArguments(object: MeshObject<LocalWorkloadSpec>): readonly string[] {
  const kind = object.spec.type === 'gateway' ? 'router' : 'sidecar';
  return ['proxy', kind, '--domain', `${object.namespace}.svc.cluster.local`, '--proxyLogLevel', 'warning'];
}

/** The agent's environment but PATH. */
export function agentEnvironment(
  around: AgentSurroundings,
  { object, replica, addresses }: AgentReplica,
): ReadonlyMap<string, string> {
  const { name, namespace, spec } = object;
  const isGateway = spec.type === 'gateway';
  return new Map([
    ['POD_NAME', `${name}-${replica}`],
    ['POD_NAMESPACE', namespace],
    // A gateway's listeners bind its first address; its other doors stay at the address of its own.
    ['INSTANCE_IP', isGateway ? spec.bind : addresses.proxy],
    ['SERVICE_ACCOUNT', spec.serviceAccount],
    ['TRUST_DOMAIN', around.trustDomain],
    ['ISTIOD_SAN', CONTROL_PLANE_NAME],
    ['CA_ADDR', around.controlPlaneAddress],
    ['PROXY_CONFIG', JSON.stringify(proxyConfig(around))],
    ['LATEEN_LISTEN_ADDRESS', addresses.proxy],
    ['LATEEN_ADMIN_ADDRESS', addresses.proxy],
    ['LATEEN_APP_ADDRESS', addresses.app],
    ['ISTIO_META_CLUSTER_ID', CLUSTER_ID],
    ['ISTIO_META_WORKLOAD_NAME', name],
    ['ISTIO_META_INTERCEPTION_MODE', 'NONE'],
    ['ISTIO_META_HTTP_PROXY_PORT', String(around.httpProxyPort)],
    ['ISTIO_META_OUTBOUND_ADDRESS', isGateway ? spec.bind : addresses.outbound],
    ['ISTIO_METAJSON_LABELS', JSON.stringify(spec.labels)],
    ['ISTIO_METAJSON_ANNOTATIONS', JSON.stringify(spec.annotations)],
    ...telemetryNames(around, object),
    ...applicationMetrics(spec.annotations),
  ]);
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

/** What Envoy's metrics and logs call this workload. */
function telemetryNames(
  around: AgentSurroundings,
  { name, namespace, spec }: MeshObject<LocalWorkloadSpec>,
): readonly (readonly [string, string])[] {
  const labels = new Map(Object.entries(spec.labels));
  const first = (...keys: string[]): string | undefined => keys.map((key) => labels.get(key)).find(Boolean);
  const app = first('app', 'app.kubernetes.io/name');
  const version = first('version', 'app.kubernetes.io/version');
  return [
    ['LATEEN_WORKLOAD', name],
    ['LATEEN_NAMESPACE', namespace],
    ['LATEEN_APP', first('app') ?? UNKNOWN],
    ['LATEEN_VERSION', first('version') ?? UNKNOWN],
    ['LATEEN_CANONICAL_SERVICE', first('service.istio.io/canonical-name') ?? app ?? name],
    ['LATEEN_CANONICAL_REVISION', first('service.istio.io/canonical-revision') ?? version ?? 'latest'],
    ['LATEEN_CLUSTER', CLUSTER_ID],
    ['LATEEN_PRINCIPAL', `spiffe://${around.trustDomain}/ns/${namespace}/sa/${spec.serviceAccount}`],
  ];
}

function proxyConfig(around: AgentSurroundings): Readonly<Record<string, unknown>> {
  return {
    concurrency: 1,
    terminationDrainDuration: '1s',
    ...around.proxyConfig,
    discoveryAddress: around.controlPlaneAddress,
    binaryPath: around.envoyPath,
  };
}

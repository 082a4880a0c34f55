/**
 * What would happen to each workload if it took mutual TLS only: its mode now, port by port, and the rules that make clients
 * call it otherwise. Who has really called in plain text, metrics say; whoever asks puts the two together.
 * Answers one question of a person: costs a walk over all workloads and over the rules that set TLS.
 */
import { compareBytes } from '#base/bytes-order.ts';
import type { Cause } from '#base/cause.ts';
import type { ObjectRef } from '#base/object-ref.ts';
import { READ_NOW } from '#collections/read-now.ts';
import type { Workload } from '#model/endpoint.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { type MutualTlsMode, mutualTlsFor, portMode } from '#model/peer-authentication.ts';
import { isSubsetHost, isWildcardHost } from '#model/service-hostname.ts';
import type { ServiceModel } from '#model/service-model.ts';
import { clientTlsAtServers, type TlsConflictSources } from '#xds/tls/mutual-tls-conflicts.ts';

/** What the answer is made from. */
export interface ReadinessSources extends TlsConflictSources {
  readonly serviceModel: TlsConflictSources['serviceModel'] & Pick<ServiceModel, 'workloads'>;
}

/** One workload port. */
export interface PortMode {
  readonly port: number;
  readonly mode: MutualTlsMode;
}

/** A rule by which clients call without the mesh's certificate. */
export interface PlainClientRule {
  readonly rule: Cause;
  readonly host: string;
  readonly port: number;
  readonly mode: string;
}

/** One workload, all its replicas together. */
export interface WorkloadMutualTls {
  readonly workload: string;
  readonly namespace: string;
  /** False: nobody speaks mutual TLS for it, whatever policies say. */
  readonly hasSidecar: boolean;
  /** Mode of ports that have none of their own; DISABLE without a sidecar. */
  readonly mode: MutualTlsMode;
  /** Ports that services lead to, or policies name; by number. */
  readonly ports: readonly PortMode[];
  /** The policies that decide, from the mesh's to the workload's. */
  readonly policies: readonly ObjectRef[];
  readonly plainClients: readonly PlainClientRule[];
}

/** All workloads that serve the mesh, by namespace and name; gateways are not among them. */
export function mutualTlsOfWorkloads(sources: ReadinessSources): readonly WorkloadMutualTls[] {
  const byName = new Map<string, Workload>();
  for (const workload of sources.serviceModel.workloads.all().values()) {
    const key = `${workload.namespace}/${workload.workloadName}`;
    if (!isGateway(workload) && !byName.has(key)) byName.set(key, workload);
  }
  const served = servedPorts(sources);
  const plain = plainClients(sources);
  const rootNamespace = sources.facts.get(MESH_KEY)?.rootNamespace ?? 'istio-system';
  return [...byName]
    .sort(([a], [b]) => compareBytes(a, b))
    .map(([key, workload]): WorkloadMutualTls => {
      const { workloadName, namespace, tlsMode } = workload;
      const hasSidecar = tlsMode === 'istio';
      const decided = mutualTlsFor(READ_NOW, sources.peerAuthentication, rootNamespace, workload);
      const { settings } = decided;
      const ports = new Set([...(served.get(key) ?? []), ...Object.keys(settings.ports).map(Number)]);
      return {
        workload: workloadName,
        namespace,
        hasSidecar,
        mode: hasSidecar ? settings.mode : 'DISABLE',
        ports: [...ports]
          .sort((a, b) => a - b)
          .map((port) => ({ port, mode: hasSidecar ? portMode(settings, port) : 'DISABLE' })),
        policies: decided.causes.map(({ kind, namespace: of, name }) => ({ kind, namespace: of, name })),
        plainClients: plain.get(key) ?? [],
      };
    });
}

/** On one machine only gateways stand for themselves: every other workload has a sidecar. */
function isGateway({ source, tlsMode }: Workload): boolean {
  return source === 'LocalWorkload' && tlsMode === 'disabled';
}

function servedPorts({ serviceModel }: ReadinessSources): ReadonlyMap<string, ReadonlySet<number>> {
  const ports = new Map<string, Set<number>>();
  for (const { endpoints } of serviceModel.endpoints.all().values()) {
    for (const { namespace, workloadName, port } of endpoints) {
      const key = `${namespace}/${workloadName}`;
      ports.set(key, (ports.get(key) ?? new Set()).add(port));
    }
  }
  return ports;
}

function plainClients(sources: ReadinessSources): ReadonlyMap<string, readonly PlainClientRule[]> {
  const { serviceModel, destinationRules } = sources;
  const found = new Map<string, Map<string, PlainClientRule>>();
  for (const rules of destinationRules.hostRules.all().values()) {
    const services = isWildcardHost(rules.host)
      ? [...serviceModel.services.all().values()].filter(({ hostname }) => isSubsetHost(hostname, rules.host))
      : [...serviceModel.servicesByHostname.bucket(rules.host).values()];
    for (const { cause, endpoint, ...rest } of clientTlsAtServers(READ_NOW, sources, rules, services)) {
      if (rest.mode !== 'DISABLE' && rest.mode !== 'SIMPLE') continue;
      const key = `${endpoint.namespace}/${endpoint.workloadName}`;
      const own = found.get(key) ?? new Map<string, PlainClientRule>();
      own.set(JSON.stringify([cause, rest]), { rule: cause, ...rest });
      found.set(key, own);
    }
  }
  return new Map([...found].map(([key, rules]) => [key, [...rules.values()]]));
}

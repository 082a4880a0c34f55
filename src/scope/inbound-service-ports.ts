/** The workload ports that services lead to, as a sidecar serves them. Source: istio listener_inbound.go getFilterChainsByServicePort. */
import type { ConnectionPoolSettings } from '#api/destination-rule.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarSpec } from '#api/sidecar.ts';
import { type MutualTlsSettings, portMode } from '#model/peer-authentication.ts';
import type { Proxy } from '#model/proxy.ts';
import { telemetryName } from '#model/service.ts';
import type { ProxyWorkload, ServiceTarget } from '#model/service-target.ts';
import { statName } from '#model/stat-name.ts';
import type { InboundDestination, InboundPort, InboundService, ServedPorts } from './inbound.ts';
import type { ListenerFacts } from './listener-facts.ts';
import type { DestinationPolicy } from './outbound-host.ts';

/** What the inbound ports of a proxy are found from. */
export interface InboundRequest {
  readonly proxy: Proxy;
  readonly facts: ListenerFacts;
  readonly settings: MutualTlsSettings;
  readonly workload: ProxyWorkload;
  /** The Sidecar object that applies. */
  readonly sidecar: MeshObject<SidecarSpec> | undefined;
  /** The DestinationRule for a host, as the proxy sees it. */
  readonly policyOf: (hostname: string) => DestinationPolicy | undefined;
}

const FIRST_UNPRIVILEGED_PORT = 1_024;

/** One entry per workload port; where services disagree on the protocol the oldest service wins, then the first by name. */
export function servicePorts(request: InboundRequest, isWanted: (port: number) => boolean): ServedPorts {
  const { workload } = request;
  const ordered = workload.targets.toSorted((a, b) => a.service.createdAtMs - b.service.createdAtMs);
  const byPort = new Map<number, ServiceTarget[]>();
  for (const target of ordered) {
    const { targetPort } = target;
    if (!isWanted(targetPort) || !canServe(request, targetPort)) continue;
    const list = byPort.get(targetPort);
    if (list === undefined) byPort.set(targetPort, [target]);
    else list.push(target);
  }
  const ports = [...byPort].sort((a, b) => a[0] - b[0]);
  return {
    ports: ports.flatMap(([port, targets]) => {
      const [first] = targets;
      return first === undefined ? [] : [servedPort(request, port, first, targets)];
    }),
    causes: workload.targets.map((target) => target.service.cause),
  };
}

/** Source: istio Proxy.CanBindToPort. */
function canServe({ proxy, facts }: InboundRequest, port: number): boolean {
  const isBound = proxy.interceptionMode === 'NONE';
  if (isBound && facts.unprivileged && port < FIRST_UNPRIVILEGED_PORT) return false;
  return ![facts.outboundPort, facts.inboundPort, ...facts.reservedPorts].includes(port);
}

function servedPort(
  request: InboundRequest,
  port: number,
  first: ServiceTarget,
  targets: readonly ServiceTarget[],
): InboundPort {
  const { proxy, facts } = request;
  const isBound = proxy.interceptionMode === 'NONE';
  const any = facts.ipFamilies === 'v6' ? '::' : '0.0.0.0';
  const services = targets.map(serviceOf);
  return {
    port,
    destination: serviceDestination(request, port),
    servicePort: first.port.number,
    statName: statName(facts.inboundStatName, {
      service: serviceOf(first),
      subset: '',
      targetPort: port,
      port: first.port,
    }),
    protocol: first.port.protocol,
    mode: portMode(request.settings, port),
    bind: isBound ? (proxy.addresses[0] ?? any) : any,
    isBound,
    hostname: first.service.hostname,
    services: services.filter(({ host }, i) => services.findIndex((one) => one.host === host) === i),
    tls: undefined,
    connectionPool: connectionPoolOf(request, port, first.service.hostname, first.port.number),
  };
}

/** A service as readers of metrics know it. */
export function serviceOf({ service }: ServiceTarget): InboundService {
  return { host: service.hostname, name: telemetryName(service), namespace: service.namespace };
}

function serviceDestination({ workload, facts }: InboundRequest, port: number): InboundDestination {
  const { appAddress, appPorts } = workload;
  if (appAddress !== '')
    return { kind: 'address', address: appAddress, port: appPorts[String(port)] ?? port };
  if (!facts.inboundLocalhost) return { kind: 'original' };
  return { kind: 'address', address: localhostOf(facts), port };
}

/** The application's loopback address. */
export function localhostOf({ ipFamilies }: ListenerFacts): string {
  return ipFamilies === 'v6' ? '::1' : '127.0.0.1';
}

/**
 * Limits for a port: the Sidecar's word for the port, its word for all, then the DestinationRule of the service; rules that are for
 * some clients only say nothing of servers. Source: istio SidecarScope.InboundConnectionPoolForPort, buildInboundCluster.
 */
export function connectionPoolOf(
  { sidecar, policyOf }: InboundRequest,
  port: number,
  hostname: string,
  servicePort: number,
): ConnectionPoolSettings | undefined {
  const own = sidecar?.spec.ingress?.find((listener) => listener.port?.number === port)?.connectionPool;
  const ofSidecar = own ?? sidecar?.spec.inboundConnectionPool;
  if (ofSidecar !== undefined) return ofSidecar;
  const policy = policyOf(hostname);
  if (policy === undefined || policy.clientSelector !== undefined) return undefined;
  const { portLevelSettings = [], connectionPool } = policy.trafficPolicy ?? {};
  const ofPort = portLevelSettings.find((settings) => settings.port?.number === servicePort);
  return ofPort === undefined ? connectionPool : ofPort.connectionPool;
}

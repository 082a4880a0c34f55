/**
 * The ingress listeners of a Sidecar object as a sidecar serves them: where each listens, and where its connections go.
 * Source: istio listener_inbound.go buildInboundChainConfigs, cluster.go buildInboundClustersFromSidecar.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarIngressListener, SidecarSpec } from '#api/sidecar.ts';
import { isIpv4, isIpv6 } from '#base/cidr.ts';
import type { Cause } from '#base/cause.ts';
import { portMode } from '#model/peer-authentication.ts';
import type { Protocol } from '#model/service.ts';
import { isHttp, parseProtocol } from '#model/service-protocol.ts';
import { statName } from '#model/stat-name.ts';
import type { InboundDestination, InboundPort, ServedPorts } from './inbound.ts';
import { connectionPoolOf, type InboundRequest, localhostOf, serviceOf } from './inbound-service-ports.ts';

const UNIX_PREFIX = 'unix://';
const FIRST_UNPRIVILEGED_PORT = 1_024;

/** The ports by number; of two listeners with one port the first counts. */
export function ingressPorts(request: InboundRequest, sidecar: MeshObject<SidecarSpec>): ServedPorts {
  const byPort = new Map<number, InboundPort>();
  const causes: Cause[] = [];
  (sidecar.spec.ingress ?? []).forEach((listener, i) => {
    const port = listener.port?.number ?? 0;
    const served = byPort.has(port) ? undefined : ingressPort(request, sidecar, listener);
    if (served === undefined) return;
    byPort.set(port, served);
    const { namespace, name } = sidecar;
    causes.push({ kind: 'Sidecar', namespace, name, path: `spec.ingress[${i}]` });
  });
  return { ports: [...byPort.values()].sort((a, b) => a.port - b.port), causes };
}

/** Undefined where the proxy cannot listen there, or the endpoint cannot be read. */
function ingressPort(
  request: InboundRequest,
  sidecar: MeshObject<SidecarSpec>,
  listener: SidecarIngressListener,
): InboundPort | undefined {
  const { proxy, facts, workload, settings } = request;
  const port = listener.port?.number ?? 0;
  const declared = parseProtocol(listener.port?.protocol ?? '');
  const captureMode = listener.captureMode ?? 'DEFAULT';
  const isBound = captureMode === 'DEFAULT' ? proxy.interceptionMode === 'NONE' : captureMode === 'NONE';
  const destination = endpointOf(request, listener);
  if (destination === undefined || !canListen(request, listener, declared, isBound)) return undefined;
  const behind = workload.targets.find(({ targetPort }) => targetPort === port);
  const hostname = `${sidecar.name}.${proxy.namespace}`;
  const service =
    behind === undefined
      ? { host: hostname, name: sidecar.name, namespace: proxy.namespace }
      : serviceOf(behind);
  const tls = facts.flags.tlsOnSidecarIngress ? listener.tls : undefined;
  return {
    port,
    destination,
    servicePort: port,
    statName: statName(facts.inboundStatName, {
      service,
      subset: '',
      targetPort: port,
      port: { number: port, name: listener.port?.name ?? '' },
    }),
    protocol: tls === undefined ? declared : afterTermination(declared),
    mode: portMode(settings, port),
    bind: listener.bind || instanceAddress(request),
    isBound,
    hostname,
    services: [service],
    tls,
    connectionPool: connectionPoolOf(request, port, behind?.service.hostname ?? hostname, port),
  };
}

function afterTermination(protocol: Protocol): Protocol {
  if (protocol === 'HTTPS') return 'HTTP';
  return protocol === 'TLS' ? 'TCP' : protocol;
}

/** Source: istio Proxy.CanBindToPort, without the listeners for captured traffic. */
function canListen(
  { facts }: InboundRequest,
  { port, bind = '' }: SidecarIngressListener,
  protocol: Protocol,
  isBound: boolean,
): boolean {
  const number = port?.number ?? 0;
  if (isBound && facts.unprivileged && number < FIRST_UNPRIVILEGED_PORT) return false;
  const any = facts.ipFamilies === 'v6' ? '::' : '0.0.0.0';
  const isAnywhere = bind === '' ? isHttp(protocol) : bind === any;
  return !(isAnywhere && facts.reservedPorts.includes(number));
}

/** The first address that others can reach; loopback and link-local ones are none. */
function instanceAddress({ proxy, facts }: InboundRequest): string {
  if (facts.onOneMachine) return proxy.addresses[0] ?? '0.0.0.0';
  const any = facts.ipFamilies === 'v6' ? '::' : '0.0.0.0';
  return proxy.addresses.find(isGlobalUnicast) ?? any;
}

function isGlobalUnicast(address: string): boolean {
  if (isIpv4(address))
    return !/^(?:127\.|169\.254\.|0\.0\.0\.0$|255\.255\.255\.255$|2(?:2[4-9]|3\d)\.)/.test(address);
  return !/^(?:::1?$|fe[89ab]|ff)/i.test(address);
}

/**
 * defaultEndpoint: where the application listens. Without one connections go to where they were going; on one machine the
 * application's own address stands for the loopback and the instance.
 */
function endpointOf(
  { proxy, facts, workload }: InboundRequest,
  { defaultEndpoint = '', port: own }: SidecarIngressListener,
): InboundDestination | undefined {
  const { appAddress, appPorts } = workload;
  const appPort = (port: number): number => appPorts[String(port)] ?? port;
  if (defaultEndpoint.startsWith(UNIX_PREFIX))
    return { kind: 'socket', path: defaultEndpoint.slice(UNIX_PREFIX.length) };
  if (defaultEndpoint === '') {
    if (appAddress === '') return { kind: 'original' };
    return { kind: 'address', address: appAddress, port: appPort(own?.number ?? 0) };
  }
  const [, v6, v4, port] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(defaultEndpoint) ?? [];
  const host = v6 ?? v4;
  if (host === undefined || port === undefined) return undefined;
  const number = Number(port);
  if (appAddress !== '') return { kind: 'address', address: appAddress, port: appPort(number) };
  if (host === '0.0.0.0') return at(proxy.addresses.find(isIpv4) ?? '127.0.0.1', number);
  if (host === '::') return at(proxy.addresses.find(isIpv6) ?? '::1', number);
  if (host === '127.0.0.1') return at(localhostOf(facts), number);
  if (host === '::1') return at(facts.ipFamilies === 'v4' ? '127.0.0.1' : '::1', number);
  return { kind: 'original' };
}

function at(address: string, port: number): InboundDestination {
  return { kind: 'address', address, port };
}

/**
 * Kubernetes Service: the fields that a mesh reads, with the API server's defaults filled in.
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import { Findings, show } from './findings.ts';
import type { JsonObject } from './json-scalar.ts';
import type { MeshObject } from './mesh-object.ts';
import { isDnsLabel } from './name-rules.ts';
import {
  boolean,
  emptyMap,
  field,
  integer,
  list,
  object,
  oneOf,
  optional,
  port,
  type Read,
  text,
  textMap,
} from './shape-decode.ts';

/** One entry of spec.ports; protocol defaults to TCP, targetPort to `port`. */
export interface ServicePortSpec {
  /** '' when unnamed (allowed for a single port). */
  readonly name: string;
  readonly port: number;
  /** Number, or name of a container port to look up per endpoint. */
  readonly targetPort: number | string;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  /** Application protocol, '' when unset; wins over the name's prefix. */
  readonly appProtocol: string;
  /** 0 when unset. */
  readonly nodePort: number;
}

/** One entry of status.loadBalancer.ingress. */
export interface LoadBalancerIngress {
  readonly ip?: string;
  readonly hostname?: string;
}

/** spec of a Service, and from its status the load balancer's addresses. */
export interface ServiceSpec {
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  readonly ports: readonly ServicePortSpec[];
  readonly selector: Readonly<Record<string, string>>;
  /** '' when not allocated (a file on one machine), 'None' for a headless service. */
  readonly clusterIP: string;
  /** All cluster addresses, the first one equal to clusterIP; empty when not allocated, ['None'] when headless. */
  readonly clusterIPs: readonly string[];
  readonly externalIPs: readonly string[];
  /** '' unless type is ExternalName. */
  readonly externalName: string;
  readonly ipFamilies: readonly ('IPv4' | 'IPv6')[];
  readonly publishNotReadyAddresses: boolean;
  readonly sessionAffinity: 'None' | 'ClientIP';
  /** Session stickiness in seconds; 10800 when sessionAffinity is ClientIP and nothing is set, 0 for None. */
  readonly sessionAffinityTimeoutSeconds: number;
  readonly internalTrafficPolicy: 'Cluster' | 'Local';
  readonly externalTrafficPolicy: '' | 'Cluster' | 'Local';
  /** PreferClose, PreferSameZone, PreferSameNode, or '' when unset. */
  readonly trafficDistribution: string;
  /** From status.loadBalancer.ingress. */
  readonly loadBalancerIngress: readonly LoadBalancerIngress[];
}

interface RawService {
  readonly type: ServiceSpec['type'];
  readonly ports: readonly RawPort[];
  readonly selector: Readonly<Record<string, string>>;
  readonly clusterIP: string;
  readonly clusterIPs: readonly string[];
  readonly externalIPs: readonly string[];
  readonly externalName: string;
  readonly ipFamilies: ServiceSpec['ipFamilies'];
  readonly publishNotReadyAddresses: boolean;
  readonly sessionAffinity: ServiceSpec['sessionAffinity'];
  readonly sessionAffinityConfig?: { readonly clientIP?: { readonly timeoutSeconds?: number } };
  readonly internalTrafficPolicy: ServiceSpec['internalTrafficPolicy'];
  readonly externalTrafficPolicy: ServiceSpec['externalTrafficPolicy'];
  readonly trafficDistribution: string;
}

interface RawPort {
  readonly name: string;
  readonly port?: number;
  readonly targetPort?: number | string;
  readonly protocol: ServicePortSpec['protocol'];
  readonly appProtocol: string;
  readonly nodePort: number;
}

const STRICT = { unknown: 'refuse' } as const;
const DEFAULT_AFFINITY_SECONDS = 10_800;
const MAX_AFFINITY_SECONDS = 86_400;

/** A port number or the name of a container port. */
const readTargetPort: Read<number | string> = (value, path, findings) => {
  if (typeof value === 'number') return port(value, path, findings);
  if (typeof value === 'string' && /^(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$/.test(value))
    return value;
  findings.add('LTN3004', path, { value: show(value) });
  return undefined;
};

const readPort = object<RawPort>(
  {
    name: field(text, ''),
    port: optional(port),
    targetPort: optional(readTargetPort),
    protocol: field(oneOf('TCP', 'UDP', 'SCTP'), 'TCP'),
    appProtocol: field(text, ''),
    nodePort: field(integer(0, 65535), 0),
  },
  STRICT,
);

const readSpec = object<RawService>(
  {
    type: field(oneOf('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'), 'ClusterIP'),
    ports: field(list(readPort), []),
    selector: field(textMap, emptyMap()),
    clusterIP: field(text, ''),
    clusterIPs: field(list(text), []),
    externalIPs: field(list(text), []),
    externalName: field(text, ''),
    ipFamilies: field(list(oneOf('IPv4', 'IPv6')), []),
    publishNotReadyAddresses: field(boolean, false),
    sessionAffinity: field(oneOf('None', 'ClientIP'), 'None'),
    sessionAffinityConfig: optional(
      object(
        {
          clientIP: optional(
            object({ timeoutSeconds: optional(integer(1, MAX_AFFINITY_SECONDS)) }, STRICT) as Read<{
              timeoutSeconds?: number;
            }>,
          ),
        },
        STRICT,
      ) as Read<{ clientIP?: { timeoutSeconds?: number } }>,
    ),
    internalTrafficPolicy: field(oneOf('Cluster', 'Local'), 'Cluster'),
    externalTrafficPolicy: field(oneOf('', 'Cluster', 'Local'), ''),
    trafficDistribution: field(text, ''),
  },
  {
    unknown: 'refuse',
    accept: [
      'allocateLoadBalancerNodePorts',
      'healthCheckNodePort',
      'ipFamilyPolicy',
      'loadBalancerClass',
      'loadBalancerIP',
      'loadBalancerSourceRanges',
    ],
  },
);

const readStatus = object<{ loadBalancer?: { ingress: readonly LoadBalancerIngress[] } }>(
  {
    loadBalancer: optional(
      object(
        {
          ingress: field(
            list(
              object<LoadBalancerIngress>(
                { ip: optional(text), hostname: optional(text) },
                { unknown: 'ignore' },
              ),
            ),
            [],
          ),
        },
        { unknown: 'ignore' },
      ) as Read<{ ingress: readonly LoadBalancerIngress[] }>,
    ),
  },
  { unknown: 'ignore' },
);

/** Reads spec and status of a Service. */
export function decodeServiceSpec(root: JsonObject, findings: Findings): ServiceSpec | undefined {
  const raw = readSpec(root['spec'] ?? {}, 'spec', findings);
  if (raw === undefined) return undefined;
  const status = readStatus(root['status'] ?? {}, 'status', new Findings());
  const { sessionAffinityConfig, clusterIP, clusterIPs, ports, ...rest } = raw;
  const addresses = clusterIPs.length > 0 ? clusterIPs : [clusterIP].filter((address) => address !== '');
  const affinitySeconds = sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS;
  return {
    ...rest,
    ports: ports.map((item, index) => completePort(item, `spec.ports[${index}]`, findings)),
    clusterIP: addresses[0] ?? '',
    clusterIPs: addresses,
    sessionAffinityTimeoutSeconds: raw.sessionAffinity === 'ClientIP' ? affinitySeconds : 0,
    loadBalancerIngress: status?.loadBalancer?.ingress ?? [],
  };
}

function completePort(raw: RawPort, path: string, findings: Findings): ServicePortSpec {
  if (raw.port === undefined) findings.missing(path, 'port', 'port: 80');
  const { port: number = 0, targetPort = number, ...rest } = raw;
  return { ...rest, port: number, targetPort };
}

/** The root fields of a Service as Kubernetes has them: the inverse of decodeServiceSpec. */
export function encodeServiceSpec(spec: ServiceSpec): JsonObject {
  const { sessionAffinityTimeoutSeconds, loadBalancerIngress, ...rest } = spec;
  const affinity =
    spec.sessionAffinity === 'ClientIP'
      ? { sessionAffinityConfig: { clientIP: { timeoutSeconds: sessionAffinityTimeoutSeconds } } }
      : {};
  const ports = spec.ports.map(({ nodePort, ...item }) => (nodePort === 0 ? item : { ...item, nodePort }));
  const status =
    loadBalancerIngress.length === 0 ? {} : { status: { loadBalancer: { ingress: loadBalancerIngress } } };
  return { spec: { ...rest, ...affinity, ports }, ...status };
}

/** Findings about a Service beyond its schema, as the API server makes them. */
export function validateService(service: MeshObject<ServiceSpec>): Diagnostic[] {
  const findings = new Findings(service);
  const { spec } = service;
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, item] of spec.ports.entries()) {
    const path = `spec.ports[${index}]`;
    if (item.name === '' && spec.ports.length > 1) findings.add('LTN3001', path);
    if (item.name !== '' && !isDnsLabel(item.name))
      findings.add('LTN2012', `${path}.name`, { name: show(item.name) });
    if (item.name !== '' && names.has(item.name)) {
      findings.add('LTN2014', `${path}.name`, { what: 'the port name', value: item.name });
    }
    names.add(item.name);
    const key = `${item.port}/${item.protocol}`;
    if (numbers.has(key)) findings.add('LTN2014', `${path}.port`, { what: 'the port', value: key });
    numbers.add(key);
  }
  if (spec.type === 'ExternalName') {
    if (spec.externalName === '') findings.add('LTN3002', 'spec');
  } else if (spec.ports.length === 0 && spec.clusterIP !== 'None') findings.add('LTN3003', 'spec');
  return findings.all;
}

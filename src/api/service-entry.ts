/**
 * ServiceEntry: a service that no Kubernetes Service describes.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import type {
  ServiceEntryJson,
  ServiceEntry_LocationJson,
  ServiceEntry_ResolutionJson,
  ServicePortJson,
} from '#proto/istio/networking/v1alpha3/service_entry_pb.ts';
import {
  checkAddressOrCidr,
  checkExportTo,
  checkMatchLabels,
  checkPort,
  checkPortName,
  checkProtocol,
  checkSelectorLabels,
} from './field-rules.ts';
import { Findings, show } from './findings.ts';
import { hostProblem, isPartialWildcard, wildcardHostProblem } from './host-rules.ts';
import type { MeshObject } from './mesh-object.ts';
import { isHttp, isTcp, isTls, type ProtocolName, parseProtocol } from './protocol.ts';
import { checkEndpointAddress, checkEndpointPorts, checkWorkloadEntry } from './workload-entry.ts';

/** spec of a ServiceEntry. */
export type ServiceEntrySpec = ServiceEntryJson;
/** One entry of spec.ports. */
export type ServiceEntryPort = ServicePortJson;
/** Whether the service is part of the mesh; absent means MESH_EXTERNAL. */
export type ServiceEntryLocation = ServiceEntry_LocationJson;
/** How addresses are found; absent means NONE. */
export type ServiceEntryResolution = ServiceEntry_ResolutionJson;

const AUTO_ALLOCATE_LABEL = 'networking.istio.io/enable-autoallocate-ip';
const WAYPOINT_LABEL = 'istio.io/use-waypoint';
const DYNAMIC_DNS_PROTOCOLS: ReadonlySet<ProtocolName | undefined> = new Set([
  'HTTP',
  'TLS',
  'GRPC',
  'HTTP2',
]);

type ServiceEntryObject = MeshObject<ServiceEntrySpec>;

/** Findings about a ServiceEntry beyond its schema. Source: istio pkg/config/validation ValidateServiceEntry. */
export function validateServiceEntry(object: ServiceEntryObject): Diagnostic[] {
  const findings = new Findings(object);
  const { spec } = object;
  if (spec.workloadSelector !== undefined) {
    checkSelectorLabels(spec.workloadSelector.labels, 'spec.workloadSelector', findings);
    if ((spec.endpoints ?? []).length > 0) {
      findings.add('LTN2038', 'spec', { field: 'workloadSelector', other: 'endpoints' });
    }
  }
  checkHosts(spec, findings);
  checkAddresses(spec, findings);
  checkPorts(object, findings);
  checkResolution(object, findings);
  checkSharedPorts(spec, findings);
  checkExportTo(spec.exportTo, { namespace: object.namespace, allowNobody: true }, 'spec.exportTo', findings);
  return findings.all;
}

/** True when the control plane gives the ServiceEntry virtual addresses. Source: serviceentry ShouldV2AutoAllocateIP. */
export function allocatesAddresses(object: ServiceEntryObject): boolean {
  const optedOut = (object.labels[AUTO_ALLOCATE_LABEL] ?? '').toLowerCase() === 'false';
  const hasOwn = (object.spec.addresses ?? []).length > 0;
  return resolutionOf(object.spec) !== 'NONE' && !optedOut && !hasOwn;
}

function resolutionOf(spec: ServiceEntrySpec): ServiceEntryResolution {
  return spec.resolution ?? 'NONE';
}

function checkHosts(spec: ServiceEntrySpec, findings: Findings): void {
  const hosts = spec.hosts ?? [];
  if (hosts.length === 0) findings.missing('spec', 'hosts', 'hosts: [api.example.com]');
  for (const [index, host] of hosts.entries()) {
    const path = `spec.hosts[${index}]`;
    const problem = host === '*' ? 'it names every host' : wildcardHostProblem(host);
    if (problem !== '') findings.add('LTN2001', path, { host: show(host), problem });
    if (host !== '*' && isPartialWildcard(host) && resolutionOf(spec) !== 'DYNAMIC_DNS') {
      findings.add('LTN2005', path, { host: show(host) });
    }
  }
}

function checkAddresses(spec: ServiceEntrySpec, findings: Findings): void {
  const resolution = resolutionOf(spec);
  for (const [index, address] of (spec.addresses ?? []).entries()) {
    const path = `spec.addresses[${index}]`;
    checkAddressOrCidr(address, path, findings);
    if (!address.includes('/') || resolution === 'NONE' || resolution === 'STATIC') continue;
    const problem = `resolution ${resolution} needs single addresses`;
    findings.add('LTN2034', path, { value: show(address), problem, cure: 'Use resolution NONE or STATIC.' });
  }
}

function checkPorts(object: ServiceEntryObject, findings: Findings): void {
  const names = new Set<string>();
  const numbers = new Set<number>();
  const hasAddresses = (object.spec.addresses ?? []).length > 0 || allocatesAddresses(object);
  for (const [index, port] of (object.spec.ports ?? []).entries()) {
    const path = `spec.ports[${index}]`;
    const { name = '', number = 0, protocol = '' } = port;
    if (names.has(name))
      findings.add('LTN2014', `${path}.name`, { what: 'the port name', value: show(name) });
    if (numbers.has(number))
      findings.add('LTN2014', `${path}.number`, { what: 'the port', value: String(number) });
    names.add(name);
    numbers.add(number);
    if ((port.targetPort ?? 0) !== 0) checkPort(port.targetPort, `${path}.targetPort`, findings);
    if (!hasAddresses && (protocol === '' || protocol === 'TCP')) {
      findings.add('LTN2042', path, {
        field: 'spec.addresses',
        when: 'with a TCP port, to tell the service from others',
      });
    }
    checkPortName(name, `${path}.name`, findings);
    checkProtocol(protocol, false, `${path}.protocol`, findings);
    checkPort(number, `${path}.number`, findings);
  }
}

function checkResolution(object: ServiceEntryObject, findings: Findings): void {
  const { spec } = object;
  const resolution = resolutionOf(spec);
  const endpoints = spec.endpoints ?? [];
  const servicePorts = new Set((spec.ports ?? []).map((port) => port.name ?? ''));
  switch (resolution) {
    case 'NONE':
      if (endpoints.length > 0) {
        findings.add('LTN2037', 'spec.endpoints', { field: 'endpoints', when: 'with resolution NONE' });
      }
      if (spec.workloadSelector !== undefined && !findings.all.some(({ code }) => code === 'LTN2021')) {
        const reason = 'resolution NONE forwards to the address that was called';
        findings.add('LTN2041', 'spec.workloadSelector', { field: 'workloadSelector', reason });
      }
      break;
    case 'STATIC':
      for (const [index, endpoint] of endpoints.entries()) {
        checkWorkloadEntry(
          endpoint,
          { allowHostNames: false, servicePorts },
          `spec.endpoints[${index}]`,
          findings,
        );
      }
      break;
    case 'DYNAMIC_DNS':
      checkDynamicDns(object, findings);
      break;
    default:
      checkDns(spec, resolution, servicePorts, findings);
  }
}

function checkDns(
  spec: ServiceEntrySpec,
  resolution: ServiceEntryResolution,
  servicePorts: ReadonlySet<string>,
  findings: Findings,
): void {
  const { hosts = [], endpoints = [], addresses = [], ports = [] } = spec;
  const unresolvable = endpoints.length > 0 ? -1 : hosts.findIndex((host) => hostProblem(host) !== '');
  if (unresolvable >= 0) {
    const problem = `resolution ${resolution} without endpoints looks up the host itself`;
    findings.add('LTN2001', `spec.hosts[${unresolvable}]`, { host: show(hosts[unresolvable]), problem });
  }
  if (resolution === 'DNS_ROUND_ROBIN' && endpoints.length > 1) {
    findings.add('LTN2034', 'spec.endpoints', {
      value: 'more than one endpoint',
      problem: 'DNS_ROUND_ROBIN has one name to look up',
      cure: 'Keep one endpoint, or use resolution DNS.',
    });
  }
  for (const [index, endpoint] of endpoints.entries()) {
    const path = `spec.endpoints[${index}]`;
    checkEndpointAddress(endpoint.address ?? '', true, `${path}.address`, findings);
    checkMatchLabels(endpoint.labels, `${path}.labels`, findings);
    checkEndpointPorts(endpoint.ports ?? {}, servicePorts, `${path}.ports`, findings);
  }
  if (addresses.length > 0 && hosts.length > 1 && ports.some((port) => isTcp(parseProtocol(port.protocol)))) {
    const when = 'with several hosts and a TCP port: all hosts share the addresses';
    findings.add('LTN2042', 'spec.hosts', { field: 'one ServiceEntry per host', when });
  }
}

function checkDynamicDns(object: ServiceEntryObject, findings: Findings): void {
  const { spec, labels } = object;
  const when = 'with resolution DYNAMIC_DNS';
  for (const [index, host] of (spec.hosts ?? []).entries()) {
    if (host.startsWith('*')) continue;
    const cure = 'Write a wildcard host such as *.example.com.';
    findings.add('LTN2002', `spec.hosts[${index}]`, { host: show(host), cure });
  }
  for (const field of ['addresses', 'endpoints'] as const) {
    if ((spec[field] ?? []).length > 0) findings.add('LTN2037', `spec.${field}`, { field, when });
  }
  for (const [index, port] of (spec.ports ?? []).entries()) {
    if (DYNAMIC_DNS_PROTOCOLS.has(parseProtocol(port.protocol))) continue;
    const problem = 'resolution DYNAMIC_DNS needs a host name in each request';
    const cure = 'Use HTTP, HTTP2, GRPC or TLS.';
    findings.add('LTN2034', `spec.ports[${index}].protocol`, {
      value: show(port.protocol ?? ''),
      problem,
      cure,
    });
  }
  const waypoint = labels[WAYPOINT_LABEL] ?? '';
  if (spec.location === 'MESH_INTERNAL' && waypoint !== '' && waypoint.toLowerCase() !== 'none') {
    findings.add('LTN2037', 'spec.location', { field: 'MESH_INTERNAL', when: `${when} and a waypoint` });
  }
}

/** Plain TCP says nothing about the host that was meant, so several hosts cannot share such a port. */
function checkSharedPorts(spec: ServiceEntrySpec, findings: Findings): void {
  if (resolutionOf(spec) === 'NONE' || (spec.hosts ?? []).length <= 1) return;
  const index = (spec.ports ?? []).findIndex((port) => {
    const protocol = parseProtocol(port.protocol);
    return !isHttp(protocol) && !isTls(protocol);
  });
  if (index >= 0) findings.add('LTN2401', `spec.ports[${index}]`);
}

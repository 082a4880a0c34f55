/**
 * Sidecar: what the proxies it selects see and accept.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import type {
  IstioEgressListenerJson,
  IstioIngressListenerJson,
  OutboundTrafficPolicyJson,
  SidecarJson,
  SidecarPortJson,
  WorkloadSelectorJson,
} from '#proto/istio/networking/v1alpha3/sidecar_pb.ts';
import {
  checkIpAddress,
  checkPort,
  checkPortName,
  checkProtocol,
  checkSelectorLabels,
  checkUnixAddress,
  isUnixAddress,
} from './field-rules.ts';
import { Findings, show } from './findings.ts';
import { hostProblem, isPartialWildcard, wildcardHostProblem } from './host-rules.ts';
import type { MeshObject } from './mesh-object.ts';
import { isDnsLabel } from './name-rules.ts';
import { isHttp, isTls, parseProtocol } from './protocol.ts';
import { checkServerTls } from './server-tls-rules.ts';
import { checkDestination } from './tcp-route-rules.ts';
import { checkConnectionPool } from './traffic-policy-rules.ts';

/** spec of a Sidecar. */
export type SidecarSpec = SidecarJson;
/** One entry of spec.ingress. */
export type SidecarIngressListener = IstioIngressListenerJson;
/** One entry of spec.egress. */
export type SidecarEgressListener = IstioEgressListenerJson;
/** Number, protocol and name of a listener's port. */
export type SidecarPort = SidecarPortJson;
/** What happens to traffic for unknown hosts. */
export type SidecarOutboundTrafficPolicy = OutboundTrafficPolicyJson;
/** Selector by `labels`, as Sidecar, ServiceEntry and EnvoyFilter have it. */
export type LabelsSelector = WorkloadSelectorJson;

const LOCAL_ADDRESSES: ReadonlySet<string> = new Set(['', '127.0.0.1', '0.0.0.0', '::1', '::']);

/** Findings about a Sidecar beyond its schema. Source: istio pkg/config/validation ValidateSidecar. */
export function validateSidecar(object: MeshObject<SidecarSpec>): Diagnostic[] {
  const findings = new Findings(object);
  const {
    workloadSelector,
    ingress = [],
    egress = [],
    inboundConnectionPool,
    outboundTrafficPolicy,
  } = object.spec;
  if (workloadSelector !== undefined)
    checkSelectorLabels(workloadSelector.labels, 'spec.workloadSelector', findings);
  const isEmpty = ingress.length + egress.length === 0 && !outboundTrafficPolicy && !inboundConnectionPool;
  if (isEmpty) findings.add('LTN2039', 'spec', { fields: 'egress, ingress and outboundTrafficPolicy' });
  const ports = new Set<number>();
  for (const [index, listener] of ingress.entries()) {
    checkIngress(listener, ports, `spec.ingress[${index}]`, findings);
  }
  checkConnectionPool(inboundConnectionPool, 'spec.inboundConnectionPool', findings);
  checkEgressListeners(egress, object.namespace, findings);
  if (outboundTrafficPolicy !== undefined) checkOutboundPolicy(outboundTrafficPolicy, findings);
  return findings.all;
}

function checkIngress(
  listener: SidecarIngressListener,
  ports: Set<number>,
  path: string,
  findings: Findings,
): void {
  const { port, bind = '', defaultEndpoint = '', tls } = listener;
  if (port === undefined) {
    findings.missing(path, 'port', 'port: {number: 9080, name: http, protocol: HTTP}');
    return;
  }
  const number = port.number ?? 0;
  const protocol = parseProtocol(port.protocol);
  checkSidecarPort(port, `${path}.port`, findings);
  checkPort(number, `${path}.port.number`, findings);
  if (bind !== '') checkIpAddress(bind, `${path}.bind`, findings);
  if (ports.has(number))
    findings.add('LTN2014', `${path}.port.number`, { what: 'the port', value: String(number) });
  ports.add(number);
  if (defaultEndpoint !== '') checkDefaultEndpoint(defaultEndpoint, `${path}.defaultEndpoint`, findings);
  if (tls !== undefined) {
    checkIngressTls(tls, `${path}.tls`, findings);
    if (!isTls(protocol)) findings.add('LTN2302', `${path}.tls`, { protocol: port.protocol ?? '' });
  }
  checkConnectionPool(listener.connectionPool, `${path}.connectionPool`, findings);
  if (listener.connectionPool?.http !== undefined && !isHttp(protocol)) {
    findings.add('LTN2041', `${path}.connectionPool.http`, { field: 'http', reason: 'the port is not HTTP' });
  }
}

function checkSidecarPort(port: SidecarPort, path: string, findings: Findings): void {
  if ((port.name ?? '') !== '') checkPortName(port.name, `${path}.name`, findings);
  if ((port.targetPort ?? 0) > 0) findings.add('LTN2043', `${path}.targetPort`, { field: 'targetPort' });
  checkProtocol(port.protocol, false, `${path}.protocol`, findings);
}

/** A local address with a port, or a Unix socket. */
function checkDefaultEndpoint(endpoint: string, path: string, findings: Findings): void {
  if (isUnixAddress(endpoint)) {
    checkUnixAddress(endpoint, path, findings);
    return;
  }
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,6})$/.exec(endpoint);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined || !LOCAL_ADDRESSES.has(host)) {
    const cure = 'Write 127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080, [::]:8080 or unix:///path.';
    findings.add('LTN2034', path, { value: show(endpoint), problem: 'it is not a local endpoint', cure });
  } else checkPort(Number(match[3]), path, findings);
}

function checkIngressTls(
  tls: NonNullable<SidecarIngressListener['tls']>,
  path: string,
  findings: Findings,
): void {
  const unsupported = {
    subjectAltNames: (tls.subjectAltNames ?? []).length > 0,
    httpsRedirect: tls.httpsRedirect === true,
    credentialName: (tls.credentialName ?? '') !== '',
    credentialNames: (tls.credentialNames ?? []).length > 0,
    tlsCertificates: (tls.tlsCertificates ?? []).length > 0,
  };
  for (const [field, isSet] of Object.entries(unsupported)) {
    if (isSet) findings.add('LTN2043', `${path}.${field}`, { field });
  }
  if (tls.mode === 'ISTIO_MUTUAL' || tls.mode === 'AUTO_PASSTHROUGH') {
    findings.add('LTN2043', `${path}.mode`, { field: `mode ${tls.mode}`, cure: 'Use SIMPLE or MUTUAL.' });
  }
  checkServerTls(tls, path, findings);
}

function checkEgressListeners(
  egress: readonly SidecarEgressListener[],
  namespace: string,
  findings: Findings,
): void {
  const ports = new Set<string>();
  for (const [index, listener] of egress.entries()) {
    const path = `spec.egress[${index}]`;
    const { port, bind = '' } = listener;
    if (port === undefined) {
      if (index < egress.length - 1) findings.missing(path, 'port', 'a listener without port stands last');
    } else {
      checkEgressPort(listener, port, path, findings);
      const key = (port.number ?? 0) === 0 ? bind : String(port.number);
      if (ports.has(key)) findings.add('LTN2014', `${path}.port`, { what: 'the port', value: show(key) });
      ports.add(key);
    }
    checkEgressHosts(listener.hosts ?? [], namespace, path, findings);
  }
}

function checkEgressPort(
  listener: SidecarEgressListener,
  port: SidecarPort,
  path: string,
  findings: Findings,
): void {
  const { bind = '', captureMode = 'DEFAULT' } = listener;
  checkSidecarPort(port, `${path}.port`, findings);
  if ((port.number ?? 0) !== 0) {
    checkPort(port.number, `${path}.port.number`, findings);
    if (bind !== '') checkIpAddress(bind, `${path}.bind`, findings);
    return;
  }
  if (isUnixAddress(bind)) checkUnixAddress(bind, `${path}.bind`, findings);
  else findings.add('LTN2036', `${path}.port`, { field: 'number', when: 'unless bind is a Unix socket' });
  if (captureMode === 'IPTABLES') {
    findings.add('LTN2037', `${path}.captureMode`, { field: 'captureMode', when: 'with a Unix socket' });
  }
}

/** Entries `namespace/host`; `~namespace/host` takes hosts out again. */
function checkEgressHosts(
  hosts: readonly string[],
  namespace: string,
  path: string,
  findings: Findings,
): void {
  if (hosts.length === 0) findings.missing(path, 'hosts', 'hosts: ["./*", "istio-system/*"]');
  const seen = new Map<string, Set<string>>();
  for (const [index, entry] of hosts.entries()) {
    const at = `${path}.hosts[${index}]`;
    const slash = entry.indexOf('/');
    if (slash < 0) {
      findings.add('LTN2001', at, { host: show(entry), problem: 'it has no namespace in front' });
      continue;
    }
    const owner = entry.slice(0, slash);
    const host = entry.slice(slash + 1);
    checkEgressHost(entry, owner, host, at, findings);
    if (owner.startsWith('~')) continue;
    const key = owner === '.' ? namespace : owner;
    const inNamespace = seen.get(key) ?? new Set<string>();
    const isCovered = host === '*' ? inNamespace.size > 0 : inNamespace.has(host) || inNamespace.has('*');
    if (isCovered) findings.add('LTN2044', at, { value: show(entry) });
    seen.set(key, inNamespace.add(host));
  }
  if (seen.get('*')?.has('*') === true && seen.size > 1)
    findings.add('LTN2044', `${path}.hosts`, { value: '"*/*"' });
}

function checkEgressHost(entry: string, owner: string, host: string, path: string, findings: Findings): void {
  const namespace = owner.startsWith('~') ? owner.slice(1) : owner;
  const isKnown = namespace === '*' || namespace === '.' || isDnsLabel(namespace);
  if (owner === '' || (namespace !== '' && !isKnown)) {
    findings.add('LTN2015', path, { value: show(owner), more: ', "*" for all, or "~" for none' });
  }
  const problem = wildcardHostProblem(host);
  if (problem !== '') findings.add('LTN2001', path, { host: show(entry), problem });
  else if (host !== '*' && !host.includes('.')) findings.add('LTN2003', path, { host });
  if (isPartialWildcard(host)) findings.add('LTN2004', path, { host: show(host) });
}

function checkOutboundPolicy(policy: SidecarOutboundTrafficPolicy, findings: Findings): void {
  const path = 'spec.outboundTrafficPolicy';
  const { mode = 'REGISTRY_ONLY', egressProxy } = policy;
  if (egressProxy === undefined) return;
  if (mode !== 'ALLOW_ANY') {
    findings.add('LTN2037', `${path}.egressProxy`, {
      field: 'egressProxy',
      when: 'unless mode is ALLOW_ANY',
    });
    return;
  }
  const problem = hostProblem(egressProxy.host ?? '');
  if (problem !== '')
    findings.add('LTN2001', `${path}.egressProxy.host`, { host: show(egressProxy.host ?? ''), problem });
  if (egressProxy.port === undefined) findings.missing(`${path}.egressProxy`, 'port', 'port: {number: 443}');
  else checkDestination(egressProxy, `${path}.egressProxy`, findings);
}

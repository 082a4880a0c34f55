/**
 * Gateway (networking.istio.io): the servers that a gateway workload offers.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import { isIp } from '#base/cidr.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import type {
  GatewayJson,
  PortJson,
  ServerJson,
  ServerTLSSettingsJson,
} from '#proto/istio/networking/v1alpha3/gateway_pb.ts';
import { checkIpAddress, checkPort, checkUnixAddress, isUnixAddress } from './field-rules.ts';
import { Findings, show } from './findings.ts';
import { isPartialWildcard, wildcardHostProblem } from './host-rules.ts';
import type { MeshObject } from './mesh-object.ts';
import { isDnsLabel } from './name-rules.ts';
import { isHttp, isTls, PROTOCOL_NAMES, parseProtocol } from './protocol.ts';
import { checkServerTls } from './server-tls-rules.ts';
import { suggest } from './suggestion.ts';

/** spec of a Gateway. */
export type GatewaySpec = GatewayJson;
/** One entry of spec.servers: port, hosts, TLS. */
export type GatewayServer = ServerJson;
/** Number, protocol and name of a server's port. */
export type GatewayPort = PortJson;
/** TLS towards clients; also used by Sidecar ingress. */
export type ServerTlsSettings = ServerTLSSettingsJson;

/** Findings about a Gateway beyond its schema. Source: istio pkg/config/validation ValidateGateway. */
export function validateGateway(object: MeshObject<GatewaySpec>): Diagnostic[] {
  const findings = new Findings(object);
  const servers = object.spec.servers ?? [];
  if (!isDnsLabel(object.name)) {
    findings.add('LTN1106', 'metadata.name', { name: show(object.name), limit: '63', marks: '"-"' });
  }
  if (servers.length === 0) {
    findings.missing(
      'spec',
      'servers',
      'servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]',
    );
  }
  const names = new Set<string>();
  for (const [index, server] of servers.entries()) {
    const path = `spec.servers[${index}]`;
    checkServer(server, path, findings);
    if (server.port === undefined) continue;
    const name = server.port.name ?? '';
    if (names.has(name))
      findings.add('LTN2014', `${path}.port.name`, { what: 'the port name', value: show(name) });
    names.add(name);
  }
  return findings.all;
}

function checkServer(server: GatewayServer, path: string, findings: Findings): void {
  const hosts = server.hosts ?? [];
  if (hosts.length === 0) findings.missing(path, 'hosts', 'hosts: ["*"]');
  for (const [index, host] of hosts.entries()) checkServerHost(host, `${path}.hosts[${index}]`, findings);
  checkServerPort(server, path, findings);
  checkServerTls(server.tls, `${path}.tls`, findings);
  checkServerProtocol(server, path, findings);
}

/** `host` or `namespace/host`; the host is fully qualified, a wildcard, or an IP address. */
function checkServerHost(entry: string, path: string, findings: Findings): void {
  const slash = entry.indexOf('/');
  const namespace = slash < 0 ? '*' : entry.slice(0, slash);
  const host = entry.slice(slash + 1);
  if (namespace !== '*' && namespace !== '.' && !isDnsLabel(namespace)) {
    findings.add('LTN2015', path, { value: show(namespace), more: ', or "*" for all' });
  }
  const problem = wildcardHostProblem(host);
  if (problem !== '' && !isIp(host)) findings.add('LTN2001', path, { host: show(host), problem });
  else if (host !== '*' && !host.includes('.') && !isIp(host)) findings.add('LTN2003', path, { host });
  if (isPartialWildcard(host)) findings.add('LTN2004', path, { host: show(host) });
}

function checkServerPort(server: GatewayServer, path: string, findings: Findings): void {
  const { port, bind = '' } = server;
  if (port === undefined) findings.missing(path, 'port', 'port: {number: 80, name: http, protocol: HTTP}');
  else {
    const at = `${path}.port`;
    if (parseProtocol(port.protocol) === undefined) {
      const suggestion = suggest(port.protocol ?? '', PROTOCOL_NAMES) ?? '';
      findings.add('LTN2013', `${at}.protocol`, {
        protocol: show(port.protocol ?? ''),
        suggestion,
        known: PROTOCOL_NAMES.join(', '),
      });
    }
    const number = port.number ?? 0;
    if (number > 0 || !isUnixAddress(bind)) checkPort(number, `${at}.number`, findings);
    if ((port.targetPort ?? 0) > 0) findings.add('LTN2043', `${at}.targetPort`, { field: 'targetPort' });
    if ((port.name ?? '') === '') findings.missing(at, 'name', 'name: http');
  }
  if (isUnixAddress(bind)) {
    checkUnixAddress(bind, `${path}.bind`, findings);
    if ((port?.number ?? 0) !== 0) {
      findings.add('LTN2037', `${path}.port.number`, { field: 'number', when: 'with a Unix socket' });
    }
  } else if (bind !== '') checkIpAddress(bind, `${path}.bind`, findings);
}

/** TLS settings belong to TLS protocols; at HTTP ports they can only redirect to HTTPS. */
function checkServerProtocol(server: GatewayServer, path: string, findings: Findings): void {
  const { port, tls } = server;
  const protocol = parseProtocol(port?.protocol);
  if (port === undefined || protocol === undefined) return;
  if (!isHttp(protocol) && tls?.httpsRedirect === true) {
    findings.add('LTN2041', `${path}.tls.httpsRedirect`, {
      field: 'httpsRedirect',
      reason: 'the port is not HTTP',
    });
  }
  if (isTls(protocol)) {
    if (tls === undefined) findings.add('LTN2301', path, { protocol });
    return;
  }
  if (tls === undefined) return;
  const hasCertificates = [tls.caCertificates, tls.privateKey, tls.serverCertificate].some(
    (file) => (file ?? '') !== '',
  );
  const isPassthrough = (tls.mode ?? 'PASSTHROUGH') === 'PASSTHROUGH' || tls.mode === 'AUTO_PASSTHROUGH';
  if (!isHttp(protocol) || !isPassthrough || hasCertificates)
    findings.add('LTN2302', `${path}.tls`, { protocol });
}

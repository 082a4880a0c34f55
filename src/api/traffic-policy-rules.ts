/**
 * Rules for traffic policies of DestinationRules and of mesh config: connection pools, outlier detection, TLS, tunnels.
 * Load balancing is in load-balancer-rules.ts. Source: istio pkg/config/validation validateTrafficPolicy, ValidateTLS.
 */
import { isIp } from '#base/cidr.ts';
import type {
  ClientTlsSettings,
  ConnectionPoolSettings,
  OutlierDetection,
  TrafficPolicy,
} from './destination-rule.ts';
import { parseDurationNanos } from './duration.ts';
import { checkDuration, checkNotNegative, checkPort, checkRange } from './field-rules.ts';
import { type Findings, show } from './findings.ts';
import { hostProblem } from './host-rules.ts';
import { checkLoadBalancer } from './load-balancer-rules.ts';

const CONFIG_MAP_PREFIX = 'configmap://';
const POLICY_FIELDS = [
  'loadBalancer',
  'connectionPool',
  'outlierDetection',
  'tls',
  'portLevelSettings',
  'tunnel',
  'proxyProtocol',
  'retryBudget',
] as const;
const PORT_POLICY_FIELDS = ['loadBalancer', 'connectionPool', 'outlierDetection', 'tls'] as const;

/** Checks the policy of a host or a subset; `namespace` is that of the DestinationRule. */
export function checkTrafficPolicy(
  policy: TrafficPolicy | undefined,
  namespace: string,
  path: string,
  findings: Findings,
): void {
  if (policy === undefined) return;
  const { portLevelSettings = [], ...others } = policy;
  if (portLevelSettings.length === 0 && Object.values(others).every((part) => part === undefined)) {
    findings.add('LTN2039', path, { fields: POLICY_FIELDS.join(', ') });
    return;
  }
  if (policy.tunnel !== undefined && policy.proxyProtocol !== undefined) {
    findings.add('LTN2038', path, { field: 'tunnel', other: 'proxyProtocol' });
    return;
  }
  checkPolicyParts(policy, namespace, path, findings);
  for (const [index, part] of (policy.portLevelSettings ?? []).entries()) {
    const at = `${path}.portLevelSettings[${index}]`;
    if (part.port === undefined) findings.missing(at, 'port', 'port: {number: 80}');
    if (PORT_POLICY_FIELDS.every((field) => part[field] === undefined)) {
      findings.add('LTN2039', at, { fields: PORT_POLICY_FIELDS.join(', ') });
    } else checkPolicyParts(part, namespace, at, findings);
  }
  if (policy.tunnel !== undefined) checkTunnel(policy.tunnel, `${path}.tunnel`, findings);
}

function checkPolicyParts(
  policy: Pick<TrafficPolicy, (typeof PORT_POLICY_FIELDS)[number]>,
  namespace: string,
  path: string,
  findings: Findings,
): void {
  checkOutlierDetection(policy.outlierDetection, `${path}.outlierDetection`, findings);
  checkConnectionPool(policy.connectionPool, `${path}.connectionPool`, findings);
  const hasOutlierDetection = policy.outlierDetection !== undefined;
  checkLoadBalancer(policy.loadBalancer, hasOutlierDetection, `${path}.loadBalancer`, findings);
  checkClientTls(policy.tls, namespace, `${path}.tls`, findings);
}

/** Source: validateOutlierDetection. */
export function checkOutlierDetection(
  outlier: OutlierDetection | undefined,
  path: string,
  findings: Findings,
): void {
  if (outlier === undefined) return;
  checkDuration(outlier.baseEjectionTime, `${path}.baseEjectionTime`, findings);
  checkDuration(outlier.interval, `${path}.interval`, findings);
  if ((outlier.consecutiveErrors ?? 0) !== 0) {
    const instead = 'consecutiveGatewayErrors or consecutive5xxErrors';
    findings.add('LTN2040', `${path}.consecutiveErrors`, { field: 'consecutiveErrors', instead });
  }
  if (outlier.splitExternalLocalOriginErrors !== true && (outlier.consecutiveLocalOriginFailures ?? 0) > 0) {
    findings.add('LTN2037', `${path}.consecutiveLocalOriginFailures`, {
      field: 'consecutiveLocalOriginFailures',
      when: 'unless splitExternalLocalOriginErrors is true',
    });
  }
  checkRange(outlier.maxEjectionPercent, 0, 100, `${path}.maxEjectionPercent`, findings);
  checkRange(outlier.minHealthPercent, 0, 100, `${path}.minHealthPercent`, findings);
}

/** Source: validateConnectionPool. */
export function checkConnectionPool(
  pool: ConnectionPoolSettings | undefined,
  path: string,
  findings: Findings,
): void {
  if (pool === undefined) return;
  if (pool.http === undefined && pool.tcp === undefined)
    findings.add('LTN2039', path, { fields: 'http and tcp' });
  checkHttpPool(pool.http, `${path}.http`, findings);
  checkTcpPool(pool.tcp, `${path}.tcp`, findings);
}

function checkHttpPool(http: ConnectionPoolSettings['http'], path: string, findings: Findings): void {
  if (http === undefined) return;
  for (const field of [
    'http1MaxPendingRequests',
    'http2MaxRequests',
    'maxRequestsPerConnection',
    'maxRetries',
    'maxConcurrentStreams',
  ] as const) {
    checkNotNegative(http[field], `${path}.${field}`, findings);
  }
  checkDuration(http.idleTimeout, `${path}.idleTimeout`, findings);
  if (http.h2UpgradePolicy === 'UPGRADE' && http.useClientProtocol === true) {
    findings.add('LTN2038', path, { field: 'useClientProtocol', other: 'h2UpgradePolicy: UPGRADE' });
  }
  for (const field of http.http2KeepAlive === undefined ? [] : (['interval', 'timeout'] as const)) {
    const at = `${path}.http2KeepAlive`;
    if (http.http2KeepAlive?.[field] === undefined) findings.missing(at, field, `${field}: 30s`);
    checkDuration(http.http2KeepAlive?.[field], `${at}.${field}`, findings);
  }
}

function checkTcpPool(tcp: ConnectionPoolSettings['tcp'], path: string, findings: Findings): void {
  if (tcp === undefined) return;
  checkNotNegative(tcp.maxConnections, `${path}.maxConnections`, findings);
  checkDuration(tcp.connectTimeout, `${path}.connectTimeout`, findings);
  checkDuration(tcp.maxConnectionDuration, `${path}.maxConnectionDuration`, findings);
  // 0s switches the idle timeout off.
  const idleNanos = parseDurationNanos(tcp.idleTimeout ?? '0s') ?? 0n;
  if (idleNanos / 1_000_000n !== 0n) checkDuration(tcp.idleTimeout, `${path}.idleTimeout`, findings);
  checkDuration(tcp.tcpKeepalive?.time, `${path}.tcpKeepalive.time`, findings);
  checkDuration(tcp.tcpKeepalive?.interval, `${path}.tcpKeepalive.interval`, findings);
}

/** TLS towards a destination. Source: agent ValidateTLS. */
export function checkClientTls(
  tls: ClientTlsSettings | undefined,
  namespace: string,
  path: string,
  findings: Findings,
): void {
  if (tls === undefined) return;
  const {
    credentialName = '',
    clientCertificate = '',
    privateKey = '',
    caCertificates = '',
    caCrl = '',
  } = tls;
  if (credentialName.startsWith(CONFIG_MAP_PREFIX))
    checkConfigMapName(credentialName, namespace, path, findings);
  const oneWay = tls.mode === 'SIMPLE';
  const mutual = tls.mode === 'MUTUAL';
  if (tls.insecureSkipVerify === true && (oneWay || mutual)) {
    const when = 'when insecureSkipVerify is true';
    if (caCertificates !== '')
      findings.add('LTN2037', `${path}.caCertificates`, { field: 'caCertificates', when });
    if (oneWay && credentialName !== '')
      findings.add('LTN2037', `${path}.credentialName`, { field: 'credentialName', when });
    if ((tls.subjectAltNames ?? []).length > 0) {
      findings.add('LTN2037', `${path}.subjectAltNames`, { field: 'subjectAltNames', when });
    }
  }
  if ((oneWay || mutual) && credentialName !== '') {
    const files = { clientCertificate, privateKey, caCertificates, caCrl };
    for (const [field, value] of Object.entries(files)) {
      if (value !== '') findings.add('LTN2038', `${path}.${field}`, { field, other: 'credentialName' });
    }
  } else if (mutual) {
    if (clientCertificate === '')
      findings.missing(path, 'clientCertificate', 'credentialName: my-credential');
    if (privateKey === '') findings.missing(path, 'privateKey', 'credentialName: my-credential');
  }
}

function checkConfigMapName(
  credentialName: string,
  namespace: string,
  path: string,
  findings: Findings,
): void {
  const [owner = '', name = ''] = credentialName.slice(CONFIG_MAP_PREFIX.length).split('/');
  if (owner !== '' && name !== '' && owner === namespace) return;
  findings.add('LTN2034', `${path}.credentialName`, {
    value: show(credentialName),
    problem: 'it must name a ConfigMap of this namespace',
    cure: `Write ${CONFIG_MAP_PREFIX}${namespace}/name.`,
  });
}

function checkTunnel(tunnel: NonNullable<TrafficPolicy['tunnel']>, path: string, findings: Findings): void {
  const { protocol = '', targetHost = '' } = tunnel;
  if (protocol !== '' && protocol !== 'CONNECT' && protocol !== 'POST') {
    findings.add('LTN2034', `${path}.protocol`, {
      value: show(protocol),
      problem: 'unknown protocol',
      cure: 'Write CONNECT or POST.',
    });
  }
  const problem = hostProblem(targetHost);
  if (problem !== '' && !isIp(targetHost)) {
    findings.add('LTN2001', `${path}.targetHost`, { host: show(targetHost), problem });
  }
  checkPort(tunnel.targetPort, `${path}.targetPort`, findings);
}

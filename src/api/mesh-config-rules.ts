/**
 * Rules for mesh config and the proxies' config in it.
 * Source: istio pkg/config/validation/agent/validation.go ValidateMeshConfig, ValidateMeshConfigProxyConfig.
 */
import { parseDurationNanos } from './duration.ts';
import { checkDuration, checkPort } from './field-rules.ts';
import { type Findings, show } from './findings.ts';
import { checkHostPort } from './host-port-rules.ts';
import { wildcardHostProblem } from './host-rules.ts';
import { checkConnectionSettings } from './connection-settings-rules.ts';
import { checkExtensionProviders } from './extension-provider-rules.ts';
import { checkRetries } from './http-action-rules.ts';
import { checkLocalityLb, checkZoneAwareLb } from './load-balancer-rules.ts';
import type { MeshConfigPart, MeshProxyConfigPart } from './mesh-config.ts';
import { isDnsLabel } from './name-rules.ts';
import { checkTracing, checkTracingProviders } from './tracing-rules.ts';
import { checkConnectionPool, checkOutlierDetection } from './traffic-policy-rules.ts';

const NANOS_PER_SECOND = 1_000_000_000n;
const NANOS_PER_MS = 1_000_000n;
const MAX_CONNECT_NANOS = 3600n * NANOS_PER_SECOND;
const ECDH_CURVES: readonly string[] = [
  'P-224',
  'P-256',
  'P-521',
  'P-384',
  'X25519',
  'X25519Kyber768Draft00',
  'X25519MLKEM768',
];

/** Checks a whole mesh config; `path` is '' for a document of its own. */
export function checkMeshConfig(config: MeshConfigPart, path: string, findings: Findings): void {
  const at = (field: string): string => (path === '' ? field : `${path}.${field}`);
  checkPort(config.proxyListenPort, at('proxyListenPort'), findings);
  checkConnectTimeout(config.connectTimeout, at('connectTimeout'), findings);
  const detection = parseDurationNanos(config.protocolDetectionTimeout ?? '0s') ?? 0n;
  if (detection % NANOS_PER_MS !== 0n) {
    findings.add('LTN2031', at('protocolDetectionTimeout'), {
      value: String(config.protocolDetectionTimeout),
    });
  }
  if (config.defaultConfig === undefined) findings.missing(path, 'defaultConfig');
  else checkProxyConfig(config.defaultConfig, at('defaultConfig'), findings);
  checkLocalityLb(config.localityLbSetting, true, at('localityLbSetting'), findings);
  checkZoneAwareLb(config.zoneAwareLbSetting, true, at('zoneAwareLbSetting'), findings);
  for (const [i, settings] of (config.serviceSettings ?? []).entries()) {
    for (const [j, host] of (settings.hosts ?? []).entries()) {
      const problem = wildcardHostProblem(host);
      if (problem !== '')
        findings.add('LTN2001', at(`serviceSettings[${i}].hosts[${j}]`), { host: show(host), problem });
    }
  }
  checkTrustDomain(config.trustDomain ?? '', at('trustDomain'), findings);
  for (const [index, alias] of (config.trustDomainAliases ?? []).entries()) {
    checkTrustDomain(alias, at(`trustDomainAliases[${index}]`), findings);
  }
  checkMeshTls(config, at, findings);
  checkConnectionPool(
    config.defaultTrafficPolicy?.connectionPool,
    at('defaultTrafficPolicy.connectionPool'),
    findings,
  );
  checkOutlierDetection(
    config.defaultTrafficPolicy?.outlierDetection,
    at('defaultTrafficPolicy.outlierDetection'),
    findings,
  );
  checkInboundRetries(config.defaultInboundHttpRetryPolicy, at('defaultInboundHttpRetryPolicy'), findings);
  checkExtensionProviders(config.extensionProviders, at('extensionProviders'), findings);
  checkTracingProviders(config, at('defaultProviders.tracing'), findings);
}

/** Only attempts, retryOn and backoff count there. Source: validateMeshConfigDefaultInboundHTTPRetryPolicy. */
function checkInboundRetries(
  retries: MeshConfigPart['defaultInboundHttpRetryPolicy'],
  path: string,
  findings: Findings,
): void {
  if (retries === undefined) return;
  checkRetries(retries, path, findings);
  if ((retries.attempts ?? 0) === 0 && retries.backoff !== undefined) {
    findings.add('LTN2037', `${path}.backoff`, { field: 'backoff', when: 'unless attempts is at least 1' });
  }
  const reason = 'an inbound route has one destination only';
  for (const field of ['perTryTimeout', 'retryRemoteLocalities', 'retryIgnorePreviousHosts'] as const) {
    if (retries[field] !== undefined) findings.add('LTN2041', `${path}.${field}`, { field, reason });
  }
}

function checkConnectTimeout(timeout: string | undefined, path: string, findings: Findings): void {
  checkDuration(timeout ?? '0s', path, findings);
  if ((parseDurationNanos(timeout ?? '0s') ?? 0n) <= MAX_CONNECT_NANOS) return;
  findings.add('LTN2032', path, { value: String(timeout), min: '1ms', max: '1h' });
}

/** Labels joined by dots, one at the end allowed. Source: ValidateTrustDomain. */
export function checkTrustDomain(domain: string, path: string, findings: Findings): void {
  const labels = domain.replace(/\.$/, '').split('.');
  if (labels.every(isDnsLabel)) return;
  findings.add('LTN2001', path, { host: show(domain), problem: 'it is not a trust domain' });
}

function checkMeshTls(config: MeshConfigPart, at: (field: string) => string, findings: Findings): void {
  if ((config.meshMTLS?.ecdhCurves ?? []).length > 0) {
    findings.add('LTN2043', at('meshMTLS.ecdhCurves'), {
      field: 'ecdhCurves',
      cure: 'Set tlsDefaults.ecdhCurves.',
    });
  }
  const curves = config.tlsDefaults?.ecdhCurves ?? [];
  for (const [index, curve] of curves.entries()) {
    const path = at(`tlsDefaults.ecdhCurves[${index}]`);
    if (curve !== '' && !ECDH_CURVES.includes(curve)) {
      findings.add('LTN2045', path, { value: show(curve), known: ECDH_CURVES.join(', ') });
    } else if (curves.indexOf(curve) < index) findings.add('LTN2044', path, { value: show(curve) });
  }
}

function checkProxyConfig(config: MeshProxyConfigPart, path: string, findings: Findings): void {
  for (const field of ['configPath', 'binaryPath', 'discoveryAddress'] as const) {
    if ((config[field] ?? '') === '') findings.missing(path, field);
  }
  if (config.tracingServiceName === undefined && (config.serviceCluster ?? '') === '') {
    findings.missing(path, 'serviceCluster', 'serviceCluster: istio-proxy');
  }
  checkDrainDuration(config.drainDuration, `${path}.drainDuration`, findings);
  checkPort(config.proxyAdminPort, `${path}.proxyAdminPort`, findings);
  checkPort(config.statusPort, `${path}.statusPort`, findings);
  checkTracing(config.tracing, `${path}.tracing`, findings);
  const addresses = {
    discoveryAddress: config.discoveryAddress,
    statsdUdpAddress: config.statsdUdpAddress,
    envoyMetricsServiceAddress: config.envoyMetricsServiceAddress,
    'envoyMetricsService.address': config.envoyMetricsService?.address,
    'envoyAccessLogService.address': config.envoyAccessLogService?.address,
  };
  for (const [field, address] of Object.entries(addresses)) {
    if ((address ?? '') !== '') checkHostPort(address ?? '', `${path}.${field}`, findings);
  }
  checkConnectionSettings(config.connectionSettings, `${path}.connectionSettings`, findings);
  checkKeyProvider(config.privateKeyProvider, `${path}.privateKeyProvider`, findings);
  if (Object.hasOwn(config.proxyMetadata ?? {}, 'ISTIO_META_DNS_AUTO_ALLOCATE')) {
    const instead = 'the automatic allocation of the control plane';
    findings.add('LTN2040', `${path}.proxyMetadata`, { field: 'ISTIO_META_DNS_AUTO_ALLOCATE', instead });
  }
}

function checkDrainDuration(duration: string | undefined, path: string, findings: Findings): void {
  checkDuration(duration ?? '0s', path, findings);
  if ((parseDurationNanos(duration ?? '0s') ?? 0n) % NANOS_PER_SECOND === 0n) return;
  findings.add('LTN2034', path, {
    value: String(duration),
    problem: 'Envoy drains in whole seconds',
    cure: 'Round it to seconds.',
  });
}

function checkKeyProvider(
  provider: MeshProxyConfigPart['privateKeyProvider'],
  path: string,
  findings: Findings,
): void {
  if (provider === undefined) return;
  const { cryptomb, qat } = provider;
  if (cryptomb === undefined && qat === undefined)
    findings.add('LTN2039', path, { fields: 'cryptomb and qat' });
  for (const [name, settings] of Object.entries({ cryptomb, qat })) {
    if (settings === undefined) continue;
    const isZero = parseDurationNanos(settings.pollDelay ?? '0s') === 0n;
    if (isZero) findings.missing(`${path}.${name}`, 'pollDelay', 'pollDelay: 10ms');
  }
}

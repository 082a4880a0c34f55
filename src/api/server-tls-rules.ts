/**
 * Rules for TLS settings of servers: Gateway servers and Sidecar ingress listeners.
 * Source: istio pkg/config/validation validateTLSOptions, pkg/config/security (cipher suites).
 */
import { type Findings, show } from './findings.ts';
import type { ServerTlsSettings } from './gateway.ts';

const CIPHER_SUITES: ReadonlySet<string> = new Set([
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA',
  'AES256-SHA',
  'DES-CBC3-SHA',
]);

/** True for a suite that Envoy knows; lists with operators (+, -, !) are not taken apart. Source: IsValidCipherSuite. */
export function isCipherSuite(suite: string): boolean {
  return suite === '' || suite === 'ALL' || !/^[\p{L}\p{N}]/u.test(suite) || CIPHER_SUITES.has(suite);
}

/** Checks the TLS settings of one server; absent is fine. */
export function checkServerTls(tls: ServerTlsSettings | undefined, path: string, findings: Findings): void {
  if (tls === undefined) return;
  checkCipherSuites(tls, path, findings);
  if (tls.mode === 'ISTIO_MUTUAL') {
    checkMeshTls(tls, path, findings);
    return;
  }
  const isPassthrough = (tls.mode ?? 'PASSTHROUGH') === 'PASSTHROUGH' || tls.mode === 'AUTO_PASSTHROUGH';
  if (isPassthrough) {
    const reason = 'the server passes TLS through';
    for (const field of [...certificateFields(tls), ...((tls.caCrl ?? '') === '' ? [] : ['caCrl'])]) {
      findings.add('LTN2041', `${path}.${field}`, { field, reason });
    }
  }
  checkCertificates(tls, isPassthrough, path, findings);
}

function checkCipherSuites(tls: ServerTlsSettings, path: string, findings: Findings): void {
  const suites = tls.cipherSuites ?? [];
  if ((tls.minProtocolVersion === 'TLSV1_0' || tls.minProtocolVersion === 'TLSV1_1') && suites.length === 0) {
    const when = `with ${tls.minProtocolVersion}: the default suites do not work with it`;
    findings.add('LTN2042', `${path}.minProtocolVersion`, { field: 'cipherSuites', when });
  }
  for (const [index, suite] of suites.entries()) {
    const at = `${path}.cipherSuites[${index}]`;
    if (!isCipherSuite(suite))
      findings.add('LTN2304', at, { value: show(suite), problem: 'unknown, will be ignored' });
    else if (suites.indexOf(suite) < index)
      findings.add('LTN2304', at, { value: show(suite), problem: 'listed twice' });
  }
}

/** Mesh certificates come from the mesh: no other source may be named. */
function checkMeshTls(tls: ServerTlsSettings, path: string, findings: Findings): void {
  for (const field of certificateFields(tls)) {
    findings.add('LTN2037', `${path}.${field}`, { field, when: 'with mode ISTIO_MUTUAL' });
  }
}

function certificateFields(tls: ServerTlsSettings): string[] {
  const texts = (['serverCertificate', 'privateKey', 'caCertificates', 'credentialName'] as const).filter(
    (field) => (tls[field] ?? '') !== '',
  );
  const lists = (['tlsCertificates', 'credentialNames'] as const).filter(
    (field) => (tls[field] ?? []).length > 0,
  );
  return [...texts, ...lists];
}

function checkCertificates(
  tls: ServerTlsSettings,
  isPassthrough: boolean,
  path: string,
  findings: Findings,
): void {
  const {
    serverCertificate = '',
    privateKey = '',
    credentialName = '',
    credentialNames = [],
    tlsCertificates = [],
  } = tls;
  const sources = [
    serverCertificate !== '' && privateKey !== '' ? 'serverCertificate and privateKey' : '',
    credentialName === '' ? '' : 'credentialName',
    credentialNames.length === 0 ? '' : 'credentialNames',
    tlsCertificates.length === 0 ? '' : 'tlsCertificates',
  ].filter((source) => source !== '');
  if (sources.length > 1) findings.add('LTN2303', path, { fields: sources.join(', ') });
  const hasCredential = credentialName !== '' || credentialNames.length > 0;
  if (!isPassthrough && hasCredential) return;
  if (!isPassthrough) checkFiles(tls, path, findings);
  if ((tls.caCrl ?? '') === '') return;
  if (credentialName !== '') findings.add('LTN2038', path, { field: 'caCrl', other: 'credentialName' });
  if (tls.mode === 'SIMPLE')
    findings.add('LTN2037', `${path}.caCrl`, { field: 'caCrl', when: 'with mode SIMPLE' });
}

/** Certificates in files: a CA bundle for clients' certificates, and one or two server certificates. */
function checkFiles(tls: ServerTlsSettings, path: string, findings: Findings): void {
  const { serverCertificate = '', privateKey = '', tlsCertificates = [] } = tls;
  const isMutual = tls.mode === 'MUTUAL' || tls.mode === 'OPTIONAL_MUTUAL';
  const example = 'credentialName: my-credential';
  if (isMutual && (tls.caCertificates ?? '') === '') findings.missing(path, 'caCertificates', example);
  if (tlsCertificates.length > 2) {
    findings.add('LTN2041', `${path}.tlsCertificates`, {
      field: 'tlsCertificates',
      reason: 'at most two are used',
    });
  }
  const pairs = tlsCertificates.length > 0 ? tlsCertificates : [{ serverCertificate, privateKey }];
  for (const [index, pair] of pairs.entries()) {
    const at = tlsCertificates.length > 0 ? `${path}.tlsCertificates[${index}]` : path;
    if ((pair.serverCertificate ?? '') === '') findings.missing(at, 'serverCertificate', example);
    if ((pair.privateKey ?? '') === '') findings.missing(at, 'privateKey', example);
  }
}

/**
 * Compliance policies (COMPLIANCE_POLICY): which cryptography TLS may use, whatever else is set. What they mean for this process'
 * own connections; for Envoy's see xds/tls/compliance.ts. A policy makes no module a validated one: that is the operator's part.
 * Source: istio pkg/features/security.go, pkg/model/fips.go EnforceGoCompliance.
 */
import type { SecureContextOptions } from 'node:tls';

/** '' for no limits. */
export type CompliancePolicy = '' | 'fips-140-2' | 'fips-140-3' | 'pqc';

/** The limits as node:tls takes them. */
export type TlsLimits = Pick<SecureContextOptions, 'minVersion' | 'maxVersion' | 'ciphers' | 'ecdhCurve'>;

const POLICIES: readonly CompliancePolicy[] = ['', 'fips-140-2', 'fips-140-3', 'pqc'];
const TLS_1_2_SUITES = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
];
const TLS_1_3_SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384'];

/** The policy of that name; undefined for none that is known. */
export function readCompliancePolicy(text: string): CompliancePolicy | undefined {
  return POLICIES.find((known) => known === text);
}

/** What connections of this process may use. */
export function tlsLimits(policy: CompliancePolicy): TlsLimits {
  switch (policy) {
    case '':
      return { minVersion: 'TLSv1.2' };
    case 'fips-140-2':
      return {
        minVersion: 'TLSv1.2',
        maxVersion: 'TLSv1.2',
        ciphers: TLS_1_2_SUITES.join(':'),
        ecdhCurve: 'P-256',
      };
    case 'fips-140-3':
      return {
        minVersion: 'TLSv1.2',
        maxVersion: 'TLSv1.3',
        ciphers: [...TLS_1_3_SUITES, ...TLS_1_2_SUITES].join(':'),
        ecdhCurve: 'P-256:P-384',
      };
    case 'pqc':
      return { minVersion: 'TLSv1.3', ciphers: TLS_1_3_SUITES.join(':'), ecdhCurve: 'X25519MLKEM768' };
  }
}

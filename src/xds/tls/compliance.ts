/**
 * What COMPLIANCE_POLICY leaves of the parameters of TLS: the last word over all settings, in the mesh and at its edges. Envoy's own
 * build knows more cipher suites than a validated one, so where a policy allows only some they are always named.
 * Source: istio pkg/model/fips.go EnforceCompliance.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { CompliancePolicy } from '#base/compliance.ts';
import {
  TlsParameters_CompliancePolicy as EnvoyPolicy,
  TlsParameters_TlsProtocol as TlsProtocol,
  type TlsParametersSchema,
} from '#proto/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';

type Parameters = MessageInitShape<typeof TlsParametersSchema>;

const FIPS_CIPHER_SUITES: readonly string[] = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
];

/** The parameters under a policy; undefined where there were none and the policy wants none. */
export function compliant(
  policy: CompliancePolicy,
  parameters: Parameters | undefined,
): Parameters | undefined {
  switch (policy) {
    case '':
      return parameters;
    case 'fips-140-2': {
      const allowed = (parameters?.cipherSuites ?? []).filter((suite) => FIPS_CIPHER_SUITES.includes(suite));
      return {
        ...parameters,
        tlsMinimumProtocolVersion: TlsProtocol.TLSv1_2,
        tlsMaximumProtocolVersion: TlsProtocol.TLSv1_2,
        cipherSuites: [...(allowed.length > 0 ? allowed : FIPS_CIPHER_SUITES)],
        ecdhCurves: ['P-256'],
      };
    }
    case 'fips-140-3':
      return { ...parameters, compliancePolicies: [EnvoyPolicy.FIPS_202205] };
    case 'pqc':
      return {
        ...parameters,
        tlsMinimumProtocolVersion: TlsProtocol.TLSv1_3,
        tlsMaximumProtocolVersion: TlsProtocol.TLSv1_3,
        cipherSuites: [...FIPS_CIPHER_SUITES],
        ecdhCurves: ['X25519MLKEM768'],
      };
  }
}

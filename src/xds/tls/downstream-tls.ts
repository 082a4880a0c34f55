/**
 * The TLS side that a sidecar shows to its peers: the workload's own certificate, and a client certificate demanded
 * that the mesh root signed and whose SPIFFE id lies in a trusted domain. Secrets come from the agent over SDS.
 * Source: istio pilot/pkg/security/authn BuildInboundTLS. The mesh ALPN names are Istio's, without
 * istio-peer-exchange, which would make genuine peers send a frame that stock Envoy cannot read (envoy.md).
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { TransportSocket } from '#proto/envoy/config/core/v3/base_pb.ts';
import { TransportSocketSchema } from '#proto/envoy/config/core/v3/base_pb.ts';
import { TlsParameters_TlsProtocol as TlsProtocol } from '#proto/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import { DownstreamTlsContextSchema } from '#proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import type { CompliancePolicy } from '#base/compliance.ts';
import type { MountedCertificates } from '#model/mounted-certificates.ts';
import type { SecretServers } from '#model/secret-servers.ts';
import { packAny } from '#xds/encode.ts';
import { compliant } from './compliance.ts';
import { serverCertificate, serverRoots } from '#xds/secrets/sds-secret.ts';

/** ALPN names by which a mesh client says that it speaks mesh mTLS, and what it carries. */
export const MESH_HTTP_ALPN: readonly string[] = ['istio-http/1.0', 'istio-http/1.1', 'istio-h2'];
export const MESH_TCP_ALPN: readonly string[] = ['istio-peer-exchange', 'istio'];
export const MESH_ALPN: readonly string[] = ['istio', 'istio-peer-exchange', ...MESH_HTTP_ALPN];

const CIPHER_SUITES: readonly string[] = [
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-GCM-SHA256',
];

/** What a mesh mTLS server context depends on. */
export interface MeshServerTlsInput {
  /** Trust domain and its aliases; a client's SPIFFE id must lie in one of them. */
  readonly trustDomains: readonly string[];
  readonly minimumVersion: 'TLSv1_2' | 'TLSv1_3';
  /** The mesh's own choice; empty: ours. */
  readonly cipherSuites: readonly string[];
  /** Files of the proxy that stand in for its own certificate and the mesh's roots; undefined as a rule. */
  readonly mounted: MountedCertificates | undefined;
  /** Who hands out secrets beside the proxy. */
  readonly secretServers: SecretServers;
  readonly compliance: CompliancePolicy;
}

/** The server side of mesh mTLS, as a transport socket. */
export function buildMeshServerTls(input: MeshServerTlsInput): TransportSocket {
  const tlsParams = compliant(input.compliance, {
    tlsMinimumProtocolVersion: input.minimumVersion === 'TLSv1_3' ? TlsProtocol.TLSv1_3 : TlsProtocol.TLSv1_2,
    tlsMaximumProtocolVersion: TlsProtocol.TLSv1_3,
    cipherSuites: [...(input.cipherSuites.length > 0 ? input.cipherSuites : CIPHER_SUITES)],
  });
  const context: MessageInitShape<typeof DownstreamTlsContextSchema> = {
    requireClientCertificate: true,
    commonTlsContext: {
      alpnProtocols: ['h2', 'http/1.1'],
      ...(tlsParams === undefined ? {} : { tlsParams }),
      tlsCertificateSdsSecretConfigs: [serverCertificate(input.mounted, input.secretServers)],
      validationContextType: {
        case: 'combinedValidationContext',
        value: {
          defaultValidationContext: {
            // The older of Envoy's two fields, as Istio writes it: tools that read Istio's configuration look here.
            matchSubjectAltNames: input.trustDomains.map((domain) => ({
              matchPattern: { case: 'prefix' as const, value: `spiffe://${domain}/` },
            })),
          },
          validationContextSdsSecretConfig: serverRoots(input.mounted, input.secretServers),
        },
      },
    },
  };
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: packAny(DownstreamTlsContextSchema, create(DownstreamTlsContextSchema, context)),
    },
  });
}

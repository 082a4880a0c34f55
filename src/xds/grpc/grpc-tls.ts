/**
 * Mesh mTLS as gRPC libraries take it: certificates come from the provider `default` of their bootstrap, not over SDS.
 * Both the current and the former fields are filled, for old libraries and new. Source: Istio pilot/pkg/networking/grpcgen/grpcgen.go buildCommonTLSContext; gRFC A29.
 */
import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { type TransportSocket, TransportSocketSchema } from '#proto/envoy/config/core/v3/base_pb.ts';
import {
  type CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '#proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { packAny } from '#xds/encode.ts';

const PROVIDER = 'default';
const IDENTITY = { instanceName: PROVIDER, certificateName: 'default' };
const ROOTS = { instanceName: PROVIDER, certificateName: 'ROOTCA' };

/** What a client expects and shows. `identities`: SPIFFE ids that the server may have; any of the mesh when empty. */
export function clientTransportSocket(identities: readonly string[]): TransportSocket {
  const context = create(UpstreamTlsContextSchema, { commonTlsContext: commonTlsContext(identities) });
  return tlsSocket(UpstreamTlsContextSchema, context);
}

/** What a server expects: a certificate of the mesh. */
export function serverTransportSocket(): TransportSocket {
  const context = create(DownstreamTlsContextSchema, {
    commonTlsContext: commonTlsContext([]),
    requireClientCertificate: true,
  });
  return tlsSocket(DownstreamTlsContextSchema, context);
}

function commonTlsContext(identities: readonly string[]): MessageInitShape<typeof CommonTlsContextSchema> {
  const matchSubjectAltNames = identities.map((value) => ({
    matchPattern: { case: 'exact' as const, value },
  }));
  return {
    tlsCertificateProviderInstance: IDENTITY,
    tlsCertificateCertificateProviderInstance: IDENTITY,
    validationContextType: {
      case: 'combinedValidationContext',
      value: {
        validationContextCertificateProviderInstance: ROOTS,
        defaultValidationContext: { matchSubjectAltNames, caCertificateProviderInstance: ROOTS },
      },
    },
  };
}

function tlsSocket<D extends DescMessage>(schema: D, context: MessageShape<D>): TransportSocket {
  return create(TransportSocketSchema, {
    // Libraries take no other name.
    name: 'envoy.transport_sockets.tls',
    configType: { case: 'typedConfig', value: packAny(schema, context) },
  });
}

/**
 * Transport sockets of outbound clusters: mesh mTLS with the workload's certificate, TLS as a DestinationRule describes
 * it, plain text, and the choice between mTLS and plain text by the endpoint's metadata.
 * ALPN: mesh connections offer `istio` first, but never istio-peer-exchange: genuine Istio peers would then send a frame
 * that stock Envoy cannot read (envoy.md section 2).
 * Source: Istio pilot/pkg/networking/core/cluster_tls.go.
 */
import { create } from '@bufbuild/protobuf';
import type { CompliancePolicy } from '#base/compliance.ts';
import {
  type Cluster_TransportSocketMatch,
  Cluster_TransportSocketMatchSchema,
} from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { type TransportSocket, TransportSocketSchema } from '#proto/envoy/config/core/v3/base_pb.ts';
import { ProxyProtocolConfig_Version as ProxyProtocolVersion } from '#proto/envoy/config/core/v3/proxy_protocol_pb.ts';
import { ProxyProtocolUpstreamTransportSchema } from '#proto/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts';
import { RawBufferSchema } from '#proto/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts';
import {
  type CertificateValidationContextSchema,
  TlsParameters_TlsProtocol as TlsProtocol,
} from '#proto/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import {
  type CommonTlsContextSchema,
  UpstreamTlsContextSchema,
} from '#proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { packAny } from '#xds/encode.ts';
import {
  agentSecret,
  CA_SUFFIX,
  credentialSecret,
  fileCertificateSecret,
  fileRootSecret,
  ROOT_SECRET,
  servedCredentials,
  WORKLOAD_SECRET,
} from '#xds/secrets/sds-secret.ts';
import { compliant } from './compliance.ts';
import type { UpstreamTls } from './upstream-settings.ts';
import type { InitOf } from '#xds/message-init.ts';

type CommonInit = InitOf<typeof CommonTlsContextSchema>;
/** TLS as a DestinationRule describes it. */
type UserTls = Extract<UpstreamTls, { kind: 'user' }>;
type ValidationInit = InitOf<typeof CertificateValidationContextSchema>;

/** What a TLS context depends on besides the decision itself. */
export interface UpstreamTlsInput {
  readonly tls: UpstreamTls;
  /** The cluster speaks HTTP/2 and says so in ALPN. */
  readonly isHttp2: boolean;
  /** Mesh-wide limits for TLS outside of the mesh; empty for Envoy's own. */
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
  readonly compliance: CompliancePolicy;
}

/** The socket that speaks TLS. */
export function buildUpstreamTls(input: UpstreamTlsInput): TransportSocket {
  const { tls } = input;
  const sni = tls.kind === 'mesh' ? tls.sni : (tls.settings.sni ?? '');
  const commonTlsContext =
    tls.kind === 'mesh' ? meshContext(tls.subjectAltNames, input) : userContext(tls, input);
  const tlsParams = compliant(input.compliance, commonTlsContext.tlsParams);
  const context = create(UpstreamTlsContextSchema, {
    sni,
    commonTlsContext: { ...commonTlsContext, ...(tlsParams === undefined ? {} : { tlsParams }) },
  });
  return transportSocket('tls', packAny(UpstreamTlsContextSchema, context));
}

function meshContext(subjectAltNames: readonly string[], input: UpstreamTlsInput): CommonInit {
  return {
    tlsParams: versions(),
    alpnProtocols: input.isHttp2 ? ['istio', 'h2'] : ['istio'],
    tlsCertificateSdsSecretConfigs: [agentSecret(WORKLOAD_SECRET)],
    validationContextType: {
      case: 'combinedValidationContext',
      value: {
        defaultValidationContext: exactNames(subjectAltNames),
        validationContextSdsSecretConfig: agentSecret(ROOT_SECRET),
      },
    },
  };
}

function userContext(tls: UserTls, input: UpstreamTlsInput): CommonInit {
  const certificates = tls.settings.mode === 'MUTUAL' ? [clientCertificate(tls)] : [];
  return {
    tlsParams: {
      ...versions(),
      cipherSuites: [...input.cipherSuites],
      ecdhCurves: [...input.ecdhCurves],
    },
    alpnProtocols: input.isHttp2 ? ['h2'] : [],
    tlsCertificateSdsSecretConfigs: certificates,
    ...validation(tls),
  };
}

function clientCertificate({ settings, secretServers }: UserTls): ReturnType<typeof agentSecret> {
  if (settings.credentialName) return credentialSecret(settings.credentialName, secretServers);
  return fileCertificateSecret(settings.clientCertificate ?? '', settings.privateKey ?? '', secretServers);
}

/** How the server's certificate is checked: against named CAs, else against those of the system; or not at all. */
function validation({
  settings,
  subjectAltNames,
  secretServers,
}: UserTls): Pick<CommonInit, 'validationContextType'> {
  const { credentialName } = settings;
  if (settings.insecureSkipVerify === true) {
    return credentialName ? {} : { validationContextType: { case: 'validationContext', value: {} } };
  }
  const names = exactNames(subjectAltNames);
  const withRevocations: ValidationInit =
    settings.caCrl && !credentialName
      ? { ...names, crl: { specifier: { case: 'filename', value: settings.caCrl } } }
      : names;
  const validationContextSdsSecretConfig = credentialName
    ? credentialSecret(`${credentialName}${CA_SUFFIX}`, secretServers)
    : fileRootSecret(settings.caCertificates || 'system', secretServers);
  return {
    validationContextType: {
      case: 'combinedValidationContext',
      value: { defaultValidationContext: withRevocations, validationContextSdsSecretConfig },
    },
  };
}

function exactNames(names: readonly string[]): ValidationInit {
  return {
    matchSubjectAltNames: names.map((name) => ({ matchPattern: { case: 'exact' as const, value: name } })),
  };
}

/** Envoy's client default ends at TLS 1.2. */
function versions(): NonNullable<CommonInit['tlsParams']> {
  return {
    tlsMinimumProtocolVersion: TlsProtocol.TLSv1_2,
    tlsMaximumProtocolVersion: TlsProtocol.TLSv1_3,
  };
}

/** Names of secrets that the control plane serves for this TLS; empty for mesh mTLS and files, which the agent serves. */
export function upstreamSecrets(tls: UpstreamTls | undefined): readonly string[] {
  if (tls?.kind !== 'user' || !tls.settings.credentialName) return [];
  const { credentialName, mode, insecureSkipVerify } = tls.settings;
  const certificates = mode === 'MUTUAL' ? [credentialName] : [];
  const all = insecureSkipVerify === true ? certificates : [...certificates, `${credentialName}${CA_SUFFIX}`];
  return servedCredentials(all, tls.secretServers);
}

/** Plain text. */
export function plainSocket(): TransportSocket {
  return transportSocket('raw_buffer', packAny(RawBufferSchema, create(RawBufferSchema)));
}

/** The choice per endpoint: `socket` for those whose metadata says that they accept mesh mTLS, plain text for the others. */
export function meshOrPlain(socket: TransportSocket): Cluster_TransportSocketMatch[] {
  return [
    create(Cluster_TransportSocketMatchSchema, {
      name: 'tlsMode-istio',
      match: { tlsMode: 'istio' },
      transportSocket: socket,
    }),
    create(Cluster_TransportSocketMatchSchema, {
      name: 'tlsMode-disabled',
      match: {},
      transportSocket: plainSocket(),
    }),
  ];
}

/** A socket that first tells the server by PROXY protocol who the client is. */
export function behindProxyProtocol(socket: TransportSocket, version: 'V1' | 'V2'): TransportSocket {
  const transport = create(ProxyProtocolUpstreamTransportSchema, {
    config: { version: ProxyProtocolVersion[version] },
    transportSocket: socket,
  });
  return transportSocket('upstream_proxy_protocol', packAny(ProxyProtocolUpstreamTransportSchema, transport));
}

function transportSocket(name: string, value: ReturnType<typeof packAny>): TransportSocket {
  return create(TransportSocketSchema, {
    name: `envoy.transport_sockets.${name}`,
    configType: { case: 'typedConfig', value },
  });
}

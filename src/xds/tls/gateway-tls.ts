/**
 * The TLS side that a gateway shows to clients: certificates by SDS from the control plane (credentialName), from files
 * by the agent, or the workload's own (ISTIO_MUTUAL), and what is demanded of the client's certificate.
 * Source: istio pilot/pkg/networking/core/listener.go BuildListenerTLSContext, pilot/pkg/security/model.
 */
import { isCipherSuite } from '#api/server-tls-rules.ts';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { ServerTlsSettings } from '#api/gateway.ts';
import type { CompliancePolicy } from '#base/compliance.ts';
import type { MountedCertificates } from '#model/mounted-certificates.ts';
import type { TransportSocket } from '#proto/envoy/config/core/v3/base_pb.ts';
import { TransportSocketSchema } from '#proto/envoy/config/core/v3/base_pb.ts';
import {
  CertificateValidationContext_TrustChainVerification as TrustChain,
  type CertificateValidationContextSchema,
  TlsParameters_TlsProtocol as TlsProtocol,
  type TlsParametersSchema,
} from '#proto/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import { QuicDownstreamTransportSchema } from '#proto/envoy/extensions/transport_sockets/quic/v3/quic_transport_pb.ts';
import type { SdsSecretConfig } from '#proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import {
  type CommonTlsContextSchema,
  DownstreamTlsContextSchema,
} from '#proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { type StringMatcher, StringMatcherSchema } from '#proto/envoy/type/matcher/v3/string_pb.ts';
import type { SecretServers } from '#model/secret-servers.ts';
import type { GatewayTlsDefaults } from '#scope/gateway-facts.ts';
import { packAny } from '#xds/encode.ts';
import {
  agentSecret,
  CA_SUFFIX,
  credentialSecret,
  externalSecretClusters,
  fileCertificateSecret,
  fileRootSecret,
  ROOT_SECRET,
  type SecretPlaces,
  serverCertificate,
  servedCredentials,
  serverRoots,
  WORKLOAD_SECRET,
} from '#xds/secrets/sds-secret.ts';
import { compliant } from './compliance.ts';

export interface GatewayTlsInput {
  readonly settings: ServerTlsSettings;
  readonly carries: 'http' | 'http3' | 'tcp';
  readonly defaults: GatewayTlsDefaults;
  /** Files of the proxy that stand in for its own certificate, under ISTIO_MUTUAL only. */
  readonly mounted: MountedCertificates | undefined;
  readonly compliance: CompliancePolicy;
  /** Who hands out secrets beside the proxy. */
  readonly secretServers: SecretServers;
}

/** What names of secrets depend on. */
type SecretInput = Pick<GatewayTlsInput, 'settings' | 'defaults' | 'secretServers'>;

/** Where a server's secrets come from: the proxy's own surroundings, and the mesh's. */
function placesOf({ secretServers, defaults }: Omit<SecretInput, 'settings'>): SecretPlaces {
  return { ...secretServers, provider: defaults.secretProvider };
}

type Validation = MessageInitShape<typeof CertificateValidationContextSchema>;

/** Builds the transport socket of a chain in which TLS ends. */
export function buildGatewayTls(input: GatewayTlsInput): TransportSocket {
  const { settings } = input;
  const mode = settings.mode ?? 'PASSTHROUGH';
  const context: MessageInitShape<typeof DownstreamTlsContextSchema> = {
    commonTlsContext: commonContext(input, mode),
    requireClientCertificate: mode === 'MUTUAL' || mode === 'ISTIO_MUTUAL',
  };
  if (input.carries === 'http3') return quicSocket(context);
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: packAny(DownstreamTlsContextSchema, create(DownstreamTlsContextSchema, context)),
    },
  });
}

function quicSocket(context: MessageInitShape<typeof DownstreamTlsContextSchema>): TransportSocket {
  const transport = create(QuicDownstreamTransportSchema, { downstreamTlsContext: context });
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.quic',
    configType: { case: 'typedConfig', value: packAny(QuicDownstreamTransportSchema, transport) },
  });
}

/** Names of secrets that the control plane serves for these settings. */
export function gatewaySecrets(settings: ServerTlsSettings, places?: SecretPlaces): readonly string[] {
  return servedCredentials(allCredentials(settings), places);
}

/** Clusters over which secrets come that neither agent nor control plane serves. */
export function gatewaySecretClusters(input: SecretInput): readonly string[] {
  return externalSecretClusters(allCredentials(input.settings), placesOf(input));
}

function allCredentials(settings: ServerTlsSettings): readonly string[] {
  if (settings.mode === 'ISTIO_MUTUAL') return [];
  const names = credentialNames(settings);
  if (names.length === 0) return [];
  return checksClient(settings) ? [...names, caCredential(settings, names)] : names;
}

function commonContext(
  input: GatewayTlsInput,
  mode: string,
): MessageInitShape<typeof CommonTlsContextSchema> {
  const { settings, carries, defaults } = input;
  const ofMesh = mode === 'ISTIO_MUTUAL';
  const tlsParams = compliant(input.compliance, ofMesh ? undefined : parameters(settings, defaults));
  const names = ofMesh ? [] : credentialNames(settings);
  const secrets = ofMesh
    ? [serverCertificate(input.mounted, input.secretServers)]
    : names.length > 0
      ? names.map((name) => credentialSecret(name, placesOf(input)))
      : files(settings, input.secretServers);
  return {
    ...(tlsParams === undefined ? {} : { tlsParams }),
    alpnProtocols: alpnProtocols(ofMesh, carries),
    tlsCertificateSdsSecretConfigs: secrets,
    ...validation(input, names),
  };
}

function alpnProtocols(ofMesh: boolean, carries: GatewayTlsInput['carries']): string[] {
  if (carries === 'http3') return ['h3'];
  return ofMesh && carries === 'tcp' ? ['istio', 'h2', 'http/1.1'] : ['h2', 'http/1.1'];
}

function validation(
  input: GatewayTlsInput,
  names: readonly string[],
): Pick<MessageInitShape<typeof CommonTlsContextSchema>, 'validationContextType'> {
  const { settings } = input;
  if (!checksClient(settings)) {
    if (names.length === 0 || (settings.subjectAltNames ?? []).length === 0) return {};
    const value = { matchSubjectAltNames: subjectNames(settings) };
    return { validationContextType: { case: 'validationContext', value } };
  }
  return {
    validationContextType: {
      case: 'combinedValidationContext',
      value: {
        defaultValidationContext: clientRules(settings, names.length > 0),
        validationContextSdsSecretConfig: rootSecret(input, names),
      },
    },
  };
}

function checksClient(settings: ServerTlsSettings): boolean {
  return (
    settings.mode === 'MUTUAL' || settings.mode === 'OPTIONAL_MUTUAL' || settings.mode === 'ISTIO_MUTUAL'
  );
}

/** What is demanded of a client's certificate beyond its root. */
function clientRules(settings: ServerTlsSettings, byCredential: boolean): Validation {
  return {
    // The older of Envoy's two fields, as Istio writes it.
    matchSubjectAltNames: subjectNames(settings),
    ...(byCredential
      ? {
          verifyCertificateSpki: settings.verifyCertificateSpki ?? [],
          verifyCertificateHash: settings.verifyCertificateHash ?? [],
        }
      : {}),
    ...(!byCredential && settings.caCrl
      ? { crl: { specifier: { case: 'filename' as const, value: settings.caCrl } } }
      : {}),
    ...(settings.insecureSkipVerify === true ? { trustChainVerification: TrustChain.ACCEPT_UNTRUSTED } : {}),
  };
}

function subjectNames(settings: ServerTlsSettings): StringMatcher[] {
  return (settings.subjectAltNames ?? []).map((name) =>
    create(StringMatcherSchema, { matchPattern: { case: 'exact', value: name } }),
  );
}

function rootSecret(input: GatewayTlsInput, names: readonly string[]): SdsSecretConfig {
  const { settings, secretServers } = input;
  if (settings.mode === 'ISTIO_MUTUAL') return serverRoots(input.mounted, secretServers);
  if (names.length > 0) return credentialSecret(caCredential(settings, names), placesOf(input));
  return settings.caCertificates
    ? fileRootSecret(settings.caCertificates, secretServers)
    : agentSecret(ROOT_SECRET);
}

function credentialNames(settings: ServerTlsSettings): readonly string[] {
  if ((settings.credentialNames ?? []).length > 0) return settings.credentialNames ?? [];
  return settings.credentialName ? [settings.credentialName] : [];
}

function caCredential(settings: ServerTlsSettings, names: readonly string[]): string {
  return settings.caCertCredentialName || `${names[0] ?? ''}${CA_SUFFIX}`;
}

/** Files of the pod, which the agent reads and serves again when they change. */
function files(settings: ServerTlsSettings, servers: SecretServers): SdsSecretConfig[] {
  const pairs = settings.tlsCertificates?.length ? settings.tlsCertificates : [settings];
  return pairs.map(({ serverCertificate, privateKey }) =>
    serverCertificate && privateKey
      ? fileCertificateSecret(serverCertificate, privateKey, servers)
      : agentSecret(WORKLOAD_SECRET),
  );
}

const PROTOCOLS: Readonly<Record<string, TlsProtocol>> = {
  TLSV1_0: TlsProtocol.TLSv1_0,
  TLSV1_1: TlsProtocol.TLSv1_1,
  TLSV1_2: TlsProtocol.TLSv1_2,
  TLSV1_3: TlsProtocol.TLSv1_3,
};

/** TLS versions and ciphers: the server's own, else the mesh's; none: Envoy's own. */
function parameters(
  settings: ServerTlsSettings,
  defaults: GatewayTlsDefaults,
): MessageInitShape<typeof TlsParametersSchema> | undefined {
  const minimum = PROTOCOLS[settings.minProtocolVersion ?? ''] ?? PROTOCOLS[defaults.minimumVersion];
  const maximum = PROTOCOLS[settings.maxProtocolVersion ?? ''];
  const own = knownCipherSuites(settings.cipherSuites ?? []);
  const cipherSuites = own.length > 0 ? own : [...defaults.cipherSuites];
  const ownCurves = settings.ecdhCurves ?? [];
  const ecdhCurves = [...(ownCurves.length > 0 ? ownCurves : defaults.ecdhCurves)];
  if (minimum === undefined && maximum === undefined && cipherSuites.length + ecdhCurves.length === 0)
    return undefined;
  return {
    ...(minimum === undefined ? {} : { tlsMinimumProtocolVersion: minimum }),
    ...(maximum === undefined ? {} : { tlsMaximumProtocolVersion: maximum }),
    cipherSuites,
    ecdhCurves,
  };
}

/** Envoy refuses a listener that names a cipher suite which BoringSSL lacks; expressions (`[a|b]`, `-ALL`) pass. */
function knownCipherSuites(suites: readonly string[]): string[] {
  const known = suites.filter((suite) => suite !== '' && isCipherSuite(suite));
  return [...new Set(known)];
}

/**
 * References to secrets: which name is asked of whom. Workload certificates, and files mounted into the pod, come from
 * the agent over its socket (cluster `sds-grpc`); credentials that a user keeps as Secrets come over ADS, and those named `sds://…`
 * from a server in the pod or from the mesh's own. Where another agent has the workload's certificate, `sds-grpc` is that agent.
 * Source: Istio pilot/pkg/security/model/authentication.go and pkg/security SdsCertificateConfig.
 */
import { create } from '@bufbuild/protobuf';
import {
  type SdsSecretConfig,
  SdsSecretConfigSchema,
} from '#proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import type { MountedCertificates } from '#model/mounted-certificates.ts';
import type { SecretProvider } from '#model/secret-provider.ts';
import { AGENT_ONLY, type SecretServers } from '#model/secret-servers.ts';
import { adsConfigSource, sdsConfigSource, serverConfigSource } from '#xds/config-source.ts';
import { outboundClusterName } from '#xds/names.ts';

/** Name of the workload's own key and certificate. */
export const WORKLOAD_SECRET = 'default';
/** Name of the mesh's root certificates. */
export const ROOT_SECRET = 'ROOTCA';
/** Added to a credential's name for its CA certificate. */
export const CA_SUFFIX = '-cacert';

const CREDENTIAL_SCHEMES: readonly string[] = ['kubernetes://', 'configmap://', 'kubernetes-gateway://'];
/** Gateway API's name for "the workload's own certificate". */
const BUILTIN = 'builtin://';
/** A name that stands for a reference that was refused; nobody serves it. */
const INVALID = 'invalid://';
const EXTERNAL = 'sds://';
/** Cluster of the server in the pod. Source: Istio pkg/security SDSExternalClusterName. */
export const EXTERNAL_SDS_CLUSTER = 'sds-external';
/** Cluster of the agent's second socket. Source: Istio pkg/model SDSFileClusterName. */
const FILES_SDS_CLUSTER = 'sds-files-grpc';

/** Who there is to ask for secrets beside agent and control plane. */
export interface SecretPlaces extends SecretServers {
  readonly provider?: SecretProvider | undefined;
}

/** A secret of the mesh that the agent serves; Envoy waits for it as long as it takes. */
export function agentSecret(name: string): SdsSecretConfig {
  return create(SdsSecretConfigSchema, { name, sdsConfig: sdsConfigSource() });
}

/** A secret that the agent reads from files, which may never be there: Envoy waits for a while only. */
function fileSecret(name: string, { files }: SecretServers): SdsSecretConfig {
  const sdsConfig = files ? serverConfigSource(FILES_SDS_CLUSTER) : sdsConfigSource();
  delete sdsConfig.initialFetchTimeout;
  return create(SdsSecretConfigSchema, { name, sdsConfig });
}

/** A certificate and key in files of the pod, `file-cert:CERTIFICATE~KEY`. */
export function fileCertificateSecret(
  certificatePath: string,
  keyPath: string,
  servers = AGENT_ONLY,
): SdsSecretConfig {
  return fileSecret(`file-cert:${certificatePath}~${keyPath}`, servers);
}

/** CA certificates in a file of the pod, or `system` for those of the machine. */
export function fileRootSecret(path: string, servers = AGENT_ONLY): SdsSecretConfig {
  return fileSecret(`file-root:${path}`, servers);
}

/** What a sidecar shows to its clients: its own certificate, unless files of the pod stand in for it. */
export function serverCertificate(
  mounted: MountedCertificates | undefined,
  servers: SecretServers,
): SdsSecretConfig {
  const { certificateChain = '', privateKey = '' } = mounted ?? {};
  const isPair = certificateChain !== '' && privateKey !== '';
  return isPair ? fileCertificateSecret(certificateChain, privateKey, servers) : agentSecret(WORKLOAD_SECRET);
}

/** What it checks its clients' certificates against: the mesh's roots, unless a file of the pod stands in for them. */
export function serverRoots(
  mounted: MountedCertificates | undefined,
  servers: SecretServers,
): SdsSecretConfig {
  return mounted?.rootCertificates
    ? fileRootSecret(mounted.rootCertificates, servers)
    : agentSecret(ROOT_SECRET);
}

/** The secret of a credentialName: a Secret in the proxy's namespace unless the name says otherwise. */
export function credentialSecret(credentialName: string, places: SecretPlaces = AGENT_ONLY): SdsSecretConfig {
  const external = externalSecret(credentialName, places);
  if (external !== undefined) {
    const sdsConfig = serverConfigSource(external.cluster, external.authority);
    return create(SdsSecretConfigSchema, { name: external.name, sdsConfig });
  }
  const name = credentialResourceName(credentialName, places);
  if (name === WORKLOAD_SECRET || name === ROOT_SECRET) return agentSecret(name);
  const sdsConfig = adsConfigSource();
  // A Secret may not exist yet: waiting for it must not hold up the whole cluster or listener for ever.
  delete sdsConfig.initialFetchTimeout;
  return create(SdsSecretConfigSchema, { name, sdsConfig });
}

/** A secret that neither agent nor control plane serves. */
interface ExternalSecret {
  readonly name: string;
  readonly cluster: string;
  /** What the request calls the server; '' for its cluster's name. */
  readonly authority: string;
}

/** The server in the pod knows whole names; the mesh's own knows them without the scheme. */
function externalSecret(credentialName: string, places: SecretPlaces): ExternalSecret | undefined {
  if (!credentialName.startsWith(EXTERNAL)) return undefined;
  if (places.credentials) return { name: credentialName, cluster: EXTERNAL_SDS_CLUSTER, authority: '' };
  if (places.provider === undefined || places.provider.hostname === '') return undefined;
  const { hostname, port } = places.provider;
  const cluster = outboundClusterName(port, '', hostname);
  return { name: credentialName.slice(EXTERNAL.length), cluster, authority: hostname };
}

/** Clusters of the servers that these credentials come from. */
export function externalSecretClusters(
  credentialNames: readonly string[],
  places: SecretPlaces,
): readonly string[] {
  const clusters = credentialNames.flatMap((name) => externalSecret(name, places)?.cluster ?? []);
  return [...new Set(clusters)];
}

/** Name under which a credentialName's secret is asked for. Source: Istio pilot/pkg/model/credentials ToResourceName. */
export function credentialResourceName(credentialName: string, places: SecretPlaces = AGENT_ONLY): string {
  if (credentialName.startsWith(BUILTIN))
    return credentialName.endsWith(CA_SUFFIX) ? ROOT_SECRET : WORKLOAD_SECRET;
  if (credentialName.startsWith(INVALID)) return INVALID;
  // A provider that cannot be found is not replaced by a Secret of that name: nobody serves it.
  if (credentialName.startsWith(EXTERNAL) && places.provider?.hostname === '') return INVALID;
  const name = credentialName.startsWith(EXTERNAL) ? credentialName.slice(EXTERNAL.length) : credentialName;
  return CREDENTIAL_SCHEMES.some((scheme) => name.startsWith(scheme)) ? name : `kubernetes://${name}`;
}

/** The names, of those that credentialNames stand for, that the control plane serves; agent and other servers have the rest. */
export function servedCredentials(
  credentialNames: readonly string[],
  places: SecretPlaces = AGENT_ONLY,
): readonly string[] {
  return credentialNames
    .filter((name) => externalSecret(name, places) === undefined)
    .map((name) => credentialResourceName(name, places))
    .filter((name) => name !== WORKLOAD_SECRET && name !== ROOT_SECRET);
}

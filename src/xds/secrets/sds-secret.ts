/**
 * References to secrets: which name is asked of whom. Workload certificates, and files mounted into the pod, come from
 * the agent over its socket (cluster `sds-grpc`); credentials that a user keeps as Secrets come over ADS.
 * Source: Istio pilot/pkg/security/model/authentication.go and pkg/security SdsCertificateConfig.
 */
import { create } from '@bufbuild/protobuf';
import {
  type SdsSecretConfig,
  SdsSecretConfigSchema,
} from '#proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { adsConfigSource, sdsConfigSource } from '#xds/config-source.ts';

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

/** A secret of the mesh that the agent serves; Envoy waits for it as long as it takes. */
export function agentSecret(name: string): SdsSecretConfig {
  return create(SdsSecretConfigSchema, { name, sdsConfig: sdsConfigSource() });
}

/** A secret that the agent reads from files, which may never be there: Envoy waits for a while only. */
function fileSecret(name: string): SdsSecretConfig {
  const secret = agentSecret(name);
  delete secret.sdsConfig?.initialFetchTimeout;
  return secret;
}

/** A certificate and key in files of the pod, `file-cert:CERTIFICATE~KEY`. */
export function fileCertificateSecret(certificatePath: string, keyPath: string): SdsSecretConfig {
  return fileSecret(`file-cert:${certificatePath}~${keyPath}`);
}

/** CA certificates in a file of the pod, or `system` for those of the machine. */
export function fileRootSecret(path: string): SdsSecretConfig {
  return fileSecret(`file-root:${path}`);
}

/** The secret of a credentialName: a Secret in the proxy's namespace unless the name says otherwise. */
export function credentialSecret(credentialName: string): SdsSecretConfig {
  const name = credentialResourceName(credentialName);
  if (name === WORKLOAD_SECRET || name === ROOT_SECRET) return agentSecret(name);
  const sdsConfig = adsConfigSource();
  // A Secret may not exist yet: waiting for it must not hold up the whole cluster or listener for ever.
  delete sdsConfig.initialFetchTimeout;
  return create(SdsSecretConfigSchema, { name, sdsConfig });
}

/** Name under which a credentialName's secret is asked for. Source: Istio pilot/pkg/model/credentials ToResourceName. */
export function credentialResourceName(credentialName: string): string {
  if (credentialName.startsWith(BUILTIN))
    return credentialName.endsWith(CA_SUFFIX) ? ROOT_SECRET : WORKLOAD_SECRET;
  if (credentialName.startsWith(INVALID)) return INVALID;
  const name = credentialName.startsWith(EXTERNAL) ? credentialName.slice(EXTERNAL.length) : credentialName;
  return CREDENTIAL_SCHEMES.some((scheme) => name.startsWith(scheme)) ? name : `kubernetes://${name}`;
}

/** The names, of those that credentialNames stand for, that the control plane serves; the agent serves the others. */
export function servedCredentials(credentialNames: readonly string[]): readonly string[] {
  return credentialNames
    .map(credentialResourceName)
    .filter((name) => name !== WORKLOAD_SECRET && name !== ROOT_SECRET);
}

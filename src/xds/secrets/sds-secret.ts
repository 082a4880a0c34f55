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
import { adsConfigSource, sdsConfigSource } from '../config-source.ts';

/** Name of the workload's own key and certificate. */
export const WORKLOAD_SECRET = 'default';
/** Name of the mesh's root certificates. */
export const ROOT_SECRET = 'ROOTCA';
/** Added to a credential's name for its CA certificate. */
export const CA_SUFFIX = '-cacert';

const CREDENTIAL_SCHEMES: readonly string[] = [
  'kubernetes://',
  'configmap://',
  'kubernetes-gateway://',
  'sds://',
];
/** Gateway API's name for "the workload's own certificate". */
const BUILTIN = 'builtin://';

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

/** A credentialName of a DestinationRule or Gateway: a Secret in the proxy's namespace unless the name says otherwise. */
export function credentialSecret(credentialName: string): SdsSecretConfig {
  if (credentialName === BUILTIN) return agentSecret(WORKLOAD_SECRET);
  if (credentialName === `${BUILTIN}${CA_SUFFIX}`) return agentSecret(ROOT_SECRET);
  const name = CREDENTIAL_SCHEMES.some((scheme) => credentialName.startsWith(scheme))
    ? credentialName
    : `kubernetes://${credentialName}`;
  const sdsConfig = adsConfigSource();
  // A Secret may not exist yet: waiting for it must not hold up the whole cluster or listener for ever.
  delete sdsConfig.initialFetchTimeout;
  return create(SdsSecretConfigSchema, { name, sdsConfig });
}

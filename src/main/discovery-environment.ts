/**
 * What pilot-discovery takes from its environment, as one record: Istio's variables by the names and defaults of
 * discovery-variables.ts. A variable that cannot be heeded ends the start, one without effect or without meaning is told.
 */
import { readCompliancePolicy } from '#base/compliance.ts';
import { judgeVariables, printVariableFindings } from '#base/variable-table.ts';
import { DEFAULT_REGISTRATION, type RegistrationSettings } from '#controllers/workload-registration.ts';
import { type MeshFlags, readMeshFlags } from '#model/mesh-flags.ts';
import { parseTokenRule, type TokenRule } from '#ca/token-rule.ts';
import type { DebugAccessSettings } from './discovery-doors.ts';
import type { ClusterSignerSettings } from './cluster-signers.ts';
import { readServingEnvironment, type ServingEnvironment } from './serving-environment.ts';
import { VariableReader } from './variable-reader.ts';
import { DISCOVERY_PREFIXES, DISCOVERY_VARIABLES, OLDER_DISCOVERY_VARIABLES } from './discovery-variables.ts';

/** The one kind of authority elsewhere that Istio knows. */
const KUBERNETES_SIGNERS = 'ISTIOD_RA_KUBERNETES_API';

/** Values of the variables that have an effect. */
export interface DiscoveryEnvironment extends ServingEnvironment {
  readonly flags: MeshFlags;
  /** '' when not named. */
  readonly clusterId: string;
  readonly namespace: string;
  readonly revision: string;
  readonly sharedMeshConfig: string;
  readonly hasCertificateAuthority: boolean;
  readonly hasDebugPages: boolean;
  readonly debugAccess: DebugAccessSettings;
  /** Where a plugged-in authority lies, if there is one. */
  readonly rootCaFolder: string;
  /** Undefined: the authority's own. */
  readonly defaultCertificateTtlMs: number | undefined;
  readonly maxCertificateTtlMs: number | undefined;
  /** Names of this control plane besides those that it has by Kubernetes. */
  readonly customHosts: readonly string[];
  /** Name of this control plane among others of its cluster; '' when not named. */
  readonly podName: string;
  /** False: this control plane writes whatever others do. */
  readonly electsLeader: boolean;
  /** `namespace/service account` of node proxies that may ask for certificates of workloads on their node. */
  readonly trustedNodeAccounts: ReadonlySet<string>;
  readonly registration: RegistrationSettings;
  /** Name of the ConfigMaps with the mesh's roots. */
  readonly rootsConfigMap: string;
  /** False: revocation lists of a plugged-in authority are not read. */
  readonly hasRevocations: boolean;
  /** Name of the ConfigMaps with them. */
  readonly revocationsConfigMap: string;
  /** For whom tokens of service accounts have to be. */
  readonly tokenAudiences: readonly string[];
  /** Other issuers whose tokens are taken for service accounts. */
  readonly tokenRules: readonly TokenRule[];
  /** Undefined: workload certificates are signed here. */
  readonly signers: ClusterSignerSettings | undefined;
  /** What is to be logged. */
  readonly warnings: readonly string[];
}

/** Reads the record. Errors: throws a text for people when a variable asks for what is not done here. */
export function readDiscoveryEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): DiscoveryEnvironment {
  const known = [...DISCOVERY_VARIABLES, ...OLDER_DISCOVERY_VARIABLES];
  const findings = judgeVariables(environment, known, DISCOVERY_PREFIXES);
  const { warnings, errors: refusals } = printVariableFindings(findings);
  const errors = [...refusals];
  const policy = environment['COMPLIANCE_POLICY'] ?? '';
  if (readCompliancePolicy(policy) === undefined)
    errors.push(`COMPLIANCE_POLICY names no policy that is known: ${policy}`);
  if (errors.length > 0) throw new Error(errors.join('\n'));
  const reader = new VariableReader(environment);
  const mesh = readMeshFlags(environment);
  const nodeAccounts = reader.list('CA_TRUSTED_NODE_ACCOUNTS');
  const values = {
    flags: mesh.flags,
    clusterId: environment['CLUSTER_ID'] ?? '',
    namespace: environment['POD_NAMESPACE'] ?? '',
    revision: environment['REVISION'] ?? '',
    sharedMeshConfig: environment['SHARED_MESH_CONFIG'] ?? '',
    hasCertificateAuthority: environment['ENABLE_CA_SERVER'] !== 'false',
    rootCaFolder: environment['ROOT_CA_DIR'] || './etc/cacerts',
    hasDebugPages: environment['ENABLE_DEBUG_ON_HTTP'] !== 'false',
    debugAccess: {
      isByNamespace: environment['ENABLE_DEBUG_ENDPOINT_AUTH'] !== 'false',
      allowedNamespaces: reader.list('DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES'),
    },
    defaultCertificateTtlMs: reader.durationMs('DEFAULT_WORKLOAD_CERT_TTL'),
    maxCertificateTtlMs: reader.durationMs('MAX_WORKLOAD_CERT_TTL'),
    ...readServingEnvironment(reader),
    customHosts: reader.list('ISTIOD_CUSTOM_HOST'),
    podName: environment['POD_NAME'] ?? '',
    electsLeader: environment['ENABLE_LEADER_ELECTION'] !== 'false',
    trustedNodeAccounts: new Set(nodeAccounts.filter(isAccount)),
    registration: {
      autoRegisters: environment['PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION'] !== 'false',
      checksHealth: mesh.flags.workloadEntryHealthChecks,
      validatesIdentity: environment['ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY'] !== 'false',
      graceMs: reader.durationMs('PILOT_WORKLOAD_ENTRY_GRACE_PERIOD') ?? DEFAULT_REGISTRATION.graceMs,
    },
    rootsConfigMap: environment['PILOT_CA_CERT_CONFIGMAP'] || 'istio-ca-root-cert',
    hasRevocations: environment['PILOT_ENABLE_CA_CRL'] !== 'false',
    revocationsConfigMap: environment['PILOT_CRL_CONFIGMAP'] || 'istio-ca-crl',
    tokenAudiences: reader.list('TOKEN_AUDIENCES', 'istio-ca'),
    tokenRules: tokenRules(environment),
    signers: signerSettings(environment),
  };
  const told = [...mesh.unreadable, ...reader.unreadable].map(
    (name) => `the variable ${name} has a value that cannot be read: its default holds`,
  );
  if (!nodeAccounts.every(isAccount)) {
    told.push('CA_TRUSTED_NODE_ACCOUNTS: what is not of the form namespace/account is left out');
  }
  return { ...values, warnings: [...warnings, ...told] };
}

/** JWT_RULE; TOKEN_ISSUER with AUDIENCE counts outside of clusters only. Errors: throws a text for people. */
function tokenRules(environment: Readonly<Record<string, string | undefined>>): readonly TokenRule[] {
  const text = environment['JWT_RULE'] ?? '';
  const rule = text === '' ? undefined : parseTokenRule(text);
  if (rule?.ok === false) throw new Error(rule.error);
  const issuer = environment['TOKEN_ISSUER'] ?? '';
  const audience = environment['AUDIENCE'] ?? '';
  const isOutside = (environment['KUBERNETES_SERVICE_HOST'] ?? '') === '';
  const hasIssuer = issuer !== '' && audience !== '' && isOutside;
  return [
    ...(rule === undefined ? [] : [rule.value]),
    ...(hasIssuer ? [{ issuer, audiences: [audience], jwksUri: '', jwks: '' }] : []),
  ];
}

/** Errors: throws a text for people. */
function signerSettings(
  environment: Readonly<Record<string, string | undefined>>,
): ClusterSignerSettings | undefined {
  const kind = environment['EXTERNAL_CA'] ?? '';
  if (kind === '') return undefined;
  if (kind !== KUBERNETES_SIGNERS) throw new Error(`EXTERNAL_CA can be ${KUBERNETES_SIGNERS} only`);
  const defaultSigner = environment['K8S_SIGNER'] ?? '';
  const signerDomain = environment['CERT_SIGNER_DOMAIN'] ?? '';
  if (defaultSigner === '' && signerDomain === '')
    throw new Error('EXTERNAL_CA: K8S_SIGNER or CERT_SIGNER_DOMAIN has to say who signs');
  return { defaultSigner, signerDomain };
}

/** `namespace/service account`. */
function isAccount(text: string): boolean {
  return /^[^/]+\/[^/]+$/.test(text);
}

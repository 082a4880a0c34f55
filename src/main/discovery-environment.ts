/**
 * What pilot-discovery takes from its environment, as one record: Istio's variables by the names and defaults of
 * discovery-variables.ts. A variable that cannot be heeded ends the start, one without effect or without meaning is told.
 */
import type { GrpcLimits } from '#ads/grpc-limits.ts';
import { parseDurationMs } from '#base/duration.ts';
import { judgeVariables, printVariableFindings } from '#base/variable-table.ts';
import { DEFAULT_REGISTRATION, type RegistrationSettings } from '#controllers/workload-registration.ts';
import { type MeshFlags, readMeshFlags } from '#model/mesh-flags.ts';
import { parseTokenRule, type TokenRule } from '#ca/token-rule.ts';
import type { DebugAccessSettings } from './discovery-doors.ts';
import type { ClusterSignerSettings } from './cluster-signers.ts';
import { type ResourceFilter, resourceFilter } from './resource-filter.ts';
import { DISCOVERY_PREFIXES, DISCOVERY_VARIABLES, OLDER_DISCOVERY_VARIABLES } from './discovery-variables.ts';

/** The one kind of authority elsewhere that Istio knows. */
const KUBERNETES_SIGNERS = 'ISTIOD_RA_KUBERNETES_API';

/** Values of the variables that have an effect. */
export interface DiscoveryEnvironment {
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
  /** Between fetches of a token issuer's key set; undefined: Istio's. */
  readonly keySetRefreshMs: number | undefined;
  /** What one caller may take, and when it is asked whether it is still there. */
  readonly grpcLimits: Partial<GrpcLimits>;
  /** Which custom resources are read. */
  readonly isRead: ResourceFilter;
  /** The one namespace that is watched; '' for all. */
  readonly watchNamespace: string;
  /** Metrics are shown to this machine only. */
  readonly hasLocalMetrics: boolean;
  /** What is to be logged. */
  readonly warnings: readonly string[];
}

/** Reads the record. Errors: throws a text for people when a variable asks for what is not done here. */
export function readDiscoveryEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): DiscoveryEnvironment {
  const known = [...DISCOVERY_VARIABLES, ...OLDER_DISCOVERY_VARIABLES];
  const findings = judgeVariables(environment, known, DISCOVERY_PREFIXES);
  const { warnings, errors } = printVariableFindings(findings);
  if (errors.length > 0) throw new Error(errors.join('\n'));
  const unreadable: string[] = [];
  const duration = (name: string): number | undefined => {
    const text = environment[name] ?? '';
    if (text === '') return undefined;
    const read = parseDurationMs(text);
    if (read.ok && read.value > 0) return read.value;
    unreadable.push(name);
    return undefined;
  };
  const count = (name: string): number | undefined => {
    const text = environment[name] ?? '';
    if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
    if (text !== '') unreadable.push(name);
    return undefined;
  };
  const mesh = readMeshFlags(environment);
  const nodeAccounts = listOf(environment['CA_TRUSTED_NODE_ACCOUNTS']);
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
      allowedNamespaces: listOf(environment['DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES']),
    },
    defaultCertificateTtlMs: duration('DEFAULT_WORKLOAD_CERT_TTL'),
    maxCertificateTtlMs: duration('MAX_WORKLOAD_CERT_TTL'),
    keySetRefreshMs: duration('PILOT_JWT_PUB_KEY_REFRESH_INTERVAL'),
    grpcLimits: grpcLimits({
      messageBytes: count('ISTIO_GPRC_MAXRECVMSGSIZE'),
      streams: count('ISTIO_GPRC_MAXSTREAMS'),
      pingIntervalMs: duration('GRPC_KEEPALIVE_INTERVAL'),
      pingTimeoutMs: duration('GRPC_KEEPALIVE_TIMEOUT'),
    }),
    isRead: resourceFilter(
      listOf(environment['PILOT_IGNORE_RESOURCES']),
      listOf(environment['PILOT_INCLUDE_RESOURCES']),
    ),
    watchNamespace: environment['ISTIO_WATCH_NAMESPACE'] ?? '',
    hasLocalMetrics: environment['METRICS_LOCALHOST_ACCESS_ONLY'] === 'true',
    customHosts: listOf(environment['ISTIOD_CUSTOM_HOST']),
    podName: environment['POD_NAME'] ?? '',
    electsLeader: environment['ENABLE_LEADER_ELECTION'] !== 'false',
    trustedNodeAccounts: new Set(nodeAccounts.filter(isAccount)),
    registration: {
      autoRegisters: environment['PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION'] !== 'false',
      checksHealth: mesh.flags.workloadEntryHealthChecks,
      validatesIdentity: environment['ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY'] !== 'false',
      graceMs: duration('PILOT_WORKLOAD_ENTRY_GRACE_PERIOD') ?? DEFAULT_REGISTRATION.graceMs,
    },
    rootsConfigMap: environment['PILOT_CA_CERT_CONFIGMAP'] || 'istio-ca-root-cert',
    hasRevocations: environment['PILOT_ENABLE_CA_CRL'] !== 'false',
    revocationsConfigMap: environment['PILOT_CRL_CONFIGMAP'] || 'istio-ca-crl',
    tokenAudiences: listOf(environment['TOKEN_AUDIENCES'] || 'istio-ca'),
    tokenRules: tokenRules(environment),
    signers: signerSettings(environment),
  };
  const told = [...mesh.unreadable, ...unreadable].map(
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

interface GivenLimits {
  readonly messageBytes: number | undefined;
  readonly streams: number | undefined;
  readonly pingIntervalMs: number | undefined;
  readonly pingTimeoutMs: number | undefined;
}

/** Those that were given; the server has its own for the rest. */
function grpcLimits({
  messageBytes,
  streams,
  pingIntervalMs,
  pingTimeoutMs,
}: GivenLimits): Partial<GrpcLimits> {
  return {
    ...(messageBytes === undefined
      ? {}
      : { maxMessageBytes: messageBytes, maxTrustedMessageBytes: messageBytes }),
    ...(streams === undefined ? {} : { maxStreamsPerConnection: streams }),
    ...(pingIntervalMs === undefined ? {} : { pingIntervalMs }),
    ...(pingTimeoutMs === undefined ? {} : { pingTimeoutMs }),
  };
}

/** Words between commas. */
function listOf(text = ''): readonly string[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}

/** `namespace/service account`. */
function isAccount(text: string): boolean {
  return /^[^/]+\/[^/]+$/.test(text);
}

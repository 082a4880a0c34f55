/**
 * Reads what the agent was told about identity: by which CA, with which proof, over which roots; or which files or which other
 * agent's socket the certificate comes from instead. Names, defaults and their order of precedence are Istio's. Pure: whether a
 * file is there comes in as a function.
 * Source: Istio pkg/istio-agent/agent.go, pilot/cmd/pilot-agent/options/security.go.
 */
import { basename, dirname, join, relative } from 'node:path';
import { readCompliancePolicy } from '#base/compliance.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { ClientCertificateFiles, ControlPlaneSettings } from './control-plane.ts';
import type { MountedFiles } from './mounted-certificate.ts';
import type { ProxyConfig } from './proxy-config.ts';
import type { SecretSockets } from './secret-sockets.ts';

/** What the options are read from. */
export interface IdentitySources {
  readonly proxyConfig: ProxyConfig;
  /** A variable of the environment; undefined when absent or empty. */
  text(name: string): string | undefined;
  /** The names and values of all variables that begin so. */
  beginning(prefix: string): readonly (readonly [string, string])[];
  isFile(path: string): boolean;
}

/** Where identity comes from, and how it is shown. */
export interface IdentityOptions {
  readonly xds: ControlPlaneSettings;
  readonly ca: ControlPlaneSettings;
  /** Roots to believe beside those that the CA tells; undefined: none. */
  readonly rootsPath: string | undefined;
  /** The files that are the workload's certificate; undefined: a CA is asked. */
  readonly mounted: MountedFiles | undefined;
  readonly sockets: SecretSockets;
  /** ISTIO_META_CERT_SIGNER: which signer the CA is to use, '' for its own choice. */
  readonly certSigner: string;
}

const MESH_ROOT = './var/run/secrets/istio/root-cert.pem';
const TOKEN = './var/run/secrets/tokens/istio-token';
const WORKLOAD_SOCKET = './var/run/secrets/workload-spiffe-uds/socket';
const CREDENTIAL_SOCKET = './var/run/secrets/credential-uds/socket';
const FILES_SOCKET = './var/run/secrets/credential-uds/files-socket';
const SPIFFE_FOLDER = './var/run/secrets/workload-spiffe-credentials';
const CERTS_FOLDER = './etc/certs';
const ISTIO_FILES = ['cert-chain.pem', 'key.pem', 'root-cert.pem'] as const;
const GKE_FILES = ['certificates.pem', 'private_key.pem', 'ca_certificates.pem'] as const;
const GKE = 'GkeWorkloadCertificate';
const HEADER_PREFIX = 'CA_HEADER_';
/** Istio's port for callers in the clear. */
const PLAIN_PORT = ':15010';

/** Reads them all. Errors: a text for whoever started the agent. */
export function readIdentityOptions(from: IdentitySources): Result<IdentityOptions, string> {
  const isMounted = from.text('FILE_MOUNTED_CERTS') === 'true';
  if (isMounted && from.text('PROV_CERT') !== undefined)
    return fail('PROV_CERT and FILE_MOUNTED_CERTS exclude each other');
  const mounted = mountedFiles(from, isMounted);
  if (!mounted.ok) return mounted;
  const sockets = secretSockets(from);
  if (!sockets.ok) return sockets;
  const xds = xdsSettings(from, isMounted);
  if (!xds.ok) return xds;
  const ca = caSettings(from, xds.value);
  if (!ca.ok) return ca;
  return ok({
    xds: xds.value,
    ca: ca.value,
    rootsPath: meshRoots(from),
    mounted: mounted.value,
    sockets: sockets.value,
    certSigner: from.text('ISTIO_META_CERT_SIGNER') ?? '',
  });
}

/** Files that are there count before any CA, unless they are the agent's own output. */
function mountedFiles(from: IdentitySources, isMounted: boolean): Result<MountedFiles | undefined, string> {
  const provider = from.text('CA_PROVIDER') ?? 'Citadel';
  if (provider === GKE) {
    const files = filesIn(SPIFFE_FOLDER, GKE_FILES);
    return areThere(from, files) ? ok(files) : fail(`CA_PROVIDER ${GKE}: no certificate in ${SPIFFE_FOLDER}`);
  }
  if (provider !== 'Citadel') return fail(`CA_PROVIDER ${provider} is not known`);
  const ofSpiffe = filesIn(SPIFFE_FOLDER, ISTIO_FILES);
  if (areThere(from, ofSpiffe)) return ok(ofSpiffe);
  const ofCerts = filesIn(CERTS_FOLDER, ISTIO_FILES);
  const output = from.text('OUTPUT_CERTS');
  const isOutput = output !== undefined && relative(output, CERTS_FOLDER) === '';
  return ok(isMounted || (!isOutput && areThere(from, ofCerts)) ? ofCerts : undefined);
}

function filesIn(folder: string, [chain, key, roots]: readonly [string, string, string]): MountedFiles {
  return { chainPath: `${folder}/${chain}`, keyPath: `${folder}/${key}`, rootsPath: `${folder}/${roots}` };
}

function areThere(from: IdentitySources, files: MountedFiles): boolean {
  return from.isFile(files.chainPath) && from.isFile(files.keyPath) && from.isFile(files.rootsPath);
}

/** The folder of the workload socket cannot be chosen, on purpose: only the name of the file in it. */
function secretSockets(from: IdentitySources): Result<SecretSockets, string> {
  const own = from.text('LATEEN_SDS_SOCKET') ?? WORKLOAD_SOCKET;
  const file = from.text('WORKLOAD_IDENTITY_SOCKET_FILE') ?? basename(own);
  if (file !== basename(file) || file === '.' || file === '..')
    return fail(`WORKLOAD_IDENTITY_SOCKET_FILE "${file}" is a path, not the name of a file`);
  const workload = file === basename(own) ? own : join(dirname(own), file);
  return ok({ workload, isExpected: workload !== own, credentials: CREDENTIAL_SOCKET, files: FILES_SOCKET });
}

function xdsSettings(from: IdentitySources, isMounted: boolean): Result<ControlPlaneSettings, string> {
  const { discoveryAddress, controlPlaneAuthPolicy, proxyMetadata } = from.proxyConfig;
  const provisioned = provisionedFiles(from);
  const chainPath = proxyMetadata.get('ISTIO_META_TLS_CLIENT_CERT_CHAIN');
  const keyPath = proxyMetadata.get('ISTIO_META_TLS_CLIENT_KEY');
  const ofMetadata =
    isMounted && chainPath !== undefined && keyPath !== undefined ? { chainPath, keyPath } : undefined;
  const rootOfMetadata = isMounted ? proxyMetadata.get('ISTIO_META_TLS_CLIENT_ROOT_CERT') : undefined;
  const oldRoot = `${CERTS_FOLDER}/root-cert.pem`;
  const fallback = from.isFile(oldRoot) ? oldRoot : (provisionedRoot(from) ?? rootOfMetadata ?? MESH_ROOT);
  return controlPlane(from, discoveryAddress, {
    isPlain: controlPlaneAuthPolicy === 'NONE',
    rootCertPath: from.text('XDS_ROOT_CA') ?? fallback,
    clientCertificate: provisioned ?? ofMetadata,
    headers: [],
  });
}

/** The CA is the control plane itself, or another server with a root of its own (istio-csr). */
function caSettings(from: IdentitySources, xds: ControlPlaneSettings): Result<ControlPlaneSettings, string> {
  const rootCertPath = from.text('CA_ROOT_CA') ?? provisionedRoot(from) ?? MESH_ROOT;
  const headers = from
    .beginning(HEADER_PREFIX)
    .map(([name, value]) => [name.slice(HEADER_PREFIX.length).toLowerCase(), value] as const)
    .filter(([name, value]) => /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) && /^[\t -~]*$/.test(value));
  const clientCertificate = provisionedFiles(from);
  const address = from.text('CA_ADDR');
  if (address === undefined) return ok({ ...xds, rootCertPath, clientCertificate, headers });
  const isPlain = address.startsWith('http://') || address.endsWith(PLAIN_PORT);
  return controlPlane(from, address.replace(/^https?:\/\//, ''), {
    isPlain,
    rootCertPath,
    clientCertificate,
    headers,
  });
}

function provisionedFiles(from: IdentitySources): ClientCertificateFiles | undefined {
  const folder = from.text('PROV_CERT');
  if (folder === undefined) return undefined;
  return { chainPath: join(folder, 'cert-chain.pem'), keyPath: join(folder, 'key.pem') };
}

function provisionedRoot(from: IdentitySources): string | undefined {
  const folder = from.text('PROV_CERT');
  return folder === undefined ? undefined : join(folder, 'root-cert.pem');
}

/** The root by which another server is known says nothing about whom workloads believe: that CA's answer does. */
function meshRoots(from: IdentitySources): string | undefined {
  const caRoot = from.text('CA_ROOT_CA');
  const isOther = from.text('CA_ADDR') !== undefined && caRoot !== undefined;
  if (isOther && caRoot !== from.text('XDS_ROOT_CA')) return undefined;
  return caRoot ?? MESH_ROOT;
}

interface Approach {
  readonly isPlain: boolean;
  readonly rootCertPath: string;
  readonly clientCertificate: ClientCertificateFiles | undefined;
  readonly headers: readonly (readonly [string, string])[];
}

function controlPlane(
  from: IdentitySources,
  address: string,
  { isPlain, ...approach }: Approach,
): Result<ControlPlaneSettings, string> {
  const target = splitAddress(address);
  if (target === undefined) return fail(`"${address}" is no host:port of a control plane`);
  const policy = from.text('COMPLIANCE_POLICY') ?? '';
  const compliance = readCompliancePolicy(policy);
  if (compliance === undefined) return fail(`COMPLIANCE_POLICY names no policy that is known: ${policy}`);
  return ok({
    ...target,
    security: isPlain ? 'plaintext' : 'tls',
    serverName: serverNameOf(from, target),
    tokenPath: from.text('LATEEN_TOKEN_PATH') ?? TOKEN,
    clusterId: from.text('ISTIO_META_CLUSTER_ID') ?? 'Kubernetes',
    compliance,
    ...approach,
  });
}

/** ISTIOD_SAN is the name of the control plane, whichever of its doors is called; other servers have names of their own. */
function serverNameOf(from: IdentitySources, { host }: Address): string | undefined {
  const ofControlPlane = splitAddress(from.proxyConfig.discoveryAddress);
  return host === ofControlPlane?.host ? from.text('ISTIOD_SAN') : undefined;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** `host:port` or `[v6]:port`. */
function splitAddress(text: string): Address | undefined {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<name>[A-Za-z0-9._-]+)):(?<port>\d{1,5})$/.exec(text);
  const host = match?.groups?.['v6'] ?? match?.groups?.['name'];
  const port = Number(match?.groups?.['port']);
  return host === undefined || port === 0 || port > 65535 ? undefined : { host, port };
}

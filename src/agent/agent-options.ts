/**
 * Reads what the agent was told: flags of `pilot-agent proxy`, environment, PROXY_CONFIG. Names and defaults are Istio's, so that an
 * injected pod works as it stands; relative paths are relative to the working directory, as in Istio's image. The few
 * LATEEN_ variables move addresses and files, so that many agents can run on one machine. Pure: main hands in the values.
 */
import { isIPv6 } from 'node:net';
import { join, relative } from 'node:path';
import { parseDurationMs } from '#base/duration.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { defaultTrustDomain, makeWorkloadIdentity, printWorkloadIdentity } from '#identity/spiffe.ts';
import type { SocketAddress } from './bootstrap-settings.ts';
import { type CertificateOptions, readCertificateOptions } from './certificate-options.ts';
import { type DnsSettings, readDnsSettings } from './dns-options.ts';
import type { EnvoySettings, IdleWait } from './envoy-process.ts';
import { type HealthCheckSettings, readHealthCheck } from './health-options.ts';
import type { GrpcSettings } from './grpc-bootstrap.ts';
import { type IdentityOptions, readIdentityOptions } from './identity-options.ts';
import { isObject, type ParsedProxyConfig, parseProxyConfig, type ProxyConfig } from './proxy-config.ts';
import type { ApplicationMetrics, StatusSettings } from './status-server.ts';
import { readWasmOptions, type WasmOptions } from './wasm-options.ts';
import type { WorkloadCertificateSettings } from './workload-certificate.ts';

/** Flags of the proxy command that have an effect. */
export interface ProxyFlags {
  readonly kind: 'sidecar' | 'router';
  readonly domain: string | undefined;
  readonly concurrency: string | undefined;
  readonly serviceCluster: string | undefined;
  readonly proxyLogLevel: string | undefined;
  readonly proxyComponentLogLevel: string | undefined;
  readonly outlierLogPath: string | undefined;
}

/** What main found out about the machine. */
export interface Surroundings {
  readonly environment: ReadonlyMap<string, string>;
  readonly hostname: string;
  /** Addresses of the network interfaces but loopback. */
  readonly addresses: readonly string[];
  readonly version: string;
  readonly isRoot: boolean;
  /** What makes a child end with its parent; see EnvoySettings.launcher. */
  readonly launcher: readonly string[];
  readonly isFile: (path: string) => boolean;
}

/** Who the workload is, as far as it has been told. */
export interface WorkloadNames {
  readonly kind: 'sidecar' | 'router';
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly domain: string;
  readonly addresses: readonly string[];
}

/** Everything that an agent needs to run. */
export interface AgentOptions extends Omit<IdentityOptions, 'rootsPath'> {
  readonly workload: WorkloadNames;
  readonly proxyConfig: ProxyConfig;
  readonly environment: ReadonlyMap<string, string>;
  readonly version: string;
  readonly certificate: WorkloadCertificateSettings;
  readonly envoy: EnvoySettings;
  readonly status: StatusSettings;
  readonly readiness: SocketAddress;
  readonly readinessTakesProxyProtocol: boolean;
  readonly grpc: GrpcSettings;
  /** False where the application's gRPC library is the proxy (DISABLE_ENVOY). */
  readonly hasEnvoy: boolean;
  /** Undefined: nobody is told how the application is. */
  readonly healthCheck: HealthCheckSettings | undefined;
  /** Undefined: no DNS server. */
  readonly dns: DnsSettings | undefined;
  readonly xdsSocketPath: string;
  readonly upstreamSourceAddress: string | undefined;
  readonly outlierLogPath: string | undefined;
  /** Undefined: configurations of Wasm filters pass as they are. */
  readonly wasm: WasmOptions | undefined;
  /** What was given and could not be used; for the log. */
  readonly problems: readonly string[];
}

const revocationLists = './var/run/secrets/istio/crl/ca-crl.pem';
const dayMs = 24 * 3_600_000;
const defaultConcurrency = 2;

/** Reads all options. Errors: a text for whoever started the agent. */
export function parseAgentOptions(flags: ProxyFlags, around: Surroundings): Result<AgentOptions, string> {
  const parsed = parseProxyConfig(around.environment.get('PROXY_CONFIG') ?? '');
  if (!parsed.ok) return parsed;
  const reader = new OptionReader(flags, around, parsed.value);
  const workload = reader.workload();
  const identity = reader.identity();
  if (!identity.ok) return identity;
  const { rootsPath, ...sources } = identity.value;
  const certificate = reader.certificate(workload, rootsPath);
  if (!certificate.ok) return certificate;
  const status = reader.status();
  const options = {
    workload,
    proxyConfig: reader.config,
    environment: around.environment,
    version: around.version,
    ...sources,
    certificate: certificate.value,
    envoy: reader.envoy(workload, status.admin),
    status,
    readiness: reader.readiness(),
    readinessTakesProxyProtocol: reader.text('ENVOY_STATUS_PORT_ENABLE_PROXY_PROTOCOL') === 'true',
    grpc: reader.grpc(),
    hasEnvoy: reader.text('DISABLE_ENVOY') !== 'true',
    dns: reader.dns(workload),
    healthCheck: reader.healthCheck(workload),
    xdsSocketPath: join(reader.config.configPath, 'XDS'),
    upstreamSourceAddress: reader.text('LATEEN_UPSTREAM_SOURCE_ADDRESS'),
    outlierLogPath: flags.outlierLogPath,
    wasm: readWasmOptions(reader),
  };
  return ok({ ...options, problems: reader.problems });
}

/** Takes options from flags, environment and config, and notes what it could not use. */
class OptionReader {
  readonly config: ProxyConfig;
  readonly problems: string[];
  readonly certificates: CertificateOptions;
  readonly #flags: ProxyFlags;
  readonly #around: Surroundings;

  constructor(flags: ProxyFlags, around: Surroundings, parsed: ParsedProxyConfig) {
    this.#flags = flags;
    this.#around = around;
    const serviceCluster = flags.serviceCluster ?? parsed.config.serviceCluster;
    this.config = { ...parsed.config, serviceCluster };
    this.problems = parsed.problems.map((field) => `PROXY_CONFIG.${field}`);
    this.certificates = readCertificateOptions({
      text: (name) => this.text(name),
      problem: (name) => this.problem(name),
    });
  }

  problem(name: string): void {
    this.problems.push(name);
  }

  text(name: string): string | undefined {
    const value = this.#around.environment.get(name);
    return value === '' ? undefined : value;
  }

  port(name: string, fallback: number): number {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const port = Number(text);
    if (Number.isInteger(port) && port > 0 && port < 65536) return port;
    this.problems.push(name);
    return fallback;
  }

  #durationMs(name: string, fallbackMs: number): number {
    const text = this.text(name);
    const parsed = text === undefined ? undefined : parseDurationMs(text);
    if (parsed?.ok === true && parsed.value > 0) return parsed.value;
    if (text !== undefined) this.problems.push(name);
    return fallbackMs;
  }

  workload(): WorkloadNames {
    const namespace = this.text('POD_NAMESPACE') ?? 'default';
    const given = this.text('INSTANCE_IP');
    const addresses = given === undefined ? this.#around.addresses : [given];
    return {
      kind: this.#flags.kind,
      name: this.text('POD_NAME') ?? this.#around.hostname,
      namespace,
      serviceAccount: this.text('SERVICE_ACCOUNT') ?? 'default',
      domain: this.#flags.domain ?? `${namespace}.svc.cluster.local`,
      addresses: addresses.length === 0 ? ['127.0.0.1'] : addresses,
    };
  }

  certificate(
    workload: WorkloadNames,
    rootsPath: string | undefined,
  ): Result<WorkloadCertificateSettings, string> {
    const trustDomain = this.text('TRUST_DOMAIN') ?? defaultTrustDomain;
    const identity = makeWorkloadIdentity(trustDomain, workload.namespace, workload.serviceAccount);
    if (!identity.ok)
      return fail(`no identity from TRUST_DOMAIN, POD_NAMESPACE and SERVICE_ACCOUNT: ${identity.error}`);
    return ok({
      spiffeId: printWorkloadIdentity(identity.value),
      ttlMs: this.#durationMs('SECRET_TTL', dayMs),
      keyKind: this.certificates.keyKind,
      renewal: this.certificates.renewal,
      rootsPath,
      revocationsPath: revocationLists,
    });
  }

  identity(): Result<IdentityOptions, string> {
    const { environment, isFile } = this.#around;
    return readIdentityOptions({
      proxyConfig: this.config,
      text: (name) => this.text(name),
      beginning: (prefix) => [...environment].filter(([name]) => name.startsWith(prefix)),
      isFile,
    });
  }

  envoy(workload: WorkloadNames, admin: SocketAddress): EnvoySettings {
    const levels = (this.#flags.proxyLogLevel ?? 'warning,misc:error').split(',');
    const components = levels.filter((level) => level.includes(':')).join(',');
    return {
      launcher: this.#around.launcher,
      binaryPath: this.text('ENVOY_PATH') ?? this.config.binaryPath,
      configPath: this.config.customConfigFile || join(this.config.configPath, 'envoy-rev.json'),
      admin,
      addressFamily: workload.addresses.every(isIPv6) ? 'v6' : 'v4',
      kind: workload.kind,
      drainDurationMs: this.config.drainDurationMs,
      terminationDrainDurationMs: this.config.terminationDrainDurationMs,
      idleWait: this.#idleWait(),
      overridePath: this.text('ISTIO_BOOTSTRAP_OVERRIDE'),
      hostIp: this.text('HOST_IP') ?? '',
      hasCoreDumps: this.text('ISTIO_ENVOY_ENABLE_CORE_DUMP') === 'true',
      skipsDeprecatedLogs: this.text('ENVOY_SKIP_DEPRECATED_LOGS') !== 'false',
      concurrency: this.#concurrency(),
      fileFlushIntervalMs: this.config.fileFlushIntervalMs,
      fileFlushMinSizeKib: this.config.fileFlushMinSizeKib,
      logLevel: levels.find((level) => !level.includes(':')) ?? 'warning',
      componentLogLevel: this.#flags.proxyComponentLogLevel ?? components,
    };
  }

  #concurrency(): number {
    const text = this.#flags.concurrency;
    if (text === undefined) return this.config.concurrency ?? this.#cpuLimit() ?? defaultConcurrency;
    const count = Number(text);
    if (Number.isInteger(count) && count >= 0 && count <= 1024) return count;
    this.problems.push('--concurrency');
    return defaultConcurrency;
  }

  /** Whole CPUs that the container may use, as injection passes them on. */
  #cpuLimit(): number | undefined {
    const limit = Number(this.text('ISTIO_CPU_LIMIT') ?? 0);
    if (Number.isInteger(limit) && limit >= 0 && limit <= 1024) return limit === 0 ? undefined : limit;
    this.problems.push('ISTIO_CPU_LIMIT');
    return undefined;
  }

  #idleWait(): IdleWait | undefined {
    if (this.text('EXIT_ON_ZERO_ACTIVE_CONNECTIONS') !== 'true') return undefined;
    const minimumMs = this.#durationMs('MINIMUM_DRAIN_DURATION', 5_000);
    const { address, port } = this.readiness();
    return { minimumMs, ownListeners: [`${address}_${port}`] };
  }

  status(): StatusSettings {
    const listenAddress = this.text('LATEEN_LISTEN_ADDRESS') ?? '0.0.0.0';
    return {
      status: { address: listenAddress, port: this.config.statusPort },
      prometheus: { address: listenAddress, port: this.port('ENVOY_PROMETHEUS_PORT', 15090) },
      admin: { address: this.text('LATEEN_ADMIN_ADDRESS') ?? '127.0.0.1', port: this.config.proxyAdminPort },
      application: this.#applicationMetrics(),
      isQuitEnabled: this.text('LATEEN_ENABLE_QUITQUITQUIT') === 'true',
      hasLocalMetrics: this.#metricsAreLocal(),
      mergesEnvoy: this.text('PILOT_AGENT_MERGE_ENVOY_STATS') !== 'false',
      compresses: this.config.statsCompression,
    };
  }

  readiness(): SocketAddress {
    const address = this.text('LATEEN_LISTEN_ADDRESS') ?? '0.0.0.0';
    return { address, port: this.port('ENVOY_STATUS_PORT', 15021) };
  }

  #metricsAreLocal(): boolean {
    const name = 'METRICS_LOCALHOST_ACCESS_ONLY';
    return (this.text(name) ?? this.config.proxyMetadata.get(name)) === 'true';
  }

  grpc(): GrpcSettings {
    const output = this.text('OUTPUT_CERTS');
    const provisioned = this.text('PROV_CERT');
    return {
      bootstrapPath: this.text('GRPC_XDS_BOOTSTRAP') ?? join(this.config.configPath, 'grpc-bootstrap.json'),
      certificateFolder: output,
      isKept: output !== undefined && provisioned !== undefined && relative(output, provisioned) === '',
    };
  }

  /** Injection copies proxyMetadata into the environment; on one machine nobody does. */
  dns({ kind, namespace, domain }: WorkloadNames): DnsSettings | undefined {
    return readDnsSettings({
      kind,
      namespace,
      domain,
      isRoot: this.#around.isRoot,
      text: (name) => this.text(name) ?? this.config.proxyMetadata.get(name),
      problem: (name) => this.problems.push(name),
    });
  }

  healthCheck({ addresses }: WorkloadNames): HealthCheckSettings | undefined {
    return readHealthCheck({
      probe: this.config.raw['readinessProbe'],
      addresses,
      text: (name) => this.text(name),
      problem: (name) => this.problems.push(name),
    });
  }

  /** The application's own prometheus.io annotations, which injection moves here. Source: Istio status.PrometheusScrapingConfig. */
  #applicationMetrics(): ApplicationMetrics | undefined {
    const text = this.text('ISTIO_PROMETHEUS_ANNOTATIONS');
    if (text === undefined) return undefined;
    const config = parseObject(text);
    const port = Number(config?.get('port') ?? 80);
    const path = String(config?.get('path') ?? '/metrics');
    if (
      config === undefined ||
      !Number.isInteger(port) ||
      port <= 0 ||
      port > 65535 ||
      !/^\/[!-~]*$/.test(path)
    ) {
      this.problems.push('ISTIO_PROMETHEUS_ANNOTATIONS');
      return undefined;
    }
    if (String(config.get('scrape')) !== 'true') return undefined;
    return { address: this.text('LATEEN_APP_ADDRESS') ?? '127.0.0.1', port, path };
  }
}

function parseObject(text: string): ReadonlyMap<string, unknown> | undefined {
  try {
    const value = JSON.parse(text);
    return isObject(value) ? new Map(Object.entries(value)) : undefined;
  } catch {
    return undefined;
  }
}

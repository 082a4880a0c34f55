/**
 * One agent: everything beside one Envoy, started in an order in which nothing is missed and stopped so that nothing is left.
 * Sockets and doors are open before Envoy starts; the certificate is fetched while it starts; at the end Envoy drains and
 * goes first, then the doors, then the files.
 */
import { lookup } from 'node:dns/promises';
import { fstatSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { AgentGauges } from './agent-metrics.ts';
import type { AgentOptions } from './agent-options.ts';
import type { BootstrapSettings, SocketAddress } from './bootstrap-settings.ts';
import { readAccessLogClusters } from './access-log-service.ts';
import { buildBootstrap } from './bootstrap.ts';
import { readBootstrapTracing } from './bootstrap-tracing.ts';
import { CertificateClient } from './certificate-client.ts';
import { ControlPlane } from './control-plane.ts';
import { buildEnvoyEnvironment } from './envoy-environment.ts';
import { type AgentDns, startDns } from './dns-service.ts';
import { EnvoyProcess } from './envoy-process.ts';
import { buildGrpcBootstrap, CertificateFiles, writeGrpcBootstrap } from './grpc-bootstrap.ts';
import { MountedCertificate } from './mounted-certificate.ts';
import { buildProxyNode, type NodeFacts, type ProxyNode, readAnnotations } from './proxy-node.ts';
import { HealthCheck } from './health-check.ts';
import { HealthFeed } from './health-feed.ts';
import { probe } from './health-probe.ts';
import { checkReadiness } from './readiness.ts';
import { SdsServer } from './sds-server.ts';
import { readStatsSettings } from './stats-options.ts';
import type { SingletonFeed } from './singleton-feed.ts';
import { readStatsSinks } from './stats-sinks.ts';
import { StatusServer } from './status-server.ts';
import { openTrustBundleFeed } from './trust-bundle-feed.ts';
import { UnixGrpcServer } from './unix-grpc-server.ts';
import { WasmCache } from './wasm-cache.ts';
import { WasmResponses } from './wasm-responses.ts';
import type { FoundSockets } from './secret-sockets.ts';
import { type AgentParts, WorkloadCertificate } from './workload-certificate.ts';
import { XdsProxy } from './xds-proxy.ts';

const podInfoFolder = './etc/istio/pod';

/** An agent with its Envoy. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #parts: AgentParts;
  readonly #sockets: FoundSockets;
  readonly #certificate: WorkloadCertificate | MountedCertificate;
  readonly #sds: SdsServer;
  readonly #sdsDoor: UnixGrpcServer;
  readonly #modules: WasmCache | undefined;
  readonly #xds: XdsProxy;
  readonly #xdsDoor: UnixGrpcServer;
  readonly #envoy: EnvoyProcess;
  readonly #status: StatusServer;
  readonly #startedMs: number;
  readonly #quit = Promise.withResolvers<void>();
  #startupSeconds: number | undefined;
  readonly #files: CertificateFiles | undefined;
  #dns: AgentDns | undefined;
  readonly #health = new HealthFeed();
  #healthCheck: HealthCheck | undefined;
  /** What is said and followed on Envoy's configuration streams. */
  readonly #feeds: (SingletonFeed | HealthFeed)[] = [];

  constructor(options: AgentOptions, parts: AgentParts, sockets: FoundSockets) {
    const { clock, log } = parts;
    this.#options = options;
    this.#sockets = sockets;
    this.#parts = parts;
    this.#startedMs = clock.monotonicMs();
    // Its file of roots may follow a new root later than the workload itself does.
    const believed = (): string => this.#certificate.current?.authorityRootsPem ?? '';
    this.#certificate = openCertificate(options, { ...parts, log: log.scope('cache') }, believed);
    this.#sds = new SdsServer(this.#certificate, { clock, log: log.scope('sds') });
    if (options.xds.security === 'tls') {
      const cache = { ...parts, log: log.scope('cache') };
      this.#feeds.push(openTrustBundleFeed(this.#certificate, this.#sds, cache));
    }
    const sdsPath = sockets.workload ? options.sockets.files : options.sockets.workload;
    this.#sdsDoor = new UnixGrpcServer(sdsPath, this.#sds.handlers, log.scope('sds'));
    const wasm = { ...parts, log: log.scope('wasm') };
    this.#modules = options.wasm === undefined ? undefined : new WasmCache(options.wasm, wasm);
    const rewriting = this.#modules === undefined ? undefined : new WasmResponses(this.#modules, wasm);
    this.#xds = new XdsProxy(
      new ControlPlane(options.xds, clock, believed),
      { ...parts, log: log.scope('xdsproxy') },
      { taps: (isDelta) => this.#feeds.map((feed) => feed.open(isDelta)), wasm: rewriting },
    );
    const { xdsSocketPath, grpc } = options;
    // Without Envoy the application connects, whoever runs it.
    const isForApplication = !options.hasEnvoy;
    this.#xdsDoor = new UnixGrpcServer(
      xdsSocketPath,
      this.#xds.handlers,
      log.scope('xdsproxy'),
      isForApplication,
    );
    if (grpc.certificateFolder !== undefined && !sockets.workload)
      this.#files = new CertificateFiles(grpc.certificateFolder, this.#certificate, log.scope('cache'));
    this.#envoy = new EnvoyProcess(options.envoy, { ...parts, log: log.scope('envoy') });
    const actions = {
      gauges: () => this.#gauges(),
      becameReady: () => this.#noteStartup(),
      drain: () => this.#envoy.drain(),
      quit: () => this.#quit.resolve(),
      hindrance: () => this.#hindrance(),
      hasEnvoy: this.#options.hasEnvoy,
      names: () => this.#dns?.server.table?.entries() ?? [],
    };
    this.#status = new StatusServer(options.status, actions, { ...parts, log: log.scope('status') });
  }

  /** Resolves when somebody asked the agent to quit, rejects when Envoy cannot be brought up. */
  async ended(): Promise<void> {
    await Promise.race([
      this.#quit.promise,
      this.#envoy.givenUp.then((reason) => Promise.reject(new Error(reason))),
    ]);
  }

  /** Starts everything. Errors: rejects when a port or socket is taken or a file cannot be written. */
  async start(): Promise<void> {
    const { log } = this.#parts;
    if (this.#options.problems.length > 0) log.warn('options not used', { names: this.#options.problems });
    await this.#sdsDoor.listen();
    await this.#xdsDoor.listen();
    await this.#status.listen();
    const { dns } = this.#options;
    if (dns !== undefined) {
      this.#dns = await startDns(dns, { ...this.#parts, log: log.scope('dns') });
      this.#feeds.push(this.#dns.feed);
    }
    const node = await this.#writeBootstrap();
    // Another agent's certificate is none of ours.
    if (!this.#sockets.workload) this.#certificate.run();
    this.#checkHealth();
    if (this.#options.hasEnvoy)
      this.#envoy.start(
        buildEnvoyEnvironment(this.#options.environment, node, this.#options.workload.namespace),
      );
    log.info('agent started', {
      proxy: this.#options.certificate.spiffeId,
      otherAgent: this.#sockets.workload,
      controlPlane: this.#options.xds.host,
    });
  }

  /** Ends everything; also what a failed start left. */
  async stop(): Promise<void> {
    this.#healthCheck?.[Symbol.dispose]();
    await this.#envoy.stop();
    this.#dns?.server.close();
    this.#xds[Symbol.dispose]();
    this.#modules?.[Symbol.dispose]();
    this.#sds[Symbol.dispose]();
    this.#certificate[Symbol.dispose]();
    await Promise.all([this.#status.close(), this.#xdsDoor.close(), this.#sdsDoor.close()]);
    await this.#files?.end(this.#options.grpc.isKept);
    const { envoy, grpc, proxyConfig } = this.#options;
    // A bootstrap that the user gave is the user's.
    const written = proxyConfig.customConfigFile === '' ? [envoy.configPath] : [];
    for (const path of [...written, grpc.bootstrapPath]) await rm(path, { force: true });
  }

  #checkHealth(): void {
    const { healthCheck, hasEnvoy, status } = this.#options;
    const { clock, log } = this.#parts;
    if (healthCheck === undefined) return;
    this.#feeds.push(this.#health);
    this.#healthCheck = new HealthCheck(healthCheck, {
      probe,
      envoyProblem: async () => (hasEnvoy ? (await checkReadiness(status.admin)).reason : ''),
      changed: (health) => this.#health.tell(health),
      clock,
      log: log.scope('healthcheck'),
    });
  }

  /** DNS is captured from the first moment on, so a workload without names would not find its peers. */
  #hindrance(): string | undefined {
    if (this.#files?.isThere === false) return 'the certificate has not been written yet';
    return this.#dns !== undefined && this.#dns.server.table === undefined
      ? 'DNS is captured and the name table has not come yet'
      : undefined;
  }

  #noteStartup(): void {
    this.#startupSeconds ??= (this.#parts.clock.monotonicMs() - this.#startedMs) / 1000;
  }

  #gauges(): AgentGauges {
    return {
      startupSeconds: this.#startupSeconds,
      certificateNotAfterUnixMs: this.#certificate.current?.leaf.notAfterUnixMs,
      wasmModules: this.#modules?.size,
    };
  }

  /** Services that Envoy calls whatever the control plane says. */
  async #services(
    node: ProxyNode,
  ): Promise<Pick<BootstrapSettings, 'serviceClusters' | 'tracing' | 'statsSinks'>> {
    const { proxyConfig, workload, envoy } = this.#options;
    const { hostIp } = envoy;
    const stats = await readStatsSinks(proxyConfig.raw, hostIp, resolveHost);
    const logs = readAccessLogClusters(proxyConfig.raw, hostIp);
    const around = { hostIp, addresses: workload.addresses, serviceName: node.cluster };
    const traces = readBootstrapTracing(proxyConfig.raw, around);
    const names = [...stats.problems, ...logs.problems, ...traces.problems];
    if (names.length > 0) this.#parts.log.warn('services not used', { names });
    return {
      serviceClusters: [...stats.clusters, ...logs.clusters, ...traces.clusters],
      tracing: traces.tracing,
      statsSinks: stats.sinks,
    };
  }

  async #writeBootstrap(): Promise<ProxyNode> {
    const { envoy, status, workload, proxyConfig, readiness, dns } = this.#options;
    const facts: NodeFacts = {
      ...workload,
      environment: this.#options.environment,
      proxyConfig,
      readinessPort: readiness.port,
      prometheusPort: status.prometheus.port,
      version: this.#options.version,
      labelsFile: await readIfThere(`${podInfoFolder}/labels`),
      annotationsFile: await readIfThere(`${podInfoFolder}/annotations`),
      outlierLogPath: this.#options.outlierLogPath,
      ...(dns === undefined ? {} : { dnsAddress: addressText(dns.listen) }),
      stdoutIsSocket: fstatSync(1).isSocket(),
      sockets: this.#sockets,
    };
    const { stats, problems } = readStatsSettings(proxyConfig, readAnnotations(facts), workload.addresses);
    if (problems.length > 0) this.#parts.log.warn('stats options not used', { names: problems });
    const node = buildProxyNode(facts);
    const services = await this.#services(node);
    const { grpc, xdsSocketPath } = this.#options;
    await writeGrpcBootstrap(grpc.bootstrapPath, buildGrpcBootstrap(node, xdsSocketPath, grpc));
    if (proxyConfig.customConfigFile !== '') return node;
    const bootstrap = buildBootstrap({
      node,
      admin: status.admin,
      agentStatus: reachable(status.status),
      readiness,
      xdsSocketPath: this.#options.xdsSocketPath,
      sdsSocketPath: this.#options.sockets.workload,
      filesSocketPath: this.#sockets.workload ? this.#options.sockets.files : undefined,
      upstreamSourceAddress: this.#options.upstreamSourceAddress,
      runtimeValues: proxyConfig.runtimeValues,
      stats: { ...stats, countsConnections: envoy.idleWait !== undefined },
      ...services,
      readinessTakesProxyProtocol: this.#options.readinessTakesProxyProtocol,
      outlierLogPath: this.#options.outlierLogPath,
    });
    await mkdir(dirname(envoy.configPath), { recursive: true, mode: 0o700 });
    await writeFile(envoy.configPath, JSON.stringify(bootstrap, null, 2), { mode: 0o600 });
    return node;
  }
}

function addressText({ address, port }: SocketAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * The certificate of files that somebody else renews, or one that a CA signs. `believed`: roots of the mesh, by which the control
 * plane is known too, but not a CA that has a root of its own.
 */
function openCertificate(
  { mounted, ca, certSigner, certificate }: AgentOptions,
  parts: AgentParts,
  believed: () => string,
): WorkloadCertificate | MountedCertificate {
  if (mounted !== undefined) return new MountedCertificate(mounted, parts);
  const known = certificate.rootsPath === undefined ? undefined : believed;
  const client = new CertificateClient(new ControlPlane(ca, parts.clock, known), parts.clock, certSigner);
  return new WorkloadCertificate(certificate, client, parts);
}

/** An address of a name; what the machine says first counts. */
async function resolveHost(host: string): Promise<string | undefined> {
  return lookup(host).then(
    ({ address }) => address,
    () => undefined,
  );
}

/** Where a neighbour reaches a server that listens on every address. */
function reachable(address: SocketAddress): SocketAddress {
  if (address.address === '0.0.0.0') return { ...address, address: '127.0.0.1' };
  return address.address === '::' ? { ...address, address: '::1' } : address;
}

async function readIfThere(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}

/**
 * One replica: an agent with its Envoy, and the application beside it. The proxy is ready before the application starts, and the
 * application is gone before the proxy stops; the mesh sends traffic while both are ready. Either one's crash restarts that
 * one only. Tells its owner of every change of readiness.
 */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { MeshProxyConfig } from '#api/mesh-config.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { LocalWorkloadSpec } from '#api/local-workload.ts';
import type { Clock } from '#base/clock.ts';
import type { Rng } from '#base/rng.ts';
import type { ReplicaAddresses } from './address-block.ts';
import {
  type AgentSurroundings,
  agentArguments,
  agentEnvironment,
  ownProxyConfig,
} from './agent-environment.ts';
import { appEnvironment } from './app-environment.ts';
import type { TrustRoots } from './control-plane.ts';
import type { ChildExit } from './child.ts';
import { probe } from './http-probe.ts';
import { KeptProcess, printExit } from './kept-process.ts';
import { LogFile } from './log-file.ts';
import type { MeshEvents } from './mesh-events.ts';
import { childrenOf } from './process-table.ts';
import { ReadinessWatch } from './readiness-watch.ts';
import { ReplicaFiles } from './replica-files.ts';
import { expandVariables } from './variable-expansion.ts';

/** What all replicas of a mesh share. */
export interface ReplicaSurroundings extends AgentSurroundings {
  readonly agentCommand: readonly string[];
  readonly runFolder: string;
  readonly logFolder: string;
  readonly baseEnvironment: ReadonlyMap<string, string>;
  readonly roots: TrustRoots;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly events: MeshEvents;
}

/** Which replica, and where it runs. */
export interface ReplicaPlan {
  readonly object: MeshObject<LocalWorkloadSpec>;
  readonly replica: number;
  readonly addresses: ReplicaAddresses;
  /** Absolute. */
  readonly workingDir: string;
  readonly proxyConfig: MeshProxyConfig;
  readonly mergesMetrics: boolean;
  readonly issueToken: () => Promise<string>;
  readonly onChange: () => void;
}

const READY_PORT = 15021;
const PROXY_PERIOD_MS = 1000;
const PROXY_FAILURES = 2;
const PROBE_TIMEOUT_MS = 1000;
const APP_GRACE_MS = 5000;
/** Drain, Envoy's own end, and the agent's. */
const AGENT_GRACE_MS = 15_000;
const MAX_COMMAND_NAME = 15;
const LAST_WORDS = 5;

export class Replica {
  readonly plan: ReplicaPlan;
  readonly #around: ReplicaSurroundings;
  readonly #files: ReplicaFiles;
  readonly #agentLog: LogFile;
  readonly #appLog: LogFile | undefined;
  readonly #agent: KeptProcess;
  readonly #app: KeptProcess | undefined;
  #proxyWatch: ReadinessWatch | undefined;
  #appWatch: ReadinessWatch | undefined;
  #wasReady = false;
  #proxyWasReady = false;
  #isStopping = false;
  #stopping: Promise<void> | undefined;

  constructor(plan: ReplicaPlan, around: ReplicaSurroundings) {
    this.plan = plan;
    this.#around = around;
    const { object, replica } = plan;
    const name = `${object.name}-${replica}`;
    const log = (container: string): LogFile =>
      new LogFile(join(around.logFolder, object.namespace, name, `${container}.log`));
    this.#files = new ReplicaFiles({
      folder: join(around.runFolder, object.namespace, name),
      roots: around.roots,
      issueToken: plan.issueToken,
      clock: around.clock,
      onProblem: (text) => around.events.add('Warning', this.subject, text),
    });
    this.#agentLog = log('istio-proxy');
    this.#agent = this.#keepAgent();
    if (this.isGateway) return;
    this.#appLog = log('app');
    this.#app = this.#keepApp(this.#appLog);
  }

  get isGateway(): boolean {
    return this.plan.object.spec.type === 'gateway';
  }

  /** `namespace/name-N`. */
  get subject(): string {
    const { object, replica } = this.plan;
    return `${object.namespace}/${object.name}-${replica}`;
  }

  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** Whether it may get traffic. */
  get ready(): boolean {
    if (this.isStopping || this.#proxyWatch?.ready !== true) return false;
    return this.isGateway || this.#appWatch?.ready === true;
  }

  /** Whether its proxy has been ready once. */
  get proxyWasReady(): boolean {
    return this.#proxyWasReady;
  }

  /** Why its agent ended by itself, with the agent's last words; '' when it did not. An agent tries many times before it does. */
  get proxyGaveUp(): string {
    const exit = this.#agent.lastExit;
    if (exit === undefined || exit.signal !== null) return '';
    const words = this.#agentLog.lastLines(LAST_WORDS);
    return [`proxy ${printExit(exit)}`, ...words.map((line) => `  ${line}`)].join('\n');
  }

  get restarts(): number {
    return this.#agent.crashes + (this.#app?.crashes ?? 0);
  }

  get pids(): { readonly app: number; readonly agent: number; readonly envoy: number } {
    const agent = this.#agent.pid;
    const envoyName = basename(this.#around.envoyPath).slice(0, MAX_COMMAND_NAME);
    return {
      app: this.#app?.pid ?? 0,
      agent,
      envoy: agent === 0 ? 0 : (childrenOf(agent, envoyName)[0] ?? 0),
    };
  }

  /** What it waits for; '' when it is ready. */
  get reason(): string {
    if (this.isStopping) return 'stopping';
    if (this.ready) return '';
    if (this.#proxyWatch?.ready !== true) {
      const exit = this.#agent.pid === 0 ? this.#agent.lastExit : undefined;
      return exit === undefined
        ? `proxy: ${this.#proxyWatch?.reason ?? 'starting'}`
        : `proxy ${printExit(exit)}`;
    }
    const exit = this.#app?.pid === 0 ? this.#app.lastExit : undefined;
    return exit === undefined ? `app: ${this.#appWatch?.reason ?? 'starting'}` : `app ${printExit(exit)}`;
  }

  /** The log of a container, undefined when there is no such container. */
  logOf(container: 'app' | 'istio-proxy'): LogFile | undefined {
    return container === 'app' ? this.#appLog : this.#agentLog;
  }

  trimLogs(): void {
    this.#agentLog.trim();
    this.#appLog?.trim();
  }

  /** Starts the proxy; the application follows when that is ready. Errors: rejects when its folder cannot be written. */
  async start(): Promise<void> {
    await this.#files.prepare();
    for (const problem of ownProxyConfig(this.plan.object.spec.annotations).problems) {
      this.#around.events.add('Warning', this.subject, problem);
    }
    if (this.isStopping) return;
    this.#agent.start();
    const host = this.plan.addresses.proxy;
    this.#proxyWatch = this.#watch(
      () => probe({ host, port: READY_PORT, path: '/healthz/ready', timeoutMs: PROBE_TIMEOUT_MS }),
      PROXY_PERIOD_MS,
      PROXY_FAILURES,
    );
  }

  /**
   * Application first, then the proxy; nothing of it is left when this resolves. It counts as not ready from now on; `leave` takes it out
   * of the mesh before anything is stopped.
   */
  stop(leave: () => Promise<void>): Promise<void> {
    this.#isStopping = true;
    this.#stopping ??= this.#stop(leave);
    return this.#stopping;
  }

  async #stop(leave: () => Promise<void>): Promise<void> {
    this.#proxyWatch?.[Symbol.dispose]();
    this.#appWatch?.[Symbol.dispose]();
    await leave();
    await this.#app?.stop(APP_GRACE_MS);
    await this.#agent.stop(AGENT_GRACE_MS);
    this.#files[Symbol.dispose]();
  }

  #watch(check: () => Promise<string>, periodMs: number, failureThreshold: number): ReadinessWatch {
    const onChange = (): void => this.#readinessChanged();
    return new ReadinessWatch({ check, periodMs, failureThreshold, clock: this.#around.clock, onChange });
  }

  #readinessChanged(): void {
    if (this.isStopping) return;
    if (this.#proxyWatch?.ready === true && !this.#proxyWasReady) {
      this.#proxyWasReady = true;
      this.#app?.start();
    }
    if (this.ready !== this.#wasReady) {
      this.#wasReady = this.ready;
      if (this.ready) this.#around.events.add('Normal', this.subject, 'ready');
      else this.#around.events.add('Warning', this.subject, `not ready: ${this.reason}`);
    }
    this.plan.onChange();
  }

  #keepAgent(): KeptProcess {
    const { agentCommand, baseEnvironment, clock, rng } = this.#around;
    const { object } = this.plan;
    const variables = agentEnvironment(this.#around, this.plan);
    return new KeptProcess({
      child: () => ({
        command: [...agentCommand, ...agentArguments(object)],
        cwd: this.#files.folder,
        env: Object.fromEntries([...variables, ...baseEnvironment]),
        log: this.#agentLog,
      }),
      pidFile: join(this.#files.folder, 'agent.pid'),
      clock,
      rng,
      onStart: () => {},
      onCrash: (exit, restartInMs) => this.#crashed('proxy', this.#agentLog, exit, restartInMs),
    });
  }

  #keepApp(log: LogFile): KeptProcess {
    const { baseEnvironment, clock, rng, httpProxyPort } = this.#around;
    const { object, replica, addresses, workingDir } = this.plan;
    const place = { namespace: object.namespace, workload: object.name, replica, addresses, httpProxyPort };
    const env = appEnvironment(baseEnvironment, place, object.spec.env);
    const command = [...object.spec.command, ...object.spec.args].map((word) => expandVariables(word, env));
    return new KeptProcess({
      child: () => {
        if (!existsSync(workingDir)) log.note(`the working directory ${workingDir} does not exist`);
        return { command, cwd: workingDir, env: Object.fromEntries(env), log };
      },
      pidFile: join(this.#files.folder, 'app.pid'),
      clock,
      rng,
      onStart: () => this.#watchApp(),
      onCrash: (exit, restartInMs) => {
        this.#appWatch?.[Symbol.dispose]();
        this.#appWatch = undefined;
        this.#crashed('app', log, exit, restartInMs);
      },
    });
  }

  #watchApp(): void {
    const { spec } = this.plan.object;
    const { readiness } = spec;
    const host = this.plan.addresses.app;
    const port =
      readiness?.http?.port ??
      readiness?.tcp?.port ??
      spec.ports.find((one) => one.protocol === 'TCP')?.appPort;
    const path = readiness?.http?.path;
    const timeoutMs = readiness?.timeoutMs ?? PROBE_TIMEOUT_MS;
    const check = async (): Promise<string> => {
      if (port === undefined) return '';
      return probe({ host, port, timeoutMs, ...(path === undefined ? {} : { path }) });
    };
    this.#appWatch = this.#watch(
      check,
      readiness?.periodMs ?? PROBE_TIMEOUT_MS,
      readiness?.failureThreshold ?? 1,
    );
  }

  #crashed(what: 'app' | 'proxy', log: LogFile, exit: ChildExit, restartInMs: number): void {
    const when = restartInMs === 0 ? 'at once' : `in ${(restartInMs / 1000).toFixed(1)} s`;
    const text = `${what} ${printExit(exit)}; starting it again ${when}`;
    log.note(text);
    this.#around.events.add('Warning', this.subject, text);
    this.#readinessChanged();
  }
}

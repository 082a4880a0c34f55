/**
 * Runs Envoy and keeps it running: back within a fraction of a second after a crash, slower if it keeps crashing, given up if it
 * never came up. `launcher` asks the kernel for SIGTERM when the thread that started Envoy ends, so that no Envoy outlives a killed
 * agent; hence only the main thread may start it. (Envoy asks for the same by itself, but only with hot restart, which
 * leaves a file in /dev/shm after each run and a socket that other users can reach.)
 * Envoy writes to the agent's own stdout and stderr: no copying, and access logs at /dev/stdout work.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { Backoff } from '#base/backoff.ts';
import type { Clock } from '#base/clock.ts';
import { toDisposable } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import type { Rng } from '#base/rng.ts';
import { ACTIVE_CONNECTIONS_PATH, countConnections } from './active-connections.ts';
import type { SocketAddress } from './bootstrap-settings.ts';
import { callHttp } from './http-call.ts';

/** How to start, drain and stop Envoy. */
export interface EnvoySettings {
  /** Command words before Envoy's own; none where the kernel or the machine has no such thing. */
  readonly launcher: readonly string[];
  readonly binaryPath: string;
  readonly configPath: string;
  readonly admin: SocketAddress;
  readonly addressFamily: 'v4' | 'v6';
  /** A sidecar drains what comes in and lets the application finish its own calls; a gateway drains all. */
  readonly kind: 'sidecar' | 'router';
  readonly drainDurationMs: number;
  readonly terminationDrainDurationMs: number;
  /** At the end, waits for the last client instead of `terminationDrainDurationMs`, but so long at least; undefined: it does not. */
  readonly idleWait: IdleWait | undefined;
  /** Worker threads; 0: one per core. */
  readonly concurrency: number;
  /** How long access logs are kept in memory at most. */
  readonly fileFlushIntervalMs: number;
  /** How much of them, in KiB; 0: Envoy's own limit. */
  readonly fileFlushMinSizeKib: number;
  readonly logLevel: string;
  /** `component:level` pairs; '' for none. */
  readonly componentLogLevel: string;
  /** A file with a bootstrap, YAML or JSON, that Envoy lays over ours; undefined: none. */
  readonly overridePath: string | undefined;
  /** What `$(HOST_IP)` stands for in that file. */
  readonly hostIp: string;
  readonly hasCoreDumps: boolean;
  readonly skipsDeprecatedLogs: boolean;
}

/** How the end waits for clients. */
export interface IdleWait {
  readonly minimumMs: number;
  /** The proxy's own doors, as `ADDRESS_PORT`, whose clients do not count. */
  readonly ownListeners: readonly string[];
}

/** What the process runs on. */
export interface EnvoyParts {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
}

const retry = { initialMs: 100, maxMs: 10_000 };
/** Living so long counts as having come up. */
const stableMs = 5000;
const maxFailedStarts = 8;
const killAfterMs = 5000;
const adminTimeoutMs = 2000;
const idlePollMs = 1000;
const maxFailedPolls = 5;
/** What the kernel takes as one word of a command line, less some room. */
const maxOverrideBytes = 120 * 1024;

/** The command line. Source: Istio pkg/envoy/proxy.go. */
export function envoyArguments(settings: EnvoySettings, override = ''): readonly string[] {
  const values: readonly (readonly [flag: string, value: string])[] = [
    ['-c', settings.configPath],
    ['--drain-time-s', String(Math.ceil(settings.drainDurationMs / 1000))],
    ['--drain-strategy', 'immediate'],
    ['--local-address-ip-version', settings.addressFamily],
    ['--file-flush-interval-msec', String(settings.fileFlushIntervalMs)],
    [
      '--file-flush-min-size-kb',
      settings.fileFlushMinSizeKib > 0 ? String(settings.fileFlushMinSizeKib) : '',
    ],
    ['--config-yaml', override],
    ['-l', settings.logLevel],
    ['--component-log-level', settings.componentLogLevel],
    ['--concurrency', settings.concurrency > 0 ? String(settings.concurrency) : ''],
  ];
  const switches = [
    '--disable-hot-restart',
    '--allow-unknown-static-fields',
    ...(settings.skipsDeprecatedLogs ? ['--skip-deprecated-logs'] : []),
    ...(settings.hasCoreDumps ? ['--enable-core-dump'] : []),
  ];
  return [...values.filter(([, value]) => value !== '').flat(), ...switches];
}

/** One Envoy, over all its restarts. */
export class EnvoyProcess {
  readonly #settings: EnvoySettings;
  readonly #parts: EnvoyParts;
  readonly #backoff: Backoff;
  readonly #givenUp = Promise.withResolvers<string>();
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #restart: Disposable = toDisposable(() => {});
  #failedStarts = 0;
  #isStopping = false;
  #isDrained = false;

  constructor(settings: EnvoySettings, parts: EnvoyParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#backoff = new Backoff(retry, parts.rng);
  }

  /** Resolves with the reason when Envoy cannot be brought up; never otherwise. */
  get givenUp(): Promise<string> {
    return this.#givenUp.promise;
  }

  /** Id of the running process; undefined between two. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts Envoy, and again after each crash, with these variables in its environment. */
  start(environment: Readonly<Record<string, string>>): void {
    const { binaryPath, launcher } = this.#settings;
    const mistake = findMistake(binaryPath);
    if (mistake !== undefined) return this.#givenUp.resolve(`cannot run ${binaryPath}: ${mistake}`);
    const startedMs = this.#parts.clock.monotonicMs();
    const [program = binaryPath, ...args] = [
      ...launcher,
      binaryPath,
      ...envoyArguments(this.#settings, this.#override()),
    ];
    const child = spawn(program, args, {
      env: environment,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => {
        this.#child = undefined;
        this.#givenUp.resolve(`cannot run ${binaryPath}: ${error.message}`);
        resolve();
      });
      child.once('exit', (code, signal) => {
        this.#child = undefined;
        resolve();
        const delayMs = this.#judgeExit(
          `exited with ${signal ?? `code ${code}`}`,
          this.#parts.clock.monotonicMs() - startedMs,
        );
        if (delayMs === undefined) return;
        this.#restart = this.#parts.clock.schedule(delayMs, () => this.start(environment));
      });
    });
  }

  /** Asks Envoy to let connections end: new ones go elsewhere, HTTP clients are told to close. */
  async drain(): Promise<void> {
    this.#isDrained = true;
    const scope = this.#settings.kind === 'sidecar' ? 'inboundonly&' : '';
    await this.#callAdmin(`/drain_listeners?${scope}graceful&skip_exit`);
  }

  /** Drains, then ends Envoy; resolves when the process is gone. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#restart[Symbol.dispose]();
    // Who asked to drain before has waited already, as long as the application took.
    if (this.#child !== undefined && !this.#isDrained) await this.#drainAndWait();
    this.#child?.kill('SIGTERM');
    using _killer = this.#parts.clock.schedule(killAfterMs, () => this.#child?.kill('SIGKILL'));
    await this.#exited;
  }

  async #drainAndWait(): Promise<void> {
    const { idleWait, terminationDrainDurationMs } = this.#settings;
    if (idleWait === undefined && terminationDrainDurationMs === 0) return;
    await this.drain();
    await this.#wait(idleWait?.minimumMs ?? terminationDrainDurationMs);
    if (idleWait !== undefined) await this.#waitForClients(idleWait.ownListeners);
  }

  /** Until no client is left, Envoy ends by itself, or it does not answer any more. Source: Istio pkg/envoy/agent.go terminate. */
  async #waitForClients(ownListeners: readonly string[]): Promise<void> {
    const { address: host, port } = this.#settings.admin;
    let failures = 0;
    let last = 0;
    while (this.#child !== undefined && failures < maxFailedPolls) {
      const answer = await callHttp({
        host,
        port,
        path: ACTIVE_CONNECTIONS_PATH,
        timeoutMs: adminTimeoutMs,
      }).catch(() => undefined);
      failures = answer === undefined ? failures + 1 : 0;
      const connections = answer && (countConnections(answer.body, ownListeners) ?? 0);
      if (connections === 0) return;
      if (connections !== undefined && connections !== last)
        this.#parts.log.info('waiting for clients to go', { connections });
      last = connections ?? last;
      await this.#wait(idlePollMs);
    }
  }

  /** The text of the file that is laid over the bootstrap; '' when there is none or it cannot be used. */
  #override(): string {
    const { overridePath: path, hostIp } = this.#settings;
    if (path === undefined) return '';
    try {
      const host = hostIp.includes(':') ? `[${hostIp}]` : hostIp;
      const text = readFileSync(path, 'utf8').replaceAll('[$(HOST_IP)]', host).replaceAll('$(HOST_IP)', host);
      if (Buffer.byteLength(text) <= maxOverrideBytes) return text;
      this.#parts.log.warn('the bootstrap override is too large', { path, maxOverrideBytes });
    } catch (error) {
      this.#parts.log.warn('the bootstrap override cannot be read', { path, error });
    }
    return '';
  }

  /** Waits; shorter if Envoy ends by itself. */
  async #wait(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    using _timer = this.#parts.clock.schedule(delayMs, resolve);
    await Promise.race([promise, this.#exited]);
  }

  /** How long to wait before the next start; undefined: there is none. */
  #judgeExit(how: string, livedMs: number): number | undefined {
    if (this.#isStopping) return undefined;
    if (livedMs >= stableMs) {
      this.#failedStarts = 0;
      this.#backoff.reset();
    } else {
      this.#failedStarts++;
    }
    if (this.#failedStarts >= maxFailedStarts) {
      this.#givenUp.resolve(`Envoy ${how}, ${this.#failedStarts} times within ${stableMs} ms of its start`);
      return undefined;
    }
    const delayMs = this.#backoff.nextMs();
    this.#parts.log.error(`Envoy ${how}`, { restartInMs: Math.round(delayMs) });
    return delayMs;
  }

  async #callAdmin(path: string): Promise<void> {
    const { address: host, port } = this.#settings.admin;
    try {
      await callHttp({ host, port, path, method: 'POST', timeoutMs: adminTimeoutMs });
    } catch (error) {
      this.#parts.log.warn('Envoy did not take the command', { path, error });
    }
  }
}

/** Why a file cannot be run; asked beforehand, since a launcher would only say that it could not. */
function findMistake(path: string): string | undefined {
  try {
    accessSync(path, constants.X_OK);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

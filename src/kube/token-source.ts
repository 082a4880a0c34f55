/**
 * The Authorization header of requests: fixed, from a file that is read again every minute, or from an exec plugin that is
 * run again before its token ends. Age is measured by the monotonic clock where nobody else's clock is involved, so that a
 * jump of the wall clock costs one more reading at most. A 401 makes the next request read again.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { Clock } from '#base/clock.ts';
import { Secret } from '#base/secret.ts';
import type { ExecPlugin, KubeTarget } from './kube-target.ts';

const FILE_REFRESH_MS = 60_000;
/** A token of a plugin is replaced this long before it ends. */
const EXPIRY_MARGIN_MS = 30_000;
const PLUGIN_LIMIT_MS = 60_000;
const MAX_TOKEN_BYTES = 64 * 1024;
/** Between two forced readings: a server that refuses everything does not start a program per request. */
const MIN_REFRESH_MS = 5000;

/** What a token source needs besides the target. */
export interface TokenSourceOptions {
  readonly clock: Clock;
  /** Environment of plugins. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

interface Held {
  readonly header: Secret | undefined;
  readonly readAtMs: number;
  /** Monotonic time from which it is read again. */
  readonly refreshAtMs: number;
}

/** Gives the header's value; one reading at a time. */
export class TokenSource {
  readonly #target: KubeTarget;
  readonly #options: TokenSourceOptions;
  #held: Held | undefined;
  #reading: Promise<Held> | undefined;

  constructor(target: KubeTarget, options: TokenSourceOptions) {
    this.#target = target;
    this.#options = options;
  }

  /** The value, undefined when there is none. Errors: rejects when there never was a token and none can be had now. */
  async header(): Promise<Secret | undefined> {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#held !== undefined && nowMs < this.#held.refreshAtMs) return this.#held.header;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    try {
      this.#held = await this.#reading;
    } catch (error) {
      // A file that is being replaced, a plugin that is away: what we have may still be good.
      if (this.#held === undefined) throw error;
      this.#held = { ...this.#held, refreshAtMs: nowMs + MIN_REFRESH_MS };
    }
    return this.#held.header;
  }

  /** To be told of a 401. True when the next request will read again, so that trying at once makes sense. */
  refused(): boolean {
    const { kind } = this.#target.credential;
    const held = this.#held;
    if (held === undefined || (kind !== 'tokenFile' && kind !== 'exec')) return false;
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - held.readAtMs < MIN_REFRESH_MS) return false;
    this.#held = { ...held, refreshAtMs: nowMs };
    return true;
  }

  async #read(): Promise<Held> {
    const { clock } = this.#options;
    const { credential } = this.#target;
    const readAtMs = clock.monotonicMs();
    const hold = (header: Secret | undefined, forMs: number): Held => ({
      header,
      readAtMs,
      refreshAtMs: readAtMs + forMs,
    });
    switch (credential.kind) {
      case 'none':
        return hold(undefined, Infinity);
      case 'token':
        return hold(bearer(credential.token.reveal()), Infinity);
      case 'basic': {
        const pair = Buffer.from(`${credential.user}:${credential.password.reveal()}`).toString('base64');
        return hold(new Secret(`Basic ${pair}`), Infinity);
      }
      case 'tokenFile':
        return hold(bearer((await readFile(credential.file, 'utf8')).trim()), FILE_REFRESH_MS);
      case 'exec': {
        const { token, expiresAtMs } = await this.#runPlugin(credential.plugin);
        const restMs = expiresAtMs - clock.nowMs() - EXPIRY_MARGIN_MS;
        return hold(bearer(token), Math.max(restMs, MIN_REFRESH_MS));
      }
    }
  }

  async #runPlugin(plugin: ExecPlugin): Promise<{ readonly token: string; readonly expiresAtMs: number }> {
    const { server, tls } = this.#target;
    const cluster = {
      server,
      'insecure-skip-tls-verify': tls.insecure,
      ...(tls.ca === undefined
        ? {}
        : { 'certificate-authority-data': Buffer.from(tls.ca).toString('base64') }),
    };
    const info = {
      apiVersion: plugin.apiVersion,
      kind: 'ExecCredential',
      spec: { interactive: false, ...(plugin.provideClusterInfo ? { cluster } : {}) },
    };
    const env = {
      ...this.#options.env,
      ...Object.fromEntries(plugin.env),
      KUBERNETES_EXEC_INFO: JSON.stringify(info),
    };
    return readExecCredential(await run(plugin, env), plugin.command);
  }
}

function bearer(token: string): Secret {
  if (token === '' || token.length > MAX_TOKEN_BYTES || /[^\x21-\x7e]/.test(token)) {
    throw new Error('the token is empty, too long or has characters that a header cannot hold');
  }
  return new Secret(`Bearer ${token}`);
}

function run(plugin: ExecPlugin, env: Readonly<Record<string, string | undefined>>): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { env, timeout: PLUGIN_LIMIT_MS, maxBuffer: MAX_TOKEN_BYTES * 2 };
  const child = execFile(plugin.command, [...plugin.args], options, (error, stdout) => {
    if (error === null) resolve(stdout);
    else {
      const hint = plugin.installHint === '' ? '' : `: ${plugin.installHint}`;
      reject(new Error(`credential plugin ${plugin.command} failed (${error.code ?? 'killed'})${hint}`));
    }
  });
  child.stdin?.end();
  return promise;
}

/** What it printed is never quoted: it may hold the token. */
function readExecCredential(
  output: string,
  command: string,
): { readonly token: string; readonly expiresAtMs: number } {
  let status: { readonly token?: unknown; readonly expirationTimestamp?: unknown } | undefined;
  try {
    status = (JSON.parse(output) as { readonly status?: typeof status }).status;
  } catch {
    throw new Error(`credential plugin ${command} did not print JSON`);
  }
  if (typeof status?.token !== 'string') throw new Error(`credential plugin ${command} gave no token`);
  const expiry =
    typeof status.expirationTimestamp === 'string' ? Date.parse(status.expirationTimestamp) : Number.NaN;
  return { token: status.token, expiresAtMs: Number.isNaN(expiry) ? Infinity : expiry };
}

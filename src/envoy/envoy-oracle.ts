/**
 * Asks a real Envoy whether it would take a configuration: one `--mode validate` run per question in a process of its
 * own, one at a time, killed when it takes too long. No socket is opened and nothing is left behind; the bootstrap lies
 * in a file for its owner only while Envoy reads it. Costs about 80 ms of another core; answers are remembered.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Hex } from '#base/hash.ts';
import { Lru } from '#base/lru.ts';

/** What Envoy said; `message` is its own words, '' when it takes the configuration. */
export interface OracleAnswer {
  readonly accepted: boolean;
  readonly message: string;
}

export interface EnvoyOracleOptions {
  /** Finds the executable when it is needed first; undefined when there is none. */
  readonly findEnvoy: () => Promise<{ readonly path: string; readonly version: string } | undefined>;
  /** Where a folder of our own may be made for the time of a question. */
  readonly tempDir: string;
  /** How long one run may take. Default: ten seconds; a hostile regular expression keeps Envoy busy for four. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_OUTPUT_BYTES = 256 << 10;
const MAX_MESSAGE_CHARACTERS = 4_096;
const REMEMBERED_ANSWERS = 4_096;

export class EnvoyOracle implements AsyncDisposable {
  readonly #options: EnvoyOracleOptions;
  readonly #answers: Lru<string, OracleAnswer> = new Lru(REMEMBERED_ANSWERS);
  #binary: ReturnType<EnvoyOracleOptions['findEnvoy']> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #running: ChildProcess | undefined;
  #isClosed = false;

  constructor(options: EnvoyOracleOptions) {
    this.#options = options;
  }

  /** The version of the Envoy that answers; '' when there is none. */
  async version(): Promise<string> {
    return (await this.#findEnvoy())?.version ?? '';
  }

  /**
   * Whether Envoy takes a bootstrap, an encoded `envoy.config.bootstrap.v3.Bootstrap`. Undefined when there is no
   * answer: no Envoy, out of time, or it failed over something else than the configuration.
   */
  accepts(bootstrap: Uint8Array): Promise<OracleAnswer | undefined> {
    const key = sha256Hex(bootstrap);
    const answer = this.#last.then(async () => {
      const known = this.#answers.get(key) ?? (await this.#ask(bootstrap));
      if (known !== undefined) this.#answers.set(key, known);
      return known;
    });
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  /** Ends the run under way; questions that wait get no answer. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#running?.kill('SIGKILL');
    await this.#last;
  }

  #findEnvoy(): ReturnType<EnvoyOracleOptions['findEnvoy']> {
    this.#binary ??= this.#options.findEnvoy();
    return this.#binary;
  }

  async #ask(bootstrap: Uint8Array): Promise<OracleAnswer | undefined> {
    const envoy = this.#isClosed ? undefined : await this.#findEnvoy();
    if (envoy === undefined) return undefined;
    const folder = await mkdtemp(join(this.#options.tempDir, 'lateen-oracle-'));
    try {
      const file = join(folder, 'bootstrap.pb');
      await writeFile(file, bootstrap, { mode: 0o600 });
      return this.#isClosed ? undefined : await this.#run(envoy.path, file);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  #run(path: string, file: string): Promise<OracleAnswer | undefined> {
    const args = [
      '--mode',
      'validate',
      '--config-path',
      file,
      '--concurrency',
      '1',
      '--log-level',
      'critical',
    ];
    const child = spawn(path, args, { stdio: ['ignore', 'ignore', 'pipe'], env: {} });
    this.#running = child;
    let output = '';
    child.stderr.on('data', (chunk: Buffer) => {
      if (output.length < MAX_OUTPUT_BYTES) output += chunk.toString();
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    return new Promise((resolve) => {
      const finish = (code: number | null): void => {
        clearTimeout(timer);
        this.#running = undefined;
        const message = code === null ? undefined : ownWords(output, file);
        if (code === 0) resolve({ accepted: true, message: '' });
        else resolve(message === undefined ? undefined : { accepted: false, message });
      };
      child.once('error', () => finish(null));
      child.once('close', (code) => finish(code));
    });
  }
}

/** What Envoy says about the configuration, without the log line's head; undefined when it failed over something else. */
function ownWords(output: string, file: string): string | undefined {
  const head = `error initializing configuration '${file}': `;
  const at = output.lastIndexOf(head);
  if (at < 0) return undefined;
  return output.slice(at + head.length, at + head.length + MAX_MESSAGE_CHARACTERS).trim();
}

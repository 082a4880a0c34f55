/**
 * A replica's own folder under the state folder: what its agent reads and writes (token, root, sockets) and the pid files of its
 * processes. 0700, files 0600. The token is written anew at half its life; the application never hears of it.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import { ROOT_CERT_PATH, TOKEN_PATH } from './agent-environment.ts';
import type { TrustRoots } from './control-plane.ts';

const RETRY_MS = 5000;
const MIN_RENEWAL_MS = 10_000;
const DEFAULT_RENEWAL_MS = 600_000;

export interface ReplicaFilesOptions {
  readonly folder: string;
  readonly roots: TrustRoots;
  readonly issueToken: () => Promise<string>;
  readonly clock: Clock;
  readonly onProblem: (text: string) => void;
}

export class ReplicaFiles implements Disposable {
  readonly folder: string;
  readonly #options: ReplicaFilesOptions;
  #timer: Disposable | undefined;
  #watch: Disposable | undefined;
  #disposed = false;

  constructor(options: ReplicaFilesOptions) {
    this.folder = options.folder;
    this.#options = options;
  }

  /** Makes the folder and writes token and root. Errors: rejects when the disk or the issuer refuses. */
  async prepare(): Promise<void> {
    rmSync(this.folder, { recursive: true, force: true });
    for (const path of [TOKEN_PATH, ROOT_CERT_PATH]) {
      mkdirSync(dirname(join(this.folder, path)), { recursive: true, mode: 0o700 });
    }
    this.#writeRoots();
    this.#watch = this.#options.roots.watch(() => this.#writeRoots());
    await this.#writeToken();
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#timer?.[Symbol.dispose]();
    this.#watch?.[Symbol.dispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #writeRoots(): void {
    const path = join(this.folder, ROOT_CERT_PATH);
    writeFileSync(`${path}.new`, this.#options.roots.pem(), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  async #writeToken(): Promise<void> {
    const { clock, issueToken } = this.#options;
    const token = await issueToken();
    if (this.#disposed) return;
    const path = join(this.folder, TOKEN_PATH);
    writeFileSync(`${path}.new`, token, { mode: 0o600 });
    renameSync(`${path}.new`, path);
    this.#schedule(renewalDelayMs(token, clock.nowMs()));
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#options.clock.schedule(delayMs, () => {
      this.#writeToken().catch((error: unknown) => {
        this.#options.onProblem(`the token could not be renewed: ${error}`);
        this.#schedule(RETRY_MS);
      });
    });
  }
}

/** Half of what is left of a JWT's life. */
export function renewalDelayMs(token: string, nowMs: number): number {
  try {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
    const { exp } = JSON.parse(payload) as { readonly exp?: unknown };
    if (typeof exp !== 'number') return DEFAULT_RENEWAL_MS;
    return Math.max(MIN_RENEWAL_MS, (exp * 1000 - nowMs) / 2);
  } catch {
    return DEFAULT_RENEWAL_MS;
  }
}

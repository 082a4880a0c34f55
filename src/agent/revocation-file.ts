/**
 * The revocation lists that are mounted into a pod, looked at now and then. Lists that are broken or over leave the last good ones in
 * use; a file that is gone or empty means that nothing is revoked any more.
 * Source: Istio pkg/security CACRLFilePath.
 */
import { readFile } from 'node:fs/promises';
import type { AgentParts } from './workload-certificate.ts';
import { takeRevocations } from './trust-bundle-message.ts';

export class RevocationFile {
  readonly #path: string | undefined;
  readonly #parts: Pick<AgentParts, 'clock' | 'log' | 'metrics'>;
  #seen = '';
  #pem = '';
  #isUnusable = false;

  constructor(path: string | undefined, parts: Pick<AgentParts, 'clock' | 'log' | 'metrics'>) {
    this.#path = path;
    this.#parts = parts;
  }

  /** The last good lists, PEM; '' for none. */
  get pem(): string {
    return this.#pem;
  }

  /** True when there are lists that cannot be read, and none before them: without them nobody is to be believed. */
  get isUnusable(): boolean {
    return this.#isUnusable;
  }

  /** Looks whether there are others. */
  async look(): Promise<void> {
    const text = await this.#read();
    if (text === undefined || text === this.#seen) return;
    this.#seen = text;
    const taken = takeRevocations(text, this.#pem, this.#parts.clock.nowMs());
    const problem = taken.ok ? taken.value.problem : taken.error;
    if (taken.ok) this.#pem = taken.value.revocationsPem;
    this.#isUnusable = !taken.ok && this.#pem === '';
    if (problem === '') return;
    this.#parts.metrics.add('lateen_agent_trust_refused_total');
    this.#parts.log.warn('the mounted revocation lists are not used', { path: this.#path, reason: problem });
  }

  /** Undefined when it cannot be told what there is. */
  async #read(): Promise<string | undefined> {
    if (this.#path === undefined) return undefined;
    try {
      return await readFile(this.#path, 'utf8');
    } catch (error) {
      const isGone = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      return isGone ? '' : undefined;
    }
  }
}

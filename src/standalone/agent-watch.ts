/**
 * Looks at every agent's metrics now and then, as a Prometheus would, for what must be known before anybody asks: who calls
 * in plain text, and when workloads' certificates end. Costs one scrape per replica and period.
 */
import type { Clock } from '#base/clock.ts';
import type { PlaintextCaller } from '#doors/control-protocol.ts';
import { scrapeAgent, type WatchedReplica } from './agent-scrape.ts';
import type { WorkloadCertificateEnd } from './certificate-alerts.ts';
import { PlainCallers } from './plain-callers.ts';
import { parseSamples, type Sample } from './prometheus-text.ts';

/** A replica as this watch needs it. */
export interface AgentReplica extends WatchedReplica {
  readonly ready: boolean;
  readonly plan: WatchedReplica['plan'] & {
    readonly object: { readonly namespace: string; readonly name: string };
  };
}

const PERIOD_MS = 15_000;
const CERTIFICATE = 'istio_agent_cert_expiry_seconds';

export class AgentWatch implements Disposable {
  readonly #replicas: () => readonly AgentReplica[];
  readonly #clock: Clock;
  readonly #callers = new PlainCallers();
  /** When certificates end, by replica. */
  readonly #ends = new Map<string, WorkloadCertificateEnd>();
  #timer: Disposable;
  #looking: Promise<void> | undefined;
  #isClosed = false;

  constructor(replicas: () => readonly AgentReplica[], clock: Clock) {
    this.#replicas = replicas;
    this.#clock = clock;
    this.#timer = clock.schedule(PERIOD_MS, () => this.#again());
  }

  /** Looks at all agents now; those that do not answer are left out. */
  look(): Promise<void> {
    this.#looking ??= this.#round().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** Looks if some replica that is ready has not been looked at yet. */
  async lookAtNew(): Promise<void> {
    const isNew = (replica: AgentReplica): boolean => replica.ready && !this.#ends.has(replica.subject);
    if (this.#replicas().some(isNew)) await this.look();
  }

  /** Who has called a workload (`namespace/name`) in plain text, the latest first. */
  plainCallersOf(workload: string): readonly PlaintextCaller[] {
    return this.#callers.of(workload);
  }

  /** When the certificates of replicas end, by subject; of those that have told. */
  get certificates(): ReadonlyMap<string, WorkloadCertificateEnd> {
    return this.#ends;
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#timer[Symbol.dispose]();
  }

  #again(): void {
    void this.look().finally(() => {
      if (!this.#isClosed) this.#timer = this.#clock.schedule(PERIOD_MS, () => this.#again());
    });
  }

  async #round(): Promise<void> {
    const replicas = this.#replicas();
    await Promise.all(replicas.map((replica) => this.#scrape(replica)));
    const subjects = new Set(replicas.map(({ subject }) => subject));
    this.#callers.retain(subjects);
    for (const subject of this.#ends.keys()) if (!subjects.has(subject)) this.#ends.delete(subject);
  }

  async #scrape(replica: AgentReplica): Promise<void> {
    const text = await scrapeAgent(replica);
    if (text === '') return;
    const { namespace, name } = replica.plan.object;
    const nowMs = this.#clock.nowMs();
    const samples = parseSamples(text, 'istio_');
    this.#callers.note(`${namespace}/${name}`, replica.subject, samples, nowMs);
    const left = samples.find(isCertificate)?.value;
    if (left !== undefined) this.#noteCertificate(replica.subject, left * 1000, nowMs);
  }

  #noteCertificate(subject: string, leftMs: number, nowMs: number): void {
    const longestLeftMs = Math.max(leftMs, this.#ends.get(subject)?.longestLeftMs ?? 0);
    // Certificates end at whole seconds; what the agent tells is a moment old.
    const notAfterUnixMs = Math.round((nowMs + leftMs) / 1000) * 1000;
    this.#ends.set(subject, { subject, notAfterUnixMs, longestLeftMs });
  }
}

function isCertificate({ name, labels }: Sample): boolean {
  return name === CERTIFICATE && labels.get('resource_name') === 'default';
}

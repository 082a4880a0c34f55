/** One run of the simulator at one proxy: what it may look at, what chance decides, and the steps so far. */
import type { Cause } from '#base/cause.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import type { Chance } from './chance.ts';
import type { Step, StepStage } from './simulated-call.ts';

/** A proxy of the mesh with its generated configuration. */
export interface SimulatedProxy {
  /** `name.namespace`, as steps show it. */
  readonly name: string;
  readonly snapshot: ProxySnapshot;
  /** URI SAN of its workload certificate. */
  readonly spiffeId: string;
  /** Its own addresses, the first one primary. */
  readonly addresses: readonly string[];
}

const NO_CAUSES: readonly Cause[] = [];

export class Evaluation {
  readonly proxy: SimulatedProxy;
  readonly chance: Chance;
  readonly #steps: Step[];

  constructor(proxy: SimulatedProxy, chance: Chance, steps: Step[]) {
    this.proxy = proxy;
    this.chance = chance;
    this.#steps = steps;
  }

  get snapshot(): ProxySnapshot {
    return this.proxy.snapshot;
  }

  /** Records what was looked at and what came of it. */
  note(stage: StepStage, subject: string, result: string, causes: readonly Cause[] = NO_CAUSES): void {
    this.#steps.push({ proxy: this.proxy.name, stage, subject, result, isEvaluated: true, causes });
  }

  /** Records what the simulator does not know. */
  notEvaluated(stage: StepStage, subject: string, what: string): void {
    const step = { proxy: this.proxy.name, stage, subject, isEvaluated: false, causes: NO_CAUSES };
    this.#steps.push({ ...step, result: `not evaluated: ${what}` });
  }
}

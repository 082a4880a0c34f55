/** What happens to workloads, kept for `lateen status` and told to who listens: the last few hundred, in memory. */
import type { MeshEvent } from '#doors/control-protocol.ts';
import type { Clock } from '#base/clock.ts';
import { toDisposable } from '#base/disposable.ts';

const KEPT = 500;

export class MeshEvents {
  readonly #clock: Clock;
  readonly #events: MeshEvent[] = [];
  readonly #listeners = new Set<(event: MeshEvent) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get all(): readonly MeshEvent[] {
    return this.#events;
  }

  add(type: MeshEvent['type'], subject: string, message: string): void {
    const event = { time: new Date(this.#clock.nowMs()).toISOString(), type, subject, message };
    this.#events.push(event);
    if (this.#events.length > KEPT) this.#events.shift();
    for (const listener of this.#listeners) listener(event);
  }

  listen(listener: (event: MeshEvent) => void): Disposable {
    this.#listeners.add(listener);
    return toDisposable(() => this.#listeners.delete(listener));
  }
}

/** Readiness: the parts of a process that must be up before it is sent work. Kubernetes' probe asks /ready. */

/** Parts by name, each saying whether it is ready. */
export class Readiness {
  readonly #parts: Map<string, () => boolean> = new Map();
  readonly #reasons: Map<string, () => string> = new Map();

  /** `reason` says what a part waits for; '' when it has nothing to say. */
  add(name: string, isReady: () => boolean, reason: () => string = () => ''): void {
    this.#parts.set(name, isReady);
    this.#reasons.set(name, reason);
  }

  /** Names of the parts that are not ready yet, each with its reason. */
  missing(): readonly string[] {
    const names = [...this.#parts].filter(([, isReady]) => !isReady()).map(([name]) => name);
    return names.map((name) => {
      const reason = this.#reasons.get(name)?.() ?? '';
      return reason === '' ? name : `${name} (${reason})`;
    });
  }
}

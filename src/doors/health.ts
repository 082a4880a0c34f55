/** Readiness: the parts of a process that must be up before it is sent work. Kubernetes' probe asks /ready. */
import { type Route, textAnswer } from './http-server.ts';

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

/** `/ready`: 200 when everything is, else 503 with the names of what is missing. Source: istio pilot/pkg/bootstrap, istiodReadyHandler. */
export function readyRoute(readiness: Readiness): Route {
  return {
    path: '/ready',
    access: 'open',
    answer: () => {
      const missing = readiness.missing();
      return missing.length === 0
        ? textAnswer(200, '')
        : textAnswer(503, `not ready: ${missing.join(', ')}\n`);
    },
  };
}

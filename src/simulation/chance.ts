/**
 * All outcomes of a computation that chooses at random. The computation is written as if it knew what chance decides;
 * it is run once per combination of decisions, which keeps everything else free of probabilities.
 * Costs one run per outcome.
 */

/** What a run asks where Envoy would ask a random number. */
export interface Chance {
  /** Picks one of several with these relative weights; options without weight are never picked. */
  pick(weights: readonly number[]): number;
}

export interface WeightedResult<T> {
  readonly probability: number;
  readonly value: T;
}

/** More combinations than this are cut off: nobody reads them, and a hostile configuration must not cost the process. */
const MAX_OUTCOMES = 4096;

interface Decision {
  readonly options: readonly number[];
  readonly weights: readonly number[];
  chosen: number;
}

/** Runs the computation for each combination of decisions; probabilities add up to 1 unless there are too many. */
export function allOutcomes<T>(run: (chance: Chance) => T): readonly WeightedResult<T>[] {
  const script: Decision[] = [];
  const results: WeightedResult<T>[] = [];
  do {
    let at = 0;
    let probability = 1;
    const value = run({
      pick(weights) {
        const decision = script[at] ?? newDecision(weights);
        script[at++] = decision;
        const option = decision.options[decision.chosen] ?? 0;
        const total = decision.weights.reduce((sum, weight) => sum + weight, 0);
        if (total > 0) probability *= (decision.weights[option] ?? 0) / total;
        return option;
      },
    });
    script.length = at;
    results.push({ probability, value });
  } while (advance(script) && results.length < MAX_OUTCOMES);
  return results;
}

function newDecision(weights: readonly number[]): Decision {
  const options = weights.flatMap((weight, option) => (weight > 0 ? [option] : []));
  return { options: options.length === 0 ? [0] : options, weights, chosen: 0 };
}

/** Goes to the next combination, the last decision first; false when there is none. */
function advance(script: Decision[]): boolean {
  for (;;) {
    const last = script.at(-1);
    if (last === undefined) return false;
    if (++last.chosen < last.options.length) return true;
    script.pop();
  }
}

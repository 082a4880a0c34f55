/**
 * What the parts of one engine share: counters, the recorder of dependencies, and where errors of derivations go.
 * Made by engine.ts, handed to every collection and index.
 */
import type { Fetch } from './collection.ts';
import type { Dependent } from './dependency-table.ts';

/** Brackets each run of a derivation; recorder.ts implements it. */
export interface DependencyRecorder extends Fetch {
  /** True while a derivation runs. */
  readonly isRecording: boolean;
  begin(item: Dependent): void;
  /** Writes the dependencies of the run, also of one that threw: it failed on account of what it had read so far. */
  end(): void;
}

/** Shared by all collections and indices of one engine. */
export interface Graph {
  readonly recorder: DependencyRecorder;
  readonly counters: { recomputed: number; cutOff: number; epochs: number };
  /** Takes an error of a derivation, a bucket function, an `equals` or a watcher (then `key` is ''). */
  reportError(collection: string, key: string, error: unknown): void;
}

/** Where a new collection or index goes. `id` is its place in the order of creation, which is the order of evaluation. */
export interface Place {
  readonly graph: Graph;
  readonly id: number;
  readonly name: string;
}

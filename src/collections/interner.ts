/**
 * One object per content: builders of resources go through here, so that equal inputs give the same built and encoded
 * resource, whoever asks (law 3, level 1 of the cost plan). The key is a SHA-256 of the input's canonical JSON: inputs hold
 * names that users choose, and two inputs that share a key would share a resource. Results are held weakly: what no snapshot
 * and no derived value refers to any more goes with the next garbage collection, without anybody counting references; whether
 * a result is still there or is built again changes nothing but the `encoded` counter. Cost of a hit: O(size of the input).
 */
import { canonicalJson } from '#base/canonical-json.ts';
import { deepFreeze } from '#base/deep-freeze.ts';
import { sha256Hex } from '#base/hash.ts';

/** Settings of an Interner. */
export interface InternerOptions {
  /** Freeze inputs all the way down, so that a builder which changes its input is found out. For tests and development. */
  readonly freezeInputs?: boolean;
}

/** Results of pure builders by content of their input; see the head of this file. */
export class Interner {
  readonly #results: Map<string, WeakRef<object>> = new Map();
  readonly #onCollected: FinalizationRegistry<string>;
  readonly #freezeInputs: boolean;
  #encoded = 0;
  #reused = 0;

  constructor(options: InternerOptions = {}) {
    this.#freezeInputs = options.freezeInputs ?? false;
    this.#onCollected = new FinalizationRegistry((key) => this.#forget(key));
  }

  /** How many results were built since start. */
  get encoded(): number {
    return this.#encoded;
  }

  /** How many times a result was there already. */
  get reused(): number {
    return this.#reused;
  }

  /** Results known now, some of which may be garbage. */
  get size(): number {
    return this.#results.size;
  }

  /**
   * The result of `build(input)`, the same object for equal inputs. `builder` names the function: all calls with one name
   * pass the same pure function of the input. Errors: TypeError for inputs that canonicalJson refuses.
   */
  intern<I, O extends object>(builder: string, input: I, build: (input: I) => O): O {
    const key = `${builder}:${sha256Hex(canonicalJson(input))}`;
    const known = this.#results.get(key)?.deref();
    if (known !== undefined) {
      this.#reused++;
      return known as O;
    }
    const result = build(this.#freezeInputs ? deepFreeze(input) : input);
    this.#encoded++;
    this.#results.set(key, new WeakRef(result));
    this.#onCollected.register(result, key);
    return result;
  }

  /** The key may have got a new result since the old one became garbage. */
  #forget(key: string): void {
    if (this.#results.get(key)?.deref() === undefined) this.#results.delete(key);
  }
}

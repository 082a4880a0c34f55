/**
 * A value that must not leave by accident (law 11): whatever prints it prints [redacted]; to use it one must say
 * `reveal()`, which is easy to find in a review. Equality is by content.
 */
import { deepEqual, EQUALS } from './deep-equal.ts';

const REDACTED = '[redacted]';

/** Wraps text or bytes: a key, a token, a password. */
export class Secret<T extends string | Uint8Array = string> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The value itself. Don't log it, don't put it into an error. */
  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [Symbol.toPrimitive](): string {
    return REDACTED;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return REDACTED;
  }

  [EQUALS](other: Secret<T>): boolean {
    return deepEqual(this.#value, other.#value);
  }
}

/**
 * Lifetimes. Everything that subscribes, listens or starts something returns a disposable, which goes at once into the
 * Scope of whoever asked for it. Scopes dispose in reverse order and go on when one member fails.
 */

/** A disposable that calls `release` once, however often it is disposed of. */
export function toDisposable(release: () => void): Disposable {
  let isDisposed = false;
  return {
    [Symbol.dispose](): void {
      if (isDisposed) return;
      isDisposed = true;
      release();
    },
  };
}

/** Holds disposables and disposes of them together. Adding to a disposed scope disposes of the new member at once. */
export class Scope implements Disposable {
  readonly #members: Set<Disposable> = new Set();
  #isDisposed = false;

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  /** Returns what it was given, so that it can stand around a call. */
  add<T extends Disposable>(member: T): T {
    if (this.#isDisposed) member[Symbol.dispose]();
    else this.#members.add(member);
    return member;
  }

  /** Disposes of one member before the others; for things that end while the scope lives on. */
  remove(member: Disposable): void {
    if (this.#members.delete(member)) member[Symbol.dispose]();
  }

  /** Errors: the only error of a member as it is, several as an AggregateError, after all members have been disposed of. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    const errors: unknown[] = [];
    for (const member of [...this.#members].reverse()) {
      try {
        member[Symbol.dispose]();
      } catch (error) {
        errors.push(error);
      }
    }
    this.#members.clear();
    throwCollected(errors);
  }
}

/** A Scope whose members may take time to end: each is waited for before the one added before it. */
export class AsyncScope implements AsyncDisposable {
  readonly #members: Set<Disposable | AsyncDisposable> = new Set();
  #ending: Promise<void> | undefined;

  get isDisposed(): boolean {
    return this.#ending !== undefined;
  }

  /** Returns what it was given. On a disposed scope the member is disposed of at once and waited for by nobody. */
  add<T extends Disposable | AsyncDisposable>(member: T): T {
    if (this.#ending === undefined) this.#members.add(member);
    else this.#ending = Promise.allSettled([this.#ending, disposeOf(member)]).then(() => undefined);
    return member;
  }

  /** Calls after the first wait for the first. Errors: as Scope. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    const errors: unknown[] = [];
    for (const member of [...this.#members].reverse()) {
      try {
        await disposeOf(member);
      } catch (error) {
        errors.push(error);
      }
    }
    this.#members.clear();
    throwCollected(errors);
  }
}

async function disposeOf(member: Disposable | AsyncDisposable): Promise<void> {
  if (Symbol.asyncDispose in member) await member[Symbol.asyncDispose]();
  else member[Symbol.dispose]();
}

function throwCollected(errors: readonly unknown[]): void {
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw new AggregateError(errors, `${errors.length} errors while disposing`);
}

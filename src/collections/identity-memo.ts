/**
 * Memory of a pure function by the identity of its arguments: the cheap way to share work between items that hold the same
 * interned objects, where interning by content would have to read them. Entries go with their arguments.
 */

/** Remembers the result per tuple of arguments. O(number of arguments) per hit. */
export function identityMemo<A extends readonly [object, ...object[]], O>(
  build: (...args: A) => O,
): (...args: A) => O {
  const root = new Memory<O>();
  return (...args) => {
    let memory = root;
    for (const argument of args) memory = memory.under(argument);
    memory.result ??= { value: build(...args) };
    return memory.result.value;
  };
}

/** What is remembered for a beginning of an argument list. */
class Memory<O> {
  /** Wrapped, since undefined is a result like any other. */
  result: { readonly value: O } | undefined;
  #next: WeakMap<object, Memory<O>> | undefined;

  under(argument: object): Memory<O> {
    this.#next ??= new WeakMap();
    let memory = this.#next.get(argument);
    if (memory === undefined) {
      memory = new Memory();
      this.#next.set(argument, memory);
    }
    return memory;
  }
}

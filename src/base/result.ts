/** Expected failures as values: a tagged union, so that a caller must look before it takes. */

export type Result<T, E> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: E };

/** Wraps a success. */
export function ok<T>(value: T): Result<T, never> {
  return { ok: true, value };
}

/** Wraps an expected failure. */
export function fail<E>(error: E): Result<never, E> {
  return { ok: false, error };
}

/**
 * Envoy's substitution operators, as far as our own filters use them: the first of several that has a value, and a
 * constant to end such a list with.
 * Source: Envoy substitution formatter (COALESCE, START_TIME).
 */

/** One operator: a command and its parameter. */
export interface Operator {
  readonly command: string;
  readonly param?: string;
  /** Longer values are cut, in bytes. */
  readonly maxLength?: number;
}

/**
 * A constant. START_TIME prints its format, and a format without specifiers prints as it is: no other operator gives a
 * constant inside COALESCE. `text` must be plain letters.
 */
export function constant(text: string): Operator {
  return { command: 'START_TIME', param: text };
}

/** The text of one operator, or of the first of several that has a value. */
export function formatOperators(operators: readonly Operator[]): string {
  const [only] = operators;
  if (operators.length === 1 && only !== undefined) {
    const length = only.maxLength === undefined ? '' : `:${only.maxLength}`;
    return only.param === undefined ? `%${only.command}%` : `%${only.command}(${only.param})${length}%`;
  }
  const list = operators.map(({ command, param, maxLength }) => ({
    command,
    ...(param === undefined ? {} : { param }),
    ...(maxLength === undefined ? {} : { max_length: maxLength }),
  }));
  return `%COALESCE(${JSON.stringify({ operators: list })})%`;
}

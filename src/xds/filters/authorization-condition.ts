/**
 * One condition of an authorization rule, such as `source.namespace` in [a, b] and not in [c], as an RBAC permission or principal.
 * Fields of a source or operation are conditions too: everything has one name and lies in one table of this folder.
 * Source: istio pilot/pkg/security/authz/model/model.go (rule, checkError).
 */

/** A key with the values wanted and not wanted; an empty list says nothing. */
export interface Condition {
  readonly key: string;
  readonly values: readonly string[];
  readonly notValues: readonly string[];
}

/** What the whole rule is built for. */
export interface RuleContext {
  /** For a connection, of which nothing of HTTP is known. */
  readonly tcp: boolean;
  /**
   * What can't be expressed fails the whole rule (ALLOW: it then allows less); otherwise the value is left out (DENY, AUDIT: they
   * then deny more).
   */
  readonly strict: boolean;
  /** Namespace of the policy: of service accounts without one. */
  readonly namespace: string;
}

/** Alternatives for some values of a key; undefined for a value that can't be expressed. */
export type Alternatives<T> = (
  values: readonly string[],
  context: RuleContext,
  key: string,
) => readonly (T | undefined)[];

/** How RBAC joins permissions, or principals. */
export interface Logic<T> {
  readonly any: (parts: readonly T[]) => T;
  readonly not: (part: T) => T;
}

/** A key of the table: exact, or with a part in brackets when it ends in `[`. */
export interface KeyEntry<T> {
  readonly key: string;
  /** Known only of requests. */
  readonly httpOnly: boolean;
  /** A single alternative stands by itself, as Istio writes conditions on tokens. */
  readonly standsAlone?: boolean;
  readonly alternatives: Alternatives<T>;
}

/** One alternative per value. */
export function each<T>(
  build: (value: string, context: RuleContext, key: string) => T | undefined,
): Alternatives<T> {
  return (values, context, key) => values.map((value) => build(value, context, key));
}

/** The entry for a key, if there is one. */
export function findKey<T>(table: readonly KeyEntry<T>[], key: string): KeyEntry<T> | undefined {
  return table.find((entry) => (entry.key.endsWith('[') ? key.startsWith(entry.key) : key === entry.key));
}

/** The parts that must all hold; undefined when the rule can't be built. */
export function buildCondition<T>(
  entry: KeyEntry<T>,
  condition: Condition,
  logic: Logic<T>,
  context: RuleContext,
): T[] | undefined {
  const build = (values: readonly string[]): T[] | undefined => {
    if (values.length === 0) return [];
    const all =
      entry.httpOnly && context.tcp ? [undefined] : entry.alternatives(values, context, condition.key);
    const known = all.filter((part) => part !== undefined);
    return context.strict && known.length < all.length ? undefined : known;
  };
  const wanted = build(condition.values);
  const unwanted = build(condition.notValues);
  if (wanted === undefined || unwanted === undefined) return undefined;
  return [
    ...(wanted.length === 0 ? [] : [join(entry, wanted, logic)]),
    ...(unwanted.length === 0 ? [] : [logic.not(join(entry, unwanted, logic))]),
  ];
}

function join<T>(entry: KeyEntry<T>, parts: readonly T[], logic: Logic<T>): T {
  const [only, ...others] = parts;
  return entry.standsAlone === true && only !== undefined && others.length === 0 ? only : logic.any(parts);
}

/** `[name]` after a prefix of a key; undefined when it is not of that form. */
export function nameInBrackets(text: string): string | undefined {
  return text.startsWith('[') && text.endsWith(']') && text.length > 2 ? text.slice(1, -1) : undefined;
}

/** `[a][b]` as a and b; a single pair of brackets may hold anything. */
export function namesInBrackets(text: string): readonly string[] | undefined {
  if (/^(?:\[[^[\]]+\])+$/.test(text)) return text.slice(1, -1).split('][');
  const name = nameInBrackets(text);
  return name === undefined ? undefined : [name];
}

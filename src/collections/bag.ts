/**
 * A set of objects that mostly holds one: who depends on a key, who claims an output. One member is stored as itself,
 * a few as an array, many as a Set, so that the normal case costs no allocation. Members must be neither arrays nor Sets.
 * The functions return the bag to store in place of the old one.
 */

/** None, one, few or many members; never look inside, use the functions below. */
export type Bag<T extends object> = undefined | T | T[] | Set<T>;

/** Above this, finding a member in an array costs more than a Set does. */
const ARRAY_LIMIT = 16;

/** Adds a member that the bag does not hold yet. */
export function addToBag<T extends object>(bag: Bag<T>, member: T): Bag<T> {
  if (bag === undefined) return member;
  if (bag instanceof Set) {
    bag.add(member);
    return bag;
  }
  if (!Array.isArray(bag)) return [bag, member];
  if (bag.length >= ARRAY_LIMIT) return new Set(bag).add(member);
  bag.push(member);
  return bag;
}

/** Removes a member; `undefined` when none is left. */
export function removeFromBag<T extends object>(bag: Bag<T>, member: T): Bag<T> {
  if (bag === undefined || bag === member) return undefined;
  if (bag instanceof Set) {
    bag.delete(member);
    return bag.size === 0 ? undefined : bag;
  }
  if (!Array.isArray(bag)) return bag;
  const rest = bag.filter((other) => other !== member);
  return rest.length > 1 ? rest : rest[0];
}

/** The members, in no particular order. */
export function bagMembers<T extends object>(bag: Bag<T>): Iterable<T> {
  if (bag === undefined) return [];
  if (bag instanceof Set || Array.isArray(bag)) return bag;
  return [bag];
}

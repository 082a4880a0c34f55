/** Freezes plain data all the way down, for tests and development: whoever writes to shared data then finds out at once. */

/**
 * Freezes objects and arrays; class instances, Maps, Sets and bytes stay as they are. What is frozen already counts as
 * done, with all that lies in it. Returns its argument.
 */
export function deepFreeze<T>(value: T): T {
  const pending: unknown[] = [value];
  while (pending.length > 0) {
    const item = pending.pop();
    if (!isFreezable(item) || Object.isFrozen(item)) continue;
    Object.freeze(item);
    for (const part of Object.values(item)) pending.push(part);
  }
  return value;
}

function isFreezable(item: unknown): item is object {
  if (typeof item !== 'object' || item === null) return false;
  const prototype: unknown = Object.getPrototypeOf(item);
  return prototype === null || prototype === Object.prototype || prototype === Array.prototype;
}

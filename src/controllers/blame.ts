/**
 * Finds the guilty by asking yes-or-no questions: which resource of a response Envoy refuses, and which objects must be
 * held back so that it takes it. Knows neither Envoy nor the mesh. Questions cost a process each, so the search begins with the
 * likeliest and halves: about 1 for one new object, 2 log2(n) for one of n, 2 n when all n are bad.
 */

/** The first of the items that is refused when asked about alone; undefined when all are taken. */
export async function firstRefused<T>(
  items: readonly T[],
  accepts: (items: readonly T[]) => Promise<boolean>,
): Promise<T | undefined> {
  if (items.length === 0 || (await accepts(items))) return undefined;
  let rest = items;
  while (rest.length > 1) {
    const half = rest.slice(0, Math.ceil(rest.length / 2));
    rest = (await accepts(half)) ? rest.slice(half.length) : half;
  }
  return rest[0];
}

/** How fast the circle of suspects widens. */
const WIDENING = 8;

/**
 * A smallest set of suspects such that everything is well without them; empty when nothing is, even without all of them.
 * `accepts(held)` says whether Envoy takes the resource while `held` are held back; with none it is known to refuse.
 * Likelier suspects come first.
 */
export async function findOffenders<T>(
  suspects: readonly T[],
  accepts: (held: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  for (let size = 1; suspects.length > 0; size *= WIDENING) {
    const circle = suspects.slice(0, size);
    if (await accepts(circle)) return smallest(circle, [], accepts);
    if (size >= suspects.length) break;
  }
  return [];
}

/** Holding back `base` does not help, holding back `base` and `suspects` does: which of the suspects are needed. */
async function smallest<T>(
  suspects: readonly T[],
  base: readonly T[],
  accepts: (held: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  if (suspects.length === 1) return suspects;
  const middle = Math.ceil(suspects.length / 2);
  const [first, second] = [suspects.slice(0, middle), suspects.slice(middle)];
  if (await accepts([...base, ...first])) return smallest(first, base, accepts);
  if (await accepts([...base, ...second])) return smallest(second, base, accepts);
  const fromSecond = await smallest(second, [...base, ...first], accepts);
  const fromFirst = await smallest(first, [...base, ...fromSecond], accepts);
  return [...fromFirst, ...fromSecond];
}

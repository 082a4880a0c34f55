/** When an entry counts as unchanged: the same resource for the same causes. Never looks into bytes; versions are their hash. */
import type { ResourceEntry } from './resource.ts';

/** Equality of entries, for derivations of resources. Cost: O(causes) comparisons of identity, as a rule. */
export function isSameEntry(a: ResourceEntry, b: ResourceEntry): boolean {
  const { resource: left, causes } = a;
  const { resource: right, causes: others } = b;
  if (left !== right && (left.version !== right.version || left.name !== right.name)) return false;
  return causes.length === others.length && causes.every((cause, i) => isSameCause(cause, others[i]));
}

function isSameCause(
  a: ResourceEntry['causes'][number],
  b: ResourceEntry['causes'][number] | undefined,
): boolean {
  if (a === b) return true;
  return a.name === b?.name && a.namespace === b.namespace && a.kind === b.kind && a.path === b.path;
}

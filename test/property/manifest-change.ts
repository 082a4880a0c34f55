/** Small changes of manifests, which random histories are made of: one field of another manifest, one thing less. */
import type { Manifest } from './mesh-names.ts';

/** The target with one field of the source: of its spec, of its root where it has no spec, or its labels and annotations. */
export function withOneField(target: Manifest, source: Manifest, index: number): Manifest {
  const { labels = {}, annotations = {} } = source.metadata;
  const holder = 'spec' in source ? 'spec' : 'status' in source ? 'status' : '';
  const fields = Object.entries((holder === '' ? source : source[holder]) as object).filter(
    ([field]) => !['apiVersion', 'kind', 'metadata'].includes(field),
  );
  const [field, value] = fields[index % (fields.length + 1)] ?? [];
  if (field === undefined) return { ...target, metadata: { ...target.metadata, labels, annotations } };
  if (holder === '') return { ...target, [field]: value };
  return { ...target, [holder]: { ...(target[holder] as object), [field]: value } };
}

/** The manifest without one field or one item of a list, the one at that place of all in it. */
export function trimmed(manifest: Manifest, place: number): Manifest {
  const copy = structuredClone(manifest);
  const { apiVersion: _version, kind: _kind, metadata, ...content } = copy;
  const cuts = [metadata.labels, metadata.annotations, ...Object.values(content)].flatMap(cutsIn);
  cuts[place % Math.max(cuts.length, 1)]?.();
  return copy;
}

/** The ways to take one thing out of a value, at any depth. */
function cutsIn(value: unknown): readonly (() => void)[] {
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value))
    return value.flatMap((item, i) => [() => void value.splice(i, 1), ...cutsIn(item)]);
  const fields = value as Record<string, unknown>;
  return Object.keys(fields).flatMap((field) => [() => void delete fields[field], ...cutsIn(fields[field])]);
}

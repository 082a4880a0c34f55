/**
 * What is wrong with objects as only the whole mesh shows it, by object: one collection for `status`, `apply`, logs and status
 * conditions, from the findings that models and scopes make on the way. A changed finding costs its object.
 */
import { compareBytes } from '#base/bytes-order.ts';
import { canonicalJson } from '#base/canonical-json.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { type ObjectRef, objectKey } from '#base/object-ref.ts';
import type { Collection, Engine } from '#collections/collection.ts';

/** Findings keyed by anything; those about no object are left out. */
export type FindingSource = Collection<readonly Diagnostic[]>;

/** Puts the findings together, keyed `Kind/namespace/name`; each once, by path and code. */
export function createFindings(engine: Engine, sources: readonly FindingSource[]): FindingSource {
  const parts = sources.map((source) =>
    engine.deriveMany(`${source.name}.byObject`, source, (_fetch, diagnostics, key) =>
      Array.from(byObject(diagnostics), ([object, own]) => [`${source.name} ${object} ${key}`, own] as const),
    ),
  );
  const all = engine.union('xds.findingParts', parts);
  const index = engine.index('xds.findingsByObject', all, ([first]) =>
    first?.resource === undefined ? [] : [objectKey(first.resource)],
  );
  return engine.derive('xds.findings', engine.group('xds.findingGroups', index), (_fetch, bucket) =>
    distinct([...bucket.values()].flat()),
  );
}

/** The findings that stand beside other results, as a source. */
export function findingsBeside(
  engine: Engine,
  results: Collection<{ readonly findings: readonly Diagnostic[] }>,
): FindingSource {
  return engine.derive(`${results.name}.findings`, results, (_fetch, { findings }) =>
    findings.length === 0 ? undefined : findings,
  );
}

function byObject(diagnostics: readonly Diagnostic[]): ReadonlyMap<string, readonly Diagnostic[]> {
  const found = new Map<string, Diagnostic[]>();
  for (const diagnostic of diagnostics) {
    if (diagnostic.resource === undefined) continue;
    const key = objectKey(diagnostic.resource as ObjectRef);
    found.set(key, [...(found.get(key) ?? []), diagnostic]);
  }
  return found;
}

function distinct(diagnostics: readonly Diagnostic[]): readonly Diagnostic[] {
  const byText = new Map(diagnostics.map((one) => [`${one.path ?? ''} ${canonicalJson(one)}`, one]));
  return [...byText].sort((a, b) => compareBytes(a[0], b[0])).map(([, one]) => one);
}

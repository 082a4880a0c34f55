/**
 * Patches that change nothing: the most frequent mistake in an EnvoyFilter, which nobody is told of otherwise. Found on
 * demand from what connected proxies hold, whose patched resources name the patches among their causes; costs a walk over the
 * causes of these proxies' resources.
 */
import type { Cause } from '#base/cause.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { makeDiagnostic } from '#base/diagnostic-catalog.ts';
import { objectKey } from '#base/object-ref.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import type { EnvoyPatch } from '#model/envoy-filter.ts';
import type { PatchSet } from '#scope/envoy-filter.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';

const PARTS = ['clusters', 'listeners', 'routes', 'extensions'] as const;

/**
 * A finding for each patch that meets some connected proxy, and changes nothing at any. Nothing is said about a patch that meets no proxy: its workload may not be running yet.
 */
export function idlePatches(
  sets: PersistentMap<PatchSet>,
  snapshots: PersistentMap<ProxySnapshot>,
): readonly Diagnostic[] {
  const met = new Map<string, { readonly cause: Cause; proxies: number }>();
  const busy = new Set<string>();
  for (const [id, { patches }] of sets) {
    const causes = patches.filter(({ patch }) => leavesTrace(patch)).map(({ cause }) => cause);
    const snapshot = causes.length === 0 ? undefined : snapshots.get(id);
    if (snapshot === undefined) continue;
    for (const cause of causes) {
      const known = met.get(placeOf(cause)) ?? { cause, proxies: 0 };
      known.proxies++;
      met.set(placeOf(cause), known);
    }
    for (const place of placesIn(snapshot)) busy.add(place);
  }
  return [...met]
    .filter(([place]) => !busy.has(place))
    .map(([, { cause, proxies }]) => {
      const { kind, namespace, name, path } = cause;
      return makeDiagnostic(
        'LTN2609',
        { resource: { kind, namespace, name }, path },
        { proxies: String(proxies) },
      );
    });
}

/** A resource that is removed names nobody any more, so nothing is said about patches that remove whole ones. */
function leavesTrace({ applyTo, operation }: EnvoyPatch): boolean {
  return operation !== 'REMOVE' || (applyTo !== 'CLUSTER' && applyTo !== 'LISTENER');
}

function* placesIn(snapshot: ProxySnapshot): Generator<string> {
  for (const part of PARTS) {
    for (const { causes } of snapshot[part].values())
      for (const cause of causes) if (cause.kind === 'EnvoyFilter') yield placeOf(cause);
  }
}

function placeOf(cause: Cause): string {
  return `${objectKey(cause)} ${cause.path}`;
}

/**
 * The extensions that stand in one listener or chain, picked out of a workload's facet by side and port. Equal picks of a
 * facet are one object, so that what is built from them is built once for all ports that they agree on.
 */
import type { Cause } from '#base/cause.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import {
  type ExtensionFacet,
  isForListener,
  type ListenerExtension,
  type ScopedExtension,
  type TrafficSide,
} from '#scope/extension.ts';

/** Which connections a listener takes. */
export interface ListenerTraffic {
  readonly side: TrafficSide;
  /** As traffic selectors name it; 0 where connections to any port arrive. */
  readonly port: number;
}

/** The extensions of one listener or chain, each list in the order of its filters. */
export interface ListenerExtensions {
  readonly http: readonly ListenerExtension[];
  readonly network: readonly ListenerExtension[];
}

/** No extensions at all. */
export const NO_EXTENSIONS: ListenerExtensions = { http: [], network: [] };

/** Picks out the extensions of a listener. O(facet) the first time for a port, then O(1). */
export function extensionsAt(facet: ExtensionFacet, { side, port }: ListenerTraffic): ListenerExtensions {
  if (facet.length === 0) return NO_EXTENSIONS;
  const known = picksOf(facet);
  const place = `${side} ${port}`;
  const picked = known.byPlace.get(place) ?? pick(facet, { side, port }, known.byContent);
  known.byPlace.set(place, picked);
  return picked;
}

/** Why they stand there: `causes` goes with the facet item by item. */
export function extensionCauses(
  facet: ExtensionFacet,
  causes: readonly Cause[],
  { side, port }: ListenerTraffic,
): readonly Cause[] {
  return causes.filter((_, i) => isForListener(facet[i] as ScopedExtension, side, port));
}

/** Names of the configurations that Envoy asks for when it gets the listener. */
export function configurationNames({ http, network }: ListenerExtensions): readonly string[] {
  return facetConfigurationNames([...http, ...network]);
}

/** The same for all listeners of a workload. */
export function facetConfigurationNames(extensions: readonly ListenerExtension[]): readonly string[] {
  return extensions.filter(({ script }) => script === undefined).map(({ name }) => name);
}

interface Picks {
  readonly byPlace: Map<string, ListenerExtensions>;
  readonly byContent: Map<string, ListenerExtensions>;
}

const picksOf = identityMemo(
  (_facet: ExtensionFacet): Picks => ({ byPlace: new Map(), byContent: new Map() }),
);

function pick(
  facet: ExtensionFacet,
  { side, port }: ListenerTraffic,
  known: Picks['byContent'],
): ListenerExtensions {
  const indices = facet.flatMap((extension, i) => (isForListener(extension, side, port) ? [i] : []));
  const content = indices.join(' ');
  const ofChain = (chain: ScopedExtension['chain']): ListenerExtension[] =>
    indices
      .map((i) => facet[i] as ScopedExtension)
      .filter((extension) => extension.chain === chain)
      .map(({ name, phase, script }) => ({ name, phase, script }));
  const picked = known.get(content) ?? { http: ofChain('http'), network: ofChain('network') };
  known.set(content, picked);
  return picked;
}

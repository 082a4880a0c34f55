/**
 * The patches that are tried on one kind of resource, in order, and what came of trying. Lists of equal content are the
 * same object whichever EnvoyFilters they come from, so that a resource patched by equal lists is patched once.
 */
import type { EnvoyApplyTo } from '#api/envoy-filter.ts';
import type { Cause } from '#base/cause.ts';
import { sha256Hex } from '#base/hash.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import type { Interner } from '#collections/interner.ts';
import type { EnvoyPatch, PatchContext } from '#model/envoy-filter.ts';
import type { MetPatch, PatchSet } from '#scope/envoy-filter.ts';

/** Patches in order. */
export interface PatchList {
  /** Hash of the patches. */
  readonly key: string;
  readonly patches: readonly EnvoyPatch[];
}

/** A list, and the objects that its patches come from, one for one. */
export interface CausedPatches {
  /** Hash of the patches and their objects. */
  readonly key: string;
  readonly list: PatchList;
  readonly causes: readonly Cause[];
}

/** The lists of one context. Undefined where no patch can apply. */
export interface ContextPatches {
  readonly clusters: CausedPatches | undefined;
  readonly listeners: CausedPatches | undefined;
  readonly routes: CausedPatches | undefined;
}

/** The contexts of generated configuration: all but the one that means any. */
export type OwnContext = Extract<PatchContext, 'SIDECAR_INBOUND' | 'SIDECAR_OUTBOUND' | 'GATEWAY'>;

/** All lists of a proxy. */
export interface PatchLists extends Readonly<Record<OwnContext, ContextPatches>> {
  /** Added extension configs, whatever their context. */
  readonly extensions: CausedPatches | undefined;
}

const ROUTE_PARTS: readonly EnvoyApplyTo[] = ['ROUTE_CONFIGURATION', 'VIRTUAL_HOST', 'HTTP_ROUTE'];
const LISTENER_PARTS: readonly EnvoyApplyTo[] = [
  'LISTENER',
  'FILTER_CHAIN',
  'LISTENER_FILTER',
  'NETWORK_FILTER',
  'HTTP_FILTER',
];

/** What trying a list on one resource came to: by position in the list. */
export class PatchTrace {
  readonly #list: PatchList;
  readonly #applied: Set<number> = new Set();

  constructor(list: PatchList) {
    this.#list = list;
  }

  /** Positions of the patches that changed something, in order. */
  get applied(): readonly number[] {
    return [...this.#applied].sort((a, b) => a - b);
  }

  get hasApplied(): boolean {
    return this.#applied.size > 0;
  }

  mark(patch: EnvoyPatch): void {
    this.#applied.add(this.#list.patches.indexOf(patch));
  }

  /** An empty trace of the same list. */
  another(): PatchTrace {
    return new PatchTrace(this.#list);
  }

  /** Takes over what another trace of the list has. */
  include(other: PatchTrace): void {
    for (const position of other.#applied) this.#applied.add(position);
  }
}

/** Makes the lists of patch sets, once per set. */
export function patchListsOf(interner: Interner): (set: PatchSet) => PatchLists {
  const select = (met: readonly MetPatch[]): CausedPatches | undefined => {
    if (met.length === 0) return undefined;
    const ids = met.map(({ patch }) => patch.id);
    const list = interner.intern('patchList', ids, () => ({
      key: sha256Hex(ids.join(' ')),
      patches: met.map(({ patch }) => patch),
    }));
    const causes = met.map(({ cause }) => cause);
    const places = causes.map(({ namespace, name, path }) => `${namespace}/${name}/${path}`);
    return { key: sha256Hex([list.key, ...places].join(' ')), list, causes };
  };
  const inContext = ({ patches }: PatchSet, context: OwnContext): ContextPatches => {
    const met = patches.filter(({ patch }) => patch.context === context || patch.context === 'ANY');
    const of = (parts: readonly EnvoyApplyTo[]): CausedPatches | undefined =>
      select(met.filter(({ patch }) => parts.includes(patch.applyTo)));
    // Inbound route configurations stand in listeners.
    const inListeners = context === 'SIDECAR_INBOUND' ? [...LISTENER_PARTS, ...ROUTE_PARTS] : LISTENER_PARTS;
    return { clusters: of(['CLUSTER']), listeners: of(inListeners), routes: of(ROUTE_PARTS) };
  };
  return identityMemo<[PatchSet], PatchLists>((set) => ({
    SIDECAR_INBOUND: inContext(set, 'SIDECAR_INBOUND'),
    SIDECAR_OUTBOUND: inContext(set, 'SIDECAR_OUTBOUND'),
    GATEWAY: inContext(set, 'GATEWAY'),
    extensions: select(set.patches.filter(({ patch }) => patch.applyTo === 'EXTENSION_CONFIG')),
  }));
}

/** The patches of a list for one applyTo. */
export function patchesFor(list: PatchList, applyTo: EnvoyApplyTo): readonly EnvoyPatch[] {
  return list.patches.filter((patch) => patch.applyTo === applyTo);
}

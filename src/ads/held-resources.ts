/**
 * What a client holds under a name, as far as the server can know: the vocabulary of subscription.ts. Kept only for names
 * whose state differs from the snapshot map that the client was brought to.
 */
import type { Resource, ResourceEntry } from '#xds/resource.ts';
import type { ResourceMap } from './snapshot-diff.ts';

/**
 * One of these, or nothing if there are none. More than one after a refusal, as a client may have applied a part of the
 * response.
 */
export type Held = readonly ResourceEntry[];

export const NOTHING: Held = Object.freeze([]);

/** Stands for a resource that a reconnecting client says it holds in a version that we don't have at hand. */
export const HELD_UNKNOWN: ResourceEntry = Object.freeze({
  resource: Object.freeze({ typeUrl: '', name: '', bytes: new Uint8Array(0), version: '?' }),
  causes: [],
});

/** Beside others: the client may also hold nothing, as it refused a response that removed the name. */
export const HELD_NOTHING: ResourceEntry = Object.freeze({
  resource: Object.freeze({ typeUrl: '', name: '', bytes: new Uint8Array(0), version: '' }),
  causes: [],
});

/** The last of these that is known by its bytes. */
export function lastKnown(held: Held): ResourceEntry | undefined {
  return held.findLast((entry) => entry !== HELD_UNKNOWN && entry !== HELD_NOTHING);
}

/** What is known of a name whose state at the client is not what its base map says. */
export interface Exception {
  readonly held: Held;
  /** The client must be answered for this name even if nothing changed. */
  readonly due: boolean;
  /** Version that the client refused ('' for none): those bytes are not sent again. REMOVAL for a refused removal. */
  readonly refused: string;
  /** Since when a removal is held back, Unix milliseconds. */
  readonly sinceMs: number;
}

export const REMOVAL = '-';

/** The client asked and holds nothing. Shared, as a first subscription makes thousands of them. */
export const ASKED: Exception = Object.freeze({ held: NOTHING, due: true, refused: '', sinceMs: 0 });

/** A client brought this name from an earlier stream, and it is no more. */
export function leftBehind(nowMs: number): Exception {
  return { held: [HELD_UNKNOWN], due: false, refused: '', sinceMs: nowMs };
}

/** Versions of one resource that a client may hold after refusals; older ones are given up. */
const MAX_CANDIDATES = 4;

export function heldOf(entry: ResourceEntry | undefined): Held {
  return entry === undefined ? NOTHING : [entry];
}

/** The client may hold this one too. */
export function withCandidate(held: Held, entry: ResourceEntry): Held {
  const others = held.filter((other) => other.resource.version !== entry.resource.version);
  return [...others, entry].slice(-MAX_CANDIDATES);
}

/** True when the client holds just this, or nothing where this is nothing. */
export function isExactly(held: Held, entry: ResourceEntry | undefined): boolean {
  if (entry === undefined) return held.length === 0;
  return held.length === 1 && held[0]?.resource.version === entry.resource.version;
}

/** Those that the target no longer has in this version. */
export function* outdated(target: ResourceMap, name: string, held: Held): Iterable<Resource> {
  const version = target.get(name)?.resource.version;
  for (const { resource } of held) if (resource.version !== version) yield resource;
}

/**
 * One resource type on one stream: what the client asked for and what it holds, as far as the server knows. The state is a
 * reference to the snapshot map that the client was last brought to (`base`, shared with all other streams) plus an
 * exception per name that differs from it, so a connection costs little and a change costs what changed.
 */
import { emptyMap } from '#collections/persistent-map.ts';
import type { Resource, ResourceEntry } from '#xds/resource.ts';
import { NameSet } from './name-set.ts';
import type { ResourceType } from './resource-type.ts';
import type { DiffCache, ResourceDiff, ResourceMap } from './snapshot-diff.ts';

type Named = readonly [string, ResourceEntry];

/** What is known of a name whose state at the client is not what `base` says. */
export interface Exception {
  /** What the client holds: null for nothing, HELD_UNKNOWN for a version from an earlier stream. */
  readonly held: ResourceEntry | null;
  /** The client must be answered for this name even if nothing changed. */
  readonly due: boolean;
  /** Version that the client refused ('' for none): those bytes are not sent again. REMOVAL for a refused removal. */
  readonly refused: string;
  /** Since when a removal is held back, Unix milliseconds. */
  readonly sinceMs: number;
}

/** Stands for a resource that a reconnecting client says it holds in a version that we don't have at hand. */
export const HELD_UNKNOWN: ResourceEntry = Object.freeze({
  resource: Object.freeze({ typeUrl: '', name: '', bytes: new Uint8Array(0), version: '?' }),
  causes: [],
});

const REMOVAL = '-';
const ASKED: Exception = Object.freeze({ held: null, due: true, refused: '', sinceMs: 0 });

/** A response that the client has not answered yet. */
export interface InFlight {
  readonly nonce: string;
  readonly version: string;
  readonly sentAtMs: number;
  readonly adds: readonly Named[];
  readonly removals: readonly string[];
  /** What the client held before of the names in it; names that it did not hold are absent. */
  readonly before: ReadonlyMap<string, ResourceEntry>;
}

/** What to send to bring a client from where it is to a target map. */
export interface Changes {
  readonly adds: readonly Named[];
  readonly removals: readonly string[];
  /** From `base` to the target. */
  readonly diff: ResourceDiff;
  /** The diff whose `set` is exactly `adds`, when there is one: its encoded form is shared with other streams. */
  readonly shared: ResourceDiff | undefined;
}

interface ExceptionalChanges {
  readonly adds: readonly Named[];
  readonly removals: readonly string[];
  readonly hasStandIn: boolean;
}

/** What push-order.ts decides about removals; see there. */
export interface RemovalRules {
  /** `exception` is undefined for a name that left the target just now. */
  mayRemove(name: string, exception: Exception | undefined): boolean;
  /** What to answer for an unknown name while the client still needs it. */
  standIn(name: string, held: ResourceEntry | undefined): ResourceEntry | undefined;
}

/** A refused response, for the record. */
export interface Refusal {
  /** The resources that the client named in its message, or all of the response. */
  readonly suspects: readonly ResourceEntry[];
  readonly sent: InFlight;
}

export class TypeState {
  readonly type: ResourceType;
  readonly names: NameSet = new NameSet();
  readonly #diffs: DiffCache;
  readonly #exceptions: Map<string, Exception> = new Map();
  #inFlight: readonly InFlight[] = [];
  #base: ResourceMap = emptyMap();
  isWildcard = false;
  /** The first wildcard request is answered even by nothing: the client waits for it. */
  mustAnswer = false;
  /** Since when the order of types holds this one back, Unix milliseconds; 0 when it doesn't. */
  blockedSinceMs = 0;

  constructor(type: ResourceType, diffs: DiffCache) {
    this.type = type;
    this.#diffs = diffs;
  }

  get base(): ResourceMap {
    return this.#base;
  }

  get inFlight(): readonly InFlight[] {
    return this.#inFlight;
  }

  get exceptions(): ReadonlyMap<string, Exception> {
    return this.#exceptions;
  }

  isSubscribed(name: string): boolean {
    return this.isWildcard || this.names.has(name);
  }

  /** True when there is nothing to compute: the client is where the target is. */
  isQuiet(target: ResourceMap): boolean {
    return this.#base === target && this.#exceptions.size === 0 && !this.mustAnswer;
  }

  /** True when the client has what the target has, as far as it takes it; removals held back don't count. */
  isSettled(target: ResourceMap): boolean {
    if (this.#inFlight.length > 0 || this.#base !== target || this.mustAnswer) return false;
    for (const exception of this.#exceptions.values()) if (exception.due) return false;
    return true;
  }

  /** First request of a stream: names count from `target` on. `claims` are versions held from an earlier stream. */
  startWildcard(
    target: ResourceMap,
    claims: ReadonlyMap<string, string>,
    versionOf: VersionOf,
    nowMs: number,
  ): void {
    this.isWildcard = true;
    this.mustAnswer = claims.size === 0;
    if (claims.size === 0) return;
    this.#base = target;
    for (const [name, entry] of target) this.#compareClaim(name, entry, claims.get(name), versionOf);
    for (const name of claims.keys()) {
      if (!target.has(name))
        this.#exceptions.set(name, { held: HELD_UNKNOWN, due: false, refused: '', sinceMs: nowMs });
    }
  }

  startNamed(target: ResourceMap): void {
    this.#base = target;
  }

  /** A wildcard beside names that are subscribed already: the rest is due. */
  addWildcard(target: ResourceMap): void {
    if (this.isWildcard) return;
    for (const name of target.keys()) if (!this.names.has(name)) this.#exceptions.set(name, ASKED);
    this.isWildcard = true;
    this.mustAnswer = true;
  }

  /** Names that the client asks for now: each is answered, unless it holds the target's version already (`claims`). */
  subscribe(
    names: readonly string[],
    target: ResourceMap,
    claims: ReadonlyMap<string, string>,
    versionOf: VersionOf,
  ): void {
    for (const name of names) {
      const entry = target.get(name);
      // The snapshot's string, so that thousands of streams don't keep thousands of copies of each name.
      const shared = entry?.resource.name === name ? entry.resource.name : name;
      this.names.add(shared);
      const claim = claims.get(name);
      if (entry !== undefined && claim !== undefined) this.#compareClaim(shared, entry, claim, versionOf);
      else this.#exceptions.set(shared, claim === undefined ? ASKED : { ...ASKED, held: HELD_UNKNOWN });
    }
    if (!this.isWildcard) this.names.compact(this.#base);
  }

  /** The client forgets these names. Under a wildcard it wants to be told whether they belong to that. */
  unsubscribe(names: readonly string[]): void {
    for (const name of names) {
      this.names.delete(name);
      if (this.isWildcard) this.#exceptions.set(name, ASKED);
      else this.#exceptions.delete(name);
    }
  }

  /** Ends a wildcard subscription; names subscribed beside it stay. */
  stopWildcard(): void {
    this.isWildcard = false;
    this.mustAnswer = false;
    for (const name of this.#exceptions.keys()) if (!this.names.has(name)) this.#exceptions.delete(name);
  }

  /** The name is sent again although nothing changed. */
  force(name: string): void {
    if (!this.isSubscribed(name)) return;
    this.#exceptions.set(name, { ...ASKED, held: this.heldEntry(name) ?? null });
  }

  /** What the client holds under a name, in flight or answered. */
  heldEntry(name: string): ResourceEntry | undefined {
    if (!this.isSubscribed(name)) return undefined;
    const exception = this.#exceptions.get(name);
    return exception === undefined ? this.#base.get(name) : (exception.held ?? undefined);
  }

  /** True while the client may hold something under this name. */
  mayHold(name: string): boolean {
    return this.heldEntry(name) !== undefined || this.#inFlight.some((sent) => sent.before.has(name));
  }

  /** Resources that the client may hold although the target has none or another under their name. */
  *stale(target: ResourceMap): Iterable<Resource> {
    for (const sent of this.#inFlight) {
      for (const [name, entry] of sent.before) if (!isCurrent(target, name, entry)) yield entry.resource;
    }
    for (const [name, { held }] of this.#exceptions) {
      if (held !== null && !isCurrent(target, name, held)) yield held.resource;
    }
    const diff = this.#diffs.between(this.#base, target);
    for (const name of diff.deleted) yield* this.#plainHeld(name);
    for (const [name] of diff.set) yield* this.#plainHeld(name);
  }

  *#plainHeld(name: string): Iterable<Resource> {
    const held = this.#exceptions.has(name) ? undefined : this.heldEntry(name);
    if (held !== undefined) yield held.resource;
  }

  /** Works out what to send; changes nothing. O(changes + exceptions). */
  changes(target: ResourceMap, rules: RemovalRules): Changes {
    const diff = this.#diffs.between(this.#base, target);
    const isPlain = (name: string): boolean => !this.#exceptions.has(name) && this.isSubscribed(name);
    const removals = diff.deleted.filter((name) => isPlain(name) && rules.mayRemove(name, undefined));
    let adds = diff.set.every(([name]) => isPlain(name))
      ? diff.set
      : diff.set.filter(([name]) => isPlain(name));
    let hasStandIn = false;
    if (this.#exceptions.size > 0) {
      const more = this.#exceptionalChanges(target, rules, adds.length > 0);
      if (more.adds.length > 0) adds = [...adds, ...more.adds];
      removals.push(...more.removals);
      hasStandIn = more.hasStandIn;
    }
    if (adds === diff.set) return { adds, removals, diff, shared: diff };
    const isWhole = adds.length === target.size && adds.length > 0 && !hasStandIn;
    const whole = isWhole ? this.#diffs.whole(target) : undefined;
    return { adds: whole?.set ?? adds, removals, diff, shared: whole };
  }

  /** The client is now at the target, except for what `changes` left out; `sent` is the response on its way, if any. */
  commit(
    target: ResourceMap,
    changes: Changes,
    sent: Omit<InFlight, 'before' | 'adds' | 'removals'> | undefined,
    nowMs: number,
  ): void {
    if (sent !== undefined) {
      const { adds, removals } = changes;
      this.#inFlight = [...this.#inFlight, { ...sent, adds, removals, before: this.#heldOf(adds, removals) }];
    }
    const removed = new Set(changes.removals);
    for (const name of changes.diff.deleted) {
      if (removed.has(name) || this.#exceptions.has(name)) continue;
      const held = this.heldEntry(name);
      if (held !== undefined) this.#exceptions.set(name, { held, due: false, refused: '', sinceMs: nowMs });
    }
    if (this.#exceptions.size > 0) {
      for (const [name] of changes.adds) this.#exceptions.delete(name);
      for (const name of removed) this.#exceptions.delete(name);
    }
    this.names.rebase(this.#base, target, changes.diff);
    this.#base = target;
    this.mustAnswer = false;
    for (const [name, { held, due }] of this.#exceptions) {
      if (!due && target.get(name)?.resource.version === held?.resource.version)
        this.#exceptions.delete(name);
    }
  }

  /** The client took a response, and with it all sent before. False when nothing with this nonce is on its way. */
  ack(nonce: string): InFlight | undefined {
    const at = this.#inFlight.findIndex((sent) => sent.nonce === nonce);
    if (at < 0) return undefined;
    const sent = this.#inFlight[at];
    this.#inFlight = this.#inFlight.slice(at + 1);
    return sent;
  }

  /**
   * The client refused a response: it keeps what it held. Resources that its message names (all, if it names none) are not
   * sent again in that version; the rest of the response is, since a client may have dropped it whole.
   */
  nack(nonce: string, message: string): Refusal | undefined {
    const sent = this.ack(nonce);
    if (sent === undefined) return undefined;
    const named = sent.adds.filter(([name]) => mentions(message, name));
    const suspects = named.length > 0 ? named : sent.adds;
    const refused = new Set(suspects.map(([name]) => name));
    for (const [name, entry] of sent.adds) {
      if (!this.#isLatest(name)) continue;
      const held = sent.before.get(name) ?? null;
      const exception = refused.has(name)
        ? { held, due: false, refused: entry.resource.version }
        : { held, due: true, refused: '' };
      this.#exceptions.set(name, { ...exception, sinceMs: 0 });
    }
    const isLost = sent.adds.length === 0;
    for (const name of sent.removals) {
      const held = sent.before.get(name);
      if (held === undefined || !this.#isLatest(name)) continue;
      this.#exceptions.set(name, {
        held,
        due: false,
        refused: isLost ? REMOVAL : '',
        sinceMs: sent.sentAtMs,
      });
    }
    return { suspects: suspects.map(([, entry]) => entry), sent };
  }

  /** Drops the oldest response on its way from the books, so that their number is bounded; its answer will find nothing. */
  forgetOldest(): void {
    this.#inFlight = this.#inFlight.slice(1);
  }

  #compareClaim(name: string, entry: ResourceEntry, claim: string | undefined, versionOf: VersionOf): void {
    if (claim === versionOf(name, entry)) this.#exceptions.delete(name);
    else this.#exceptions.set(name, claim === undefined ? ASKED : { ...ASKED, held: HELD_UNKNOWN });
  }

  #exceptionalChanges(target: ResourceMap, rules: RemovalRules, hasAdds: boolean): ExceptionalChanges {
    let hasStandIn = false;
    const adds: Named[] = [];
    const removals: string[] = [];
    const refusedRemovals: string[] = [];
    for (const [name, exception] of this.#exceptions) {
      const { held, due, refused } = exception;
      let wanted = target.get(name);
      if (wanted === undefined && due) {
        wanted = rules.standIn(name, held ?? this.#base.get(name));
        hasStandIn ||= wanted !== undefined;
      }
      if (wanted !== undefined) {
        const version = wanted.resource.version;
        if (due || (version !== refused && version !== held?.resource.version)) adds.push([name, wanted]);
      } else if (refused === REMOVAL) {
        refusedRemovals.push(name);
      } else if ((due || held !== null) && rules.mayRemove(name, exception)) {
        removals.push(name);
      }
    }
    if (hasAdds || adds.length > 0) removals.push(...refusedRemovals);
    return { adds, removals, hasStandIn };
  }

  #heldOf(adds: readonly Named[], removals: readonly string[]): ReadonlyMap<string, ResourceEntry> {
    const before = new Map<string, ResourceEntry>();
    if (this.#base.size === 0 && this.#exceptions.size === 0) return before;
    for (const name of [...adds.map(([added]) => added), ...removals]) {
      const held = this.heldEntry(name);
      if (held !== undefined) before.set(name, held);
    }
    return before;
  }

  /** False when the client's refusal says nothing any more: unsubscribed, asked for again, or sent again since. */
  #isLatest(name: string): boolean {
    if (!this.isSubscribed(name) || this.#exceptions.get(name)?.due) return false;
    return !this.#inFlight.some(
      (sent) => sent.removals.includes(name) || sent.adds.some(([added]) => added === name),
    );
  }
}

/** The version of a resource as a client sees it. */
export type VersionOf = (name: string, entry: ResourceEntry) => string;

function isCurrent(target: ResourceMap, name: string, entry: ResourceEntry): boolean {
  return target.get(name)?.resource.version === entry.resource.version;
}

/** True when the text contains the name as a word of its own: `80` is not mentioned by `0.0.0.0_80`. */
function mentions(text: string, name: string): boolean {
  for (let at = text.indexOf(name); at >= 0 && name !== ''; at = text.indexOf(name, at + 1)) {
    if (!isNamePart(text[at - 1]) && !isNamePart(text[at + name.length])) return true;
  }
  return false;
}

function isNamePart(character: string | undefined): boolean {
  return character !== undefined && /[\w|.~/-]/.test(character);
}

/**
 * One resource type on one stream: what the client asked for and what it holds, as far as the server knows. The state is a
 * reference to the snapshot map that the client was last brought to (`base`, shared with all other streams) plus an
 * exception per name that differs from it, so a connection costs little and a change costs what changed.
 */
import { emptyMap } from '#collections/persistent-map.ts';
import type { Resource, ResourceEntry } from '#xds/resource.ts';
import {
  ASKED,
  type Exception,
  HELD_NOTHING,
  HELD_UNKNOWN,
  type Held,
  heldOf,
  isExactly,
  leftBehind,
  NOTHING,
  outdated,
  REMOVAL,
  withCandidate,
} from './held-resources.ts';
import { NameSet } from './name-set.ts';
import { mentions } from './nack-event.ts';
import type { ResourceType } from './resource-type.ts';
import type { DiffCache, ResourceDiff, ResourceMap } from './snapshot-diff.ts';

type Named = readonly [string, ResourceEntry];

/** A response that the client has not answered yet. */
export interface InFlight {
  readonly nonce: string;
  readonly version: string;
  readonly sentAtMs: number;
  /** Number of the epoch that it brings the client to. */
  readonly epoch: number;
  readonly adds: readonly Named[];
  readonly removals: readonly string[];
  /** What the client held before of the names in it; names that it did not hold are absent. */
  readonly before: ReadonlyMap<string, Held>;
}

/** A response that leaves now. `isWhole`: it is a state of the world, which repeats what was sent before. */
export type SentResponse = Pick<InFlight, 'nonce' | 'version' | 'sentAtMs' | 'epoch'> & {
  readonly isWhole: boolean;
};

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
  standIn(name: string, held: Held): ResourceEntry | undefined;
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
  /** Number of the last epoch of which the client has answered everything of this type; -1 before the first. */
  answeredEpoch = -1;

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
    return this.#base === target && this.#isAnswered();
  }

  #isAnswered(): boolean {
    if (this.#inFlight.length > 0 || this.mustAnswer) return false;
    for (const exception of this.#exceptions.values()) if (exception.due) return false;
    return true;
  }

  /** A stream that begins with a wildcard. Without claims everything is new to the client. */
  startWildcard(target: ResourceMap, claims: Claims, nowMs: number): void {
    this.isWildcard = true;
    this.mustAnswer = claims.versions.size === 0;
    if (this.mustAnswer) return;
    this.#base = target;
    for (const [name, entry] of target) this.#compareClaim(name, entry, claims);
    for (const name of claims.versions.keys()) {
      if (!target.has(name)) this.#exceptions.set(name, leftBehind(nowMs));
    }
  }

  /** A stream that begins with names, or none: what they are counts from the target on. */
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

  /**
   * Names that the client asks for now: each is answered, unless the client brings the target's version. One that is gone is
   * answered too, though the client has it: a cluster may be warming for it.
   */
  subscribe(names: readonly string[], target: ResourceMap, claims: Claims): void {
    const lookup = this.#diffs.lookup(target, names.length);
    for (const name of names) {
      const entry = lookup.get(name);
      // The snapshot's string, so that thousands of streams don't keep thousands of copies of each name.
      const shared = entry?.resource.name === name ? entry.resource.name : name;
      this.names.add(shared);
      this.#compareClaim(shared, entry, claims);
    }
    if (!this.isWildcard) this.names.compact(this.#base, this.#diffs.lookup(this.#base, names.length));
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
    this.#exceptions.set(name, { ...ASKED, held: this.held(name) });
  }

  /** What the client holds under a name, counting what is on its way as taken. */
  held(name: string): Held {
    if (!this.isSubscribed(name)) return NOTHING;
    return this.#exceptions.get(name)?.held ?? heldOf(this.#base.get(name));
  }

  /** True while the client may hold something under this name. */
  mayHold(name: string): boolean {
    return this.held(name).length > 0 || this.#inFlight.some((sent) => sent.before.has(name));
  }

  /** True while a response with this name is unanswered. */
  isInFlight(name: string): boolean {
    return this.#inFlight.some(
      (sent) => sent.removals.includes(name) || sent.adds.some(([added]) => added === name),
    );
  }

  /** True when the client has something under this name, or refused it and goes on without. */
  wasAnswered(name: string): boolean {
    return this.held(name).length > 0 || (this.#exceptions.get(name)?.refused ?? '') !== '';
  }

  /** Resources that the client may hold although the target has none or another under their name. */
  *stale(target: ResourceMap): Iterable<Resource> {
    for (const sent of this.#inFlight)
      for (const [name, held] of sent.before) yield* outdated(target, name, held);
    for (const [name, { held }] of this.#exceptions) yield* outdated(target, name, held);
    const diff = this.#diffs.between(this.#base, target);
    for (const name of diff.deleted)
      if (!this.#exceptions.has(name)) yield* outdated(target, name, this.held(name));
    for (const [name] of diff.set)
      if (!this.#exceptions.has(name)) yield* outdated(target, name, this.held(name));
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
      const more = this.#exceptionalChanges(target, rules);
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
  commit(target: ResourceMap, changes: Changes, sent: SentResponse | undefined, nowMs: number): void {
    if (sent !== undefined) {
      this.#inFlight = [...this.#inFlight, this.#inFlightOf(sent, target, changes)];
    }
    const removed = new Set(changes.removals);
    for (const name of changes.diff.deleted) {
      if (removed.has(name) || this.#exceptions.has(name)) continue;
      const held = this.held(name);
      if (held.length > 0) this.#exceptions.set(name, { held, due: false, refused: '', sinceMs: nowMs });
    }
    if (this.#exceptions.size > 0) {
      for (const [name] of changes.adds) this.#exceptions.delete(name);
      for (const name of removed) this.#exceptions.delete(name);
    }
    for (const [name, exception] of this.#exceptions) {
      const { held, due, refused } = exception;
      if (!due && isExactly(held, target.get(name))) this.#exceptions.delete(name);
      else if (refused === REMOVAL && target !== this.#base)
        this.#exceptions.set(name, { ...exception, refused: '' });
    }
    this.names.rebase(this.#base, target, changes.diff);
    this.#base = target;
    this.mustAnswer = false;
  }

  /** The client took a response, and with it all sent before. False when nothing with this nonce is on its way. */
  ack(nonce: string): InFlight | undefined {
    const at = this.#inFlight.findIndex((sent) => sent.nonce === nonce);
    if (at < 0) return undefined;
    const sent = this.#inFlight[at];
    this.#inFlight = this.#inFlight.slice(at + 1);
    if (sent !== undefined && this.#isAnswered()) this.answeredEpoch = sent.epoch;
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
      const before = sent.before.get(name) ?? NOTHING;
      const isRefused = refused.has(name);
      this.#exceptions.set(name, {
        held: isRefused && named.length > 0 ? before : withCandidate(before, entry),
        due: !isRefused,
        refused: isRefused ? entry.resource.version : '',
        sinceMs: 0,
      });
    }
    // A response that only removes is not tried again at once, unless others have been sent since.
    const isLost = sent.adds.length === 0 && this.#inFlight.length === 0;
    for (const name of sent.removals) {
      const held = sent.before.get(name);
      if (held === undefined || !this.#isLatest(name)) continue;
      this.#exceptions.set(name, {
        held: withCandidate(held, HELD_NOTHING),
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

  #compareClaim(name: string, entry: ResourceEntry | undefined, claims: Claims): void {
    const claim = claims.versions.get(name);
    const isHeld = entry !== undefined && claim !== undefined && claim === claims.versionOf(name, entry);
    if (isHeld) this.#exceptions.delete(name);
    else this.#exceptions.set(name, claim === undefined ? ASKED : { ...ASKED, held: [HELD_UNKNOWN] });
  }

  #exceptionalChanges(target: ResourceMap, rules: RemovalRules): ExceptionalChanges {
    let hasStandIn = false;
    const adds: Named[] = [];
    const removals: string[] = [];
    const lookup = this.#diffs.lookup(target, this.#exceptions.size);
    for (const [name, exception] of this.#exceptions) {
      const { held, due, refused } = exception;
      let wanted = lookup.get(name);
      if (wanted === undefined && due) {
        wanted = rules.standIn(name, held.length > 0 ? held : heldOf(this.#base.get(name)));
        hasStandIn ||= wanted !== undefined;
      }
      if (wanted !== undefined) {
        const version = wanted.resource.version;
        if (due || (version !== refused && !isExactly(held, wanted))) adds.push([name, wanted]);
      } else if (refused === REMOVAL && this.#base === target) {
        // Refused by itself: tried again with the next change.
        continue;
      } else if ((due || held.length > 0) && rules.mayRemove(name, exception)) {
        removals.push(name);
      }
    }
    return { adds, removals, hasStandIn };
  }

  /** A whole state says again what lies in responses that are not answered yet: the last answer counts for that too. */
  #inFlightOf(sent: SentResponse, target: ResourceMap, { adds, removals }: Changes): InFlight {
    const before = new Map(this.#heldBefore(adds, removals));
    const all = new Map(adds);
    for (const earlier of sent.isWhole ? this.#inFlight : []) {
      for (const [name, entry] of earlier.adds) {
        if (all.has(name) || target.get(name)?.resource.version !== entry.resource.version) continue;
        all.set(name, entry);
        const held = earlier.before.get(name);
        if (held !== undefined) before.set(name, held);
      }
    }
    return { ...sent, adds: all.size === adds.length ? adds : [...all], removals, before };
  }

  #heldBefore(adds: readonly Named[], removals: readonly string[]): ReadonlyMap<string, Held> {
    const before = new Map<string, Held>();
    if (this.#base.size === 0 && this.#exceptions.size === 0) return before;
    const keep = (name: string): void => {
      const held = this.held(name);
      if (held.length > 0) before.set(name, held);
    };
    for (const [name] of adds) keep(name);
    for (const name of removals) keep(name);
    return before;
  }

  /** False when the client's refusal says nothing any more: unsubscribed, asked for again, or sent again since. */
  #isLatest(name: string): boolean {
    if (!this.isSubscribed(name) || this.#exceptions.get(name)?.due) return false;
    return !this.isInFlight(name);
  }
}

/** The version of a resource as a client sees it. */
export type VersionOf = (name: string, entry: ResourceEntry) => string;

/** What a client says it holds from an earlier stream (initial_resource_versions), and how our versions read to it. */
export interface Claims {
  readonly versions: ReadonlyMap<string, string>;
  readonly versionOf: VersionOf;
}

/**
 * Law 9: an object that Envoy refuses is held back alone. Proxies only raise the alarm; a spare Envoy decides which resource is
 * refused, and by trying the mesh without each suspect, which objects are to blame. So one hostile proxy can hold back
 * nothing, and costs at most a remembered question. Verdicts go into the source collection `heldBack` and to disk.
 * Alarms are looked at one after another, in the background.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { ObjectBatch } from '#api/object-collections.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Cause } from '#base/cause.ts';
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import { Lru } from '#base/lru.ts';
import { type ObjectRef, objectKey, printObjectRef } from '#base/object-ref.ts';
import type { SourceCollection } from '#collections/collection.ts';
import type { HeldBack } from '#model/held-back.ts';
import { findOffenders, firstRefused } from './blame.ts';
import { credentialProblem } from './credential-check.ts';
import { ObjectForms } from './object-forms.ts';
import { canProbe, probeBootstrap, type ProbeResource } from './probe-bootstrap.ts';
import { moduleFileOf } from './probe-module.ts';
import { tooLargeRegex } from './regex-size.ts';
import { asStored, type VerdictStore } from './verdict-store.ts';

/** A resource of a proxy's snapshot, and the objects that shaped it. */
export interface ShapedResource {
  readonly resource: ProbeResource;
  readonly causes: readonly Cause[];
}

/** A response that a proxy refused. */
export interface Refusal {
  readonly proxyId: string;
  /** The resources that it named, or all of the response. */
  readonly suspects: readonly ShapedResource[];
}

/** Answers whether Envoy takes an encoded bootstrap; undefined when there is no answer. */
export interface Oracle extends AsyncDisposable {
  version(): Promise<string>;
  accepts(
    bootstrap: Uint8Array,
  ): Promise<{ readonly accepted: boolean; readonly message: string } | undefined>;
}

/** A copy of the mesh for trying verdicts out; serves nobody. */
export interface ScratchMesh {
  /** The resource as the proxy would get it with these verdicts in place of those that hold for the same objects. */
  resource(verdicts: readonly HeldBack[], like: ProbeResource): Promise<ShapedResource | undefined>;
}

/** The mesh as this controller sees it. */
export interface HeldBackWorld {
  readonly verdicts: SourceCollection<HeldBack>;
  /** The object as of the last finished epoch. */
  object(ref: ObjectRef): MeshObject | undefined;
  /** What the proxy should hold under that type and name. */
  current(proxyId: string, like: ProbeResource): ShapedResource | undefined;
  /** Resolves when everything set until now has been computed. */
  settled(): Promise<void>;
  /** A copy of the mesh with only this proxy; undefined when the proxy has left. */
  openScratch(proxyId: string): Promise<ScratchMesh | undefined>;
}

export interface HeldBackOptions {
  readonly world: HeldBackWorld;
  readonly oracle: Oracle;
  readonly store: VerdictStore;
  /** Why no Envoy would take a module on disk, '' when it may; undefined where proxies have disks of their own. */
  readonly moduleProblem?: ((path: string) => Promise<string>) | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An object that may be to blame, in the form that is in the mesh now. */
interface Suspect {
  readonly object: MeshObject;
  readonly isHinted: boolean;
  /** When it changed last, in order of changes; 0 for never since the start. */
  readonly changed: number;
}

const MAX_WAITING_PER_PROXY = 16;
const MAX_OFFENDERS_PER_ALARM = 64;
const MAX_QUESTIONS_PER_RESOURCE = 256;
const MAX_REASON_CHARACTERS = 1_000;
const MAX_HINTED_OBJECTS = 1_000;
const RECENT_CHANGES = 10_000;

/** There is nobody to ask, or the search has become too long. */
class NoAnswer extends Error {}

export class HeldBackController implements AsyncDisposable {
  readonly #options: HeldBackOptions;
  readonly #verdicts: Map<string, HeldBack> = new Map();
  readonly #forms: ObjectForms = new ObjectForms();
  readonly #changes: Lru<string, number> = new Lru(RECENT_CHANGES);
  #changeCount = 0;
  /** Alarms not yet looked at, by proxy. */
  readonly #waiting: Map<string, number> = new Map();
  /** Versions of resources that Envoy refuses and no object is to blame for. */
  readonly #unexplained: Lru<string, true> = new Lru(RECENT_CHANGES);
  #last: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: HeldBackOptions) {
    this.#options = options;
  }

  /** Takes over the verdicts of the last run; to be called before objects are applied. */
  async load(): Promise<void> {
    const { store, world, log } = this.#options;
    const stored = await store.load();
    if (!stored.ok) {
      log.warn('held-back objects of the last run are not known', { reason: stored.error });
      return;
    }
    for (const verdict of stored.value) {
      this.#verdicts.set(objectKey(verdict), verdict);
      world.verdicts.set(objectKey(verdict), verdict);
    }
  }

  /** Looks at objects that are about to be applied: lifts verdicts on what changed, and refuses what is known to be refused. */
  applying({ set, remove }: ObjectBatch): void {
    const stays = new Set(set.map(objectKey));
    for (const ref of remove) if (!stays.has(objectKey(ref))) this.#gone(ref);
    for (const object of set) this.#arriving(object);
  }

  /** Takes an alarm and returns at once. A proxy that raises many more than can be looked at is not heard. */
  refused(refusal: Refusal): void {
    const waiting = this.#waiting.get(refusal.proxyId) ?? 0;
    if (this.#isClosed || waiting >= MAX_WAITING_PER_PROXY) return;
    this.#waiting.set(refusal.proxyId, waiting + 1);
    this.#last = this.#last.then(() => this.#handle(refusal));
  }

  /** Resolves when all alarms taken so far have been looked at. */
  idle(): Promise<void> {
    return this.#last;
  }

  /** The objects held back now, by key. For people and for the gauge lateen_held_back_objects. */
  list(): readonly HeldBack[] {
    const { world } = this.#options;
    return [...world.verdicts.all().values()].filter(
      (verdict) => world.object(verdict)?.hash === verdict.refusedHash,
    );
  }

  /** Takes no more alarms, ends the oracle and with it the alarm under way, and waits until all verdicts are on disk. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#options.oracle[Symbol.asyncDispose]();
    await this.#last;
    await this.#options.store.idle();
  }

  #gone(ref: ObjectRef): void {
    this.#forms.forget(ref);
    this.#changes.delete(objectKey(ref));
    this.#lift(objectKey(ref));
  }

  #arriving(object: MeshObject): void {
    const key = objectKey(object);
    const verdict = this.#verdicts.get(key);
    if (verdict?.refusedHash === object.hash) return;
    const before = this.#options.world.object(object);
    if (before?.hash === object.hash && verdict === undefined) return;
    // What was held back is no form to fall back to, what stood in for it is.
    const form = verdict === undefined ? before : verdict.lastGood;
    if (form !== undefined) this.#forms.remember(form);
    this.#changes.set(key, ++this.#changeCount);
    this.#lift(key);
    const problem = tooLargeRegex(object) ?? credentialProblem(object, this.#options.clock.nowMs());
    if (problem === undefined) return;
    const found = { reason: problem, envoyVersion: '', lastGood: this.#forms.of(object)[0] };
    this.#enforce(this.#hold(object, found).verdict);
  }

  #lift(key: string): void {
    const verdict = this.#verdicts.get(key);
    if (verdict === undefined) return;
    this.#verdicts.delete(key);
    this.#options.world.verdicts.delete(key);
    this.#options.log.info('an object is no longer held back', { object: printObjectRef(verdict) });
    void this.#save();
  }

  /** `saved` resolves when the verdict is on disk, or could not be put there. */
  #hold(
    object: MeshObject,
    found: Pick<HeldBack, 'reason' | 'envoyVersion' | 'lastGood'>,
  ): { readonly verdict: HeldBack; readonly saved: Promise<void> } {
    const { clock, log } = this.#options;
    const { kind, namespace, name, hash } = object;
    const verdict = asStored({
      kind,
      namespace,
      name,
      refusedHash: hash,
      since: new Date(clock.nowMs()).toISOString(),
      ...found,
      reason: found.reason.slice(0, MAX_REASON_CHARACTERS),
    });
    this.#verdicts.set(objectKey(object), verdict);
    log.warn('an object is held back', {
      object: printObjectRef(object),
      reason: verdict.reason,
      inForce: found.lastGood === undefined ? 'none' : 'the last good form',
    });
    return { verdict, saved: this.#save() };
  }

  /** Verdicts of the last run whose objects are no more; not while the objects are still arriving. */
  #forgetAbsent(): void {
    for (const [key, verdict] of this.#verdicts)
      if (this.#options.world.object(verdict) === undefined) this.#verdicts.delete(key);
  }

  #enforce(verdict: HeldBack): void {
    const key = objectKey(verdict);
    if (this.#verdicts.get(key) === verdict) this.#options.world.verdicts.set(key, verdict);
  }

  async #save(): Promise<void> {
    const { store, log } = this.#options;
    try {
      await store.save([...this.#verdicts.values()]);
    } catch (error) {
      log.error('held-back objects could not be saved', { error });
    }
  }

  async #handle(refusal: Refusal): Promise<void> {
    try {
      await this.#investigate(refusal);
    } catch (error) {
      const { log } = this.#options;
      const proxy = refusal.proxyId;
      if (error instanceof NoAnswer)
        log.warn('a refused resource could not be looked into', { proxy, reason: error.message });
      else log.error('looking into a refused resource failed', { proxy, error });
    } finally {
      const waiting = this.#waiting.get(refusal.proxyId) ?? 0;
      if (waiting > 1) this.#waiting.set(refusal.proxyId, waiting - 1);
      else this.#waiting.delete(refusal.proxyId);
    }
  }

  /** One refused response may have several bad resources, and one of them several bad objects. */
  async #investigate({ proxyId, suspects }: Refusal): Promise<void> {
    const { world, log } = this.#options;
    let open = suspects.filter(
      ({ resource }) => canProbe(resource) && this.#unexplained.get(resource.version) === undefined,
    );
    for (let found = 0; found < MAX_OFFENDERS_PER_ALARM; ) {
      await world.settled();
      open = open.filter(
        ({ resource }) => world.current(proxyId, resource)?.resource.version === resource.version,
      );
      const refused = await firstRefused(open, async (items) => (await this.#ask(items)).accepted);
      if (refused === undefined) {
        if (found === 0) log.info('a proxy refused what Envoy takes', { proxy: proxyId });
        return;
      }
      open = open.filter((entry) => entry !== refused);
      found += Math.max(1, await this.#blame(proxyId, refused));
    }
  }

  /** Holds back the objects that make a resource one that Envoy refuses; how many there were. */
  async #blame(proxyId: string, refused: ShapedResource): Promise<number> {
    const { world, oracle, log } = this.#options;
    const scratch = await world.openScratch(proxyId);
    const base = await scratch?.resource([], refused.resource);
    // Otherwise the mesh has moved on, and what it has become will be heard of if it is bad too.
    if (scratch === undefined || base?.resource.version !== refused.resource.version) return 0;
    const { message } = await this.#ask([refused]);
    const question = this.#questions(scratch, refused.resource);
    const held = (suspects: readonly Suspect[]): HeldBack[] =>
      suspects.map(({ object }) => trial(object, undefined));
    const offenders = await findOffenders(this.#suspectsOf(refused, message), (some) => question(held(some)));
    if (offenders.length === 0) {
      this.#unexplained.set(refused.resource.version, true);
      log.warn('no object is to blame for a refused resource', {
        resource: refused.resource.name,
        reason: message,
      });
    }
    const envoyVersion = await oracle.version();
    for (const offender of offenders) {
      const others = held(offenders.filter((other) => other !== offender));
      const { object } = offender;
      const lastGood = await this.#lastGood(object, (form) => question([...others, trial(object, form)]));
      if (world.object(object)?.hash !== object.hash) continue;
      this.#forgetAbsent();
      const { verdict, saved } = this.#hold(object, { reason: message, envoyVersion, lastGood });
      // On disk first, so that a restart serves what was served.
      await saved;
      this.#enforce(verdict);
    }
    return offenders.length;
  }

  /** Whether Envoy takes a resource under verdicts that are tried; a resource that then is gone does no harm. */
  #questions(scratch: ScratchMesh, like: ProbeResource): (verdicts: readonly HeldBack[]) => Promise<boolean> {
    let left = MAX_QUESTIONS_PER_RESOURCE;
    return async (verdicts) => {
      if (left-- === 0)
        throw new NoAnswer(`no answer after ${MAX_QUESTIONS_PER_RESOURCE} questions about ${like.name}`);
      const changed = await scratch.resource(verdicts, like);
      return changed === undefined || (await this.#ask([changed])).accepted;
    };
  }

  async #lastGood(
    object: MeshObject,
    isGood: (form: MeshObject) => Promise<boolean>,
  ): Promise<MeshObject | undefined> {
    const inForce = this.#verdicts.get(objectKey(object))?.lastGood;
    for (const form of this.#forms.of(object)) {
      if (form.hash !== object.hash && form.hash !== inForce?.hash && (await isGood(form))) return form;
    }
    return undefined;
  }

  /** Objects that shaped the resource, likeliest first: those whose texts Envoy quotes, then what changed last. */
  #suspectsOf({ causes }: ShapedResource, message: string): Suspect[] {
    const byKey = new Map(causes.map((cause) => [objectKey(cause), cause]));
    const quoted = quotedTexts(message);
    const suspects: Suspect[] = [];
    for (const [key, cause] of byKey) {
      const object = this.#options.world.object(cause);
      const verdict = this.#verdicts.get(key);
      const isWhollyHeld = verdict?.refusedHash === object?.hash && verdict?.lastGood === undefined;
      if (object === undefined || (verdict !== undefined && isWhollyHeld)) continue;
      const isHinted = suspects.length < MAX_HINTED_OBJECTS && holdsText(object, quoted);
      suspects.push({ object, isHinted, changed: this.#changes.get(key) ?? 0 });
    }
    return suspects.sort(
      (a, b) =>
        Number(b.isHinted) - Number(a.isHinted) ||
        b.changed - a.changed ||
        compareBytes(objectKey(a.object), objectKey(b.object)),
    );
  }

  async #ask(
    items: readonly ShapedResource[],
  ): Promise<{ readonly accepted: boolean; readonly message: string }> {
    for (const { resource } of items) {
      const path = moduleFileOf(resource);
      const problem = path === '' ? '' : await this.#options.moduleProblem?.(path);
      if (problem !== undefined && problem !== '') return { accepted: false, message: problem };
    }
    const answer = this.#isClosed
      ? undefined
      : await this.#options.oracle.accepts(probeBootstrap(items.map(({ resource }) => resource)));
    if (answer === undefined) throw new NoAnswer('Envoy gave no answer');
    return answer;
  }
}

/** A verdict to try out. */
function trial(object: MeshObject, lastGood: MeshObject | undefined): HeldBack {
  const { kind, namespace, name, hash } = object;
  return { kind, namespace, name, refusedHash: hash, envoyVersion: '', reason: '', since: '', lastGood };
}

/** Texts in quotes as they stand in JSON; short ones say nothing. */
function quotedTexts(message: string): readonly string[] {
  return Array.from(message.matchAll(/'([^']{3,})'|"([^"]{3,})"/g), ([, single, double]) =>
    JSON.stringify(single ?? double).slice(1, -1),
  );
}

function holdsText({ spec }: MeshObject, texts: readonly string[]): boolean {
  if (texts.length === 0) return false;
  const json = JSON.stringify(spec);
  return texts.some((text) => json.includes(text));
}

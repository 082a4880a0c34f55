/**
 * A self-signed root that several control planes share through one Secret. One of them, the leader, makes and replaces it; all,
 * the leader too, only ever use what they read there. Replaced when somebody deletes it (how operators force a rotation) and
 * in the last fifth of its life; the old root signs on for an overlap whose end stands in the Secret, so that all change
 * together and a restart finds its place. Writing is fenced by the Secret's version: of two who believe to lead, one fails.
 */
import type { Clock } from '#base/clock.ts';
import { Scope } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import type { Secret } from '#base/secret.ts';
import type { AuthorityRotation } from './authority-rotation.ts';
import { makeRoot } from './root-certificate.ts';
import { isNearItsEnd } from './self-signed-watch.ts';
import {
  printSharedRoot,
  readSharedRoot,
  type RootPair,
  type SharedRootDraft,
  type SharedRootRecord,
} from './shared-root-record.ts';

/** A Secret as it was found. */
export interface FoundSecret {
  readonly data: ReadonlyMap<string, Secret>;
  /** Changes with every change. */
  readonly version: string;
}

/** Where one Secret is kept, and heard of. */
export interface SecretPlace {
  /** False when there is one already. Errors: rejects when it cannot be told. */
  create(data: ReadonlyMap<string, string>): Promise<boolean>;
  /** False when it is not what was found any more. Errors: as create. */
  replace(found: FoundSecret, data: ReadonlyMap<string, string>): Promise<boolean>;
  /** Tells what there is, and every change; undefined when there is none. */
  watch(changed: (found: FoundSecret | undefined) => void): Disposable;
}

export interface SharedRootOptions {
  readonly place: SecretPlace;
  readonly leadership: { readonly isLeader: boolean; watch(changed: () => void): Disposable };
  readonly trustDomain: string;
  readonly overlapMs: number;
  readonly maxTtlMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const LOOK_MS = 5_000;

/** Works from its construction until disposed of. */
export class SharedRoot implements Disposable {
  /** The first record that can be used. */
  readonly opened: Promise<SharedRootRecord>;
  readonly #options: SharedRootOptions;
  readonly #open: (record: SharedRootRecord) => void;
  readonly #scope = new Scope();
  /** Undefined while nothing has been heard. */
  #found: { readonly secret: FoundSecret | undefined } | undefined;
  #rotation: AuthorityRotation | undefined;
  /** By fingerprint: the pairs of what signs and of what is to sign. */
  #pairs: ReadonlyMap<string, RootPair> = new Map();
  #problem = 'nothing is known of the Secret yet';
  #timer: Disposable | undefined;
  #queue: Promise<void> = Promise.resolve();

  constructor(options: SharedRootOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<SharedRootRecord>();
    this.opened = promise;
    this.#open = resolve;
    this.#scope.add(
      options.place.watch((secret) => {
        this.#found = { secret };
        this.#look();
      }),
    );
    this.#scope.add(options.leadership.watch(() => this.#look()));
    this.#look();
  }

  /** Why there is no root, or why the last good one stays; '' when all is well. */
  get problem(): string {
    return this.#problem;
  }

  /** Changes `rotation` from now on; it was made from `opened`. */
  follow(rotation: AuthorityRotation): void {
    this.#rotation = rotation;
    this.#look();
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
  }

  /** One look after the other; each arranges for the next. */
  #look(): void {
    this.#timer?.[Symbol.dispose]();
    this.#queue = this.#queue.then(async () => {
      try {
        this.#tell(await this.#step());
      } catch (error) {
        this.#tell(`the Secret cannot be written: ${error instanceof Error ? error.message : String(error)}`);
      }
      this.#timer?.[Symbol.dispose]();
      if (!this.#scope.isDisposed) this.#timer = this.#options.clock.schedule(LOOK_MS, () => this.#look());
    });
  }

  #tell(problem: string): void {
    if (problem !== '' && problem !== this.#problem) this.#options.log.warn(problem);
    this.#problem = problem;
  }

  /** Brings Secret and rotation one step further; says what is wrong, '' for nothing. */
  async #step(): Promise<string> {
    const { leadership, clock } = this.#options;
    if (this.#found === undefined) return this.#problem;
    const { secret } = this.#found;
    if (secret === undefined) {
      if (!leadership.isLeader) return 'there is no Secret with the root yet: the leader makes it';
      await this.#replaceRoot(undefined);
      return '';
    }
    const record = readSharedRoot(secret.data, clock.nowMs());
    if (!record.ok) return `the Secret with the root cannot be used: ${record.error}`;
    const rotation = this.#rotation;
    if (rotation === undefined) this.#open(record.value);
    else if (leadership.isLeader && (await this.#tend(secret, record.value, rotation))) return '';
    else await this.#adopt(record.value, rotation);
    return '';
  }

  /** What the leader owes the record; true when it was written, and is to be read first. */
  async #tend(found: FoundSecret, record: SharedRootRecord, rotation: AuthorityRotation): Promise<boolean> {
    const { place, overlapMs, clock } = this.#options;
    const { newest, previous, signsAtUnixMs, retired } = record;
    const nowMs = clock.nowMs();
    const signing = this.#pairs.get(rotation.authority.certificate.fingerprint);
    const write = async (draft: SharedRootDraft): Promise<true> => {
      await place.replace(found, printSharedRoot(draft));
      return true;
    };
    const isOurs = newest.pair.certificatePem === signing?.certificatePem;
    if (signsAtUnixMs === undefined && !isOurs && signing !== undefined && !rotation.isPending) {
      // Somebody put another root there: it is believed before it signs, as if it were our own.
      const signsAt = nowMs + overlapMs;
      const all = this.#retiredWith(rotation, signsAt);
      return write({ newest: newest.pair, previous: signing, signsAtUnixMs: signsAt, retired: all });
    }
    if (previous !== undefined && nowMs >= (signsAtUnixMs ?? 0)) {
      return write({ newest: newest.pair, signsAtUnixMs: signsAtUnixMs ?? nowMs, retired });
    }
    if (isOurs && !rotation.isPending && isNearItsEnd(rotation.authority.certificate, nowMs)) {
      await this.#replaceRoot(found);
      return true;
    }
    return false;
  }

  async #replaceRoot(found: FoundSecret | undefined): Promise<void> {
    const { place, trustDomain, overlapMs, clock, log } = this.#options;
    const rotation = this.#rotation;
    const nowMs = clock.nowMs();
    const newest = await makeRoot(trustDomain, nowMs);
    const previous = this.#pairs.get(rotation?.authority.certificate.fingerprint ?? '');
    const signsAtUnixMs = previous === undefined ? nowMs : nowMs + overlapMs;
    const retired = rotation === undefined ? [] : this.#retiredWith(rotation, signsAtUnixMs);
    const draft = { newest, ...(previous === undefined ? {} : { previous }), signsAtUnixMs, retired };
    const data = printSharedRoot(draft);
    const isWritten = found === undefined ? await place.create(data) : await place.replace(found, data);
    if (isWritten) log.info('a new root is in the Secret', { isFirst: previous === undefined });
  }

  #retiredWith(rotation: AuthorityRotation, signsAtUnixMs: number): SharedRootDraft['retired'] {
    const pem = rotation.authority.rootPem;
    const others = rotation.retired.filter((one) => one.pem !== pem);
    return [...others, { pem, untilUnixMs: signsAtUnixMs + this.#options.maxTtlMs }];
  }

  async #adopt(
    { newest, previous, signsAtUnixMs }: SharedRootRecord,
    rotation: AuthorityRotation,
  ): Promise<void> {
    const { clock, overlapMs } = this.#options;
    const { fingerprint } = newest.material.authority.certificate;
    const signing = rotation.authority.certificate.fingerprint;
    const known = this.#pairs.get(signing) ?? previous?.pair;
    const isNew = !this.#pairs.has(fingerprint);
    this.#pairs = new Map([
      ...(known === undefined ? [] : ([[signing, known]] as const)),
      [fingerprint, newest.pair],
    ]);
    if (!isNew || fingerprint === signing) return;
    const restMs = (signsAtUnixMs ?? Infinity) - clock.nowMs();
    await rotation.introduce(newest.material, Math.max(0, Math.min(restMs, overlapMs)));
  }
}

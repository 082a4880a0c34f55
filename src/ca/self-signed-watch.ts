/**
 * When our own root is replaced: in the last fifth of its life, and when somebody takes its files away, which is how operators
 * force a rotation (with Istio they delete the Secret).
 * Source: istio security/pkg/pki/ca/selfsignedcarootcertrotator.go.
 */
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import type { Certificate } from '#identity/certificate.ts';
import type { AuthorityRotation } from './authority-rotation.ts';
import type { SelfSignedStore } from './root-store.ts';

const LOOK_MS = 5_000;
const LAST_PART = 0.2;

/** True in the last fifth of a certificate's life. Source: CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE. */
export function isNearItsEnd({ notBeforeUnixMs, notAfterUnixMs }: Certificate, nowUnixMs: number): boolean {
  return notAfterUnixMs - nowUnixMs < (notAfterUnixMs - notBeforeUnixMs) * LAST_PART;
}

export class SelfSignedWatch implements Disposable {
  readonly #store: SelfSignedStore;
  readonly #rotation: AuthorityRotation;
  readonly #clock: Clock;
  readonly #log: Logger;
  #timer: Disposable;
  #isDisposed = false;

  constructor(
    store: SelfSignedStore,
    rotation: AuthorityRotation,
    parts: { readonly clock: Clock; readonly log: Logger },
  ) {
    this.#store = store;
    this.#rotation = rotation;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#timer = this.#schedule();
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#timer[Symbol.dispose]();
  }

  #schedule(): Disposable {
    return this.#clock.schedule(LOOK_MS, () => void this.#look());
  }

  async #look(): Promise<void> {
    try {
      if (await this.#isWanted()) await this.#replace();
    } catch (error) {
      this.#log.error('the root could not be replaced', { error: String(error) });
    }
    if (!this.#isDisposed) this.#timer = this.#schedule();
  }

  async #isWanted(): Promise<boolean> {
    return (
      !this.#rotation.isPending &&
      (isNearItsEnd(this.#rotation.authority.certificate, this.#clock.nowMs()) ||
        (await this.#store.isTakenAway()))
    );
  }

  async #replace(): Promise<void> {
    const successor = await this.#store.makeSuccessor();
    if (!successor.ok) throw new Error(successor.error);
    await this.#rotation.introduce(successor.value);
  }
}

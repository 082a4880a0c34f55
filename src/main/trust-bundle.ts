/**
 * The authority's roots on their way to the mesh's agents: into the source collection behind what is pushed, and back, when all
 * agents that are connected say that they have them in place. Then the authority that waits for that may sign, long before its
 * limit; but only where no other control plane has agents of its own, of which this one knows nothing.
 */
import type { AdsServer } from '#ads/ads-server.ts';
import { type BundleCoverage, TrustBundleRollout } from '#ads/trust-bundle-rollout.ts';
import type { Clock } from '#base/clock.ts';
import { deepEqual } from '#base/deep-equal.ts';
import { Scope } from '#base/disposable.ts';
import type { SwitchCause } from '#ca/authority-rotation.ts';
import type { CertificateAuthority } from '#ca/certificate-authority.ts';
import { parseCertificates } from '#identity/certificate.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { AUTHORITY_ANCHORS, type TrustAnchors } from '#model/trust-bundle.ts';
import type { Mesh } from './mesh.ts';

export interface RolloutSettings {
  /** True when every proxy of the mesh is connected to this control plane. Asked when all of its own have a new bundle. */
  readonly isAlone: () => boolean;
  /** How long a proxy that left is waited for. Default: as long as agents take to come back. */
  readonly returnMs?: number;
}

export interface TrustBundleParts {
  readonly mesh: Mesh;
  readonly ads: Pick<AdsServer, 'connections'>;
  readonly authority: Pick<CertificateAuthority, 'rotation' | 'problem'>;
  readonly clock: Clock;
  readonly settings: RolloutSettings;
}

/** What is known of the bundle that is pushed. */
export interface TrustBundleStatus {
  /** '' before there is one. */
  readonly version: string;
  readonly proxies: BundleCoverage;
  /** True while an authority waits for its roots to be in place. */
  readonly isPending: boolean;
  readonly lastSwitch: SwitchCause | undefined;
  /** Why what the operator brought last does not count; '' when it does. */
  readonly problem: string;
  /** Ends of the revocation lists in force, RFC 3339, '' for one that does not end; and how many certificates each names. */
  readonly revocations: readonly { readonly nextUpdate: string; readonly revoked: number }[];
}

const MAX_ROOTS = 100;

export class TrustBundle implements Disposable {
  readonly #parts: TrustBundleParts;
  readonly #rollout: TrustBundleRollout;
  readonly #scope = new Scope();

  constructor(parts: TrustBundleParts) {
    const { ads, clock, authority, settings } = parts;
    this.#parts = parts;
    this.#rollout = this.#scope.add(new TrustBundleRollout(ads.connections, clock, settings.returnMs));
    this.#scope.add(authority.rotation.watch(() => this.#publish()));
    this.#scope.add(this.#rollout.watch(() => this.#confirm()));
    this.#publish();
  }

  get status(): TrustBundleStatus {
    const { rotation, problem } = this.#parts.authority;
    const { isPending, lastSwitch } = rotation;
    const version = this.#version();
    return {
      version,
      proxies: this.#rollout.coverage(version),
      isPending,
      lastSwitch,
      problem: problem(),
      revocations: rotation.revocations.map(({ nextUpdateUnixMs, serials }) => ({
        nextUpdate: Number.isFinite(nextUpdateUnixMs) ? new Date(nextUpdateUnixMs).toISOString() : '',
        revoked: serials.size,
      })),
    };
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }

  #publish(): void {
    const { mesh } = this.#parts;
    mesh.trustAnchors.set(AUTHORITY_ANCHORS, this.#anchors());
    mesh.driver.poke();
    // Where nothing new is to be sent, nobody answers.
    void mesh.driver.settled().then(() => this.#confirm());
  }

  #confirm(): void {
    const { mesh, authority, settings } = this.#parts;
    const { rotation } = authority;
    if (!rotation.isPending || this.#scope.isDisposed) return;
    // What was pushed may be older than what is there to be pushed.
    if (!deepEqual(mesh.trustAnchors.get(AUTHORITY_ANCHORS), this.#anchors())) return;
    if (this.#rollout.isComplete(this.#version()) && settings.isAlone())
      void rotation.confirm('acknowledged', rotation.rootsPem);
  }

  #anchors(): TrustAnchors {
    const { rotation } = this.#parts.authority;
    const roots = parseCertificates(rotation.rootsPem, MAX_ROOTS);
    return {
      rootPems: roots.ok ? roots.value.map(({ pem }) => pem) : [],
      peerRootPems: [],
      revocationPems: rotation.revocations.map(({ pem }) => pem),
    };
  }

  #version(): string {
    const [entry] = this.#parts.mesh.graph.trustBundle.bucket(MESH_KEY).values();
    return entry?.resource.version ?? '';
  }
}

/**
 * Which kinds to follow, and in which version: the core kinds always, Istio's as their CRDs come and go. CRDs are followed
 * by name only (their schemas are large); which version is served is then asked of the API server. Where CRDs may not be
 * listed, every kind is assumed to be there.
 */
import type { KindInfo } from '#api/kind-registry.ts';
import { Backoff, type BackoffOptions } from '#base/backoff.ts';
import type { Clock } from '#base/clock.ts';
import type { Rng } from '#base/rng.ts';
import { servedResources, servedVersions } from '#kube/api-groups.ts';
import type { KubeClient } from '#kube/kube-client.ts';
import { KubeError } from '#kube/kube-error.ts';
import { pause } from '#kube/pause.ts';
import { type ResourceState, ResourceWatch } from '#kube/resource-watch.ts';

const METADATA_ONLY = {
  list: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json',
  watch: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json',
};
export const CRDS = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  fieldSelector: '',
};
const RETRY = { initialMs: 500, maxMs: 30_000 };

/** Hears which kinds are served. */
export interface KubeKindListener {
  /** A kind is to be followed in this version; again when its CRD changed. */
  found(info: KindInfo, version: string): void;
  /** A kind is not served any more, or `versions` are served, none of which we know. */
  lost(info: KindInfo, versions: readonly string[]): void;
  stateChanged(state: ResourceState): void;
}

/** What it needs. */
export interface KubeKindOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly rng: Rng;
  /** The kinds that have CRDs. */
  readonly kinds: readonly KindInfo[];
  readonly listener: KubeKindListener;
  readonly backoff?: BackoffOptions;
}

/** Runs from `start` until disposed of. */
export class KubeKinds implements Disposable {
  readonly #options: KubeKindOptions;
  readonly #watch: ResourceWatch;
  readonly #byCrd: ReadonlyMap<string, KindInfo>;
  /** A kind -> what ends the search for its version that is under way. */
  readonly #searches = new Map<string, AbortController>();
  #isAssumed = false;

  constructor(options: KubeKindOptions) {
    this.#options = options;
    this.#byCrd = new Map(options.kinds.map((info) => [`/${info.plural}.${info.group}`, info] as const));
    const { client, clock, rng, backoff } = options;
    this.#watch = new ResourceWatch({
      client,
      clock,
      rng,
      resource: CRDS,
      ...(backoff === undefined ? {} : { backoff }),
      accept: METADATA_ONLY,
      listener: {
        changed: ({ set, remove }) => {
          for (const { metadata } of set) this.#appeared(this.#byCrd.get(`/${metadata.name}`));
          for (const key of remove) this.#vanished(this.#byCrd.get(key));
        },
        stateChanged: (state) => this.#stateChanged(state),
      },
    });
  }

  /** True when every kind that is there has been found. */
  get isSettled(): boolean {
    return (this.#watch.state.listed || this.#isAssumed) && this.#searches.size === 0;
  }

  start(): void {
    this.#watch.start();
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    for (const search of this.#searches.values()) search.abort(new Error('closed'));
  }

  #stateChanged(state: ResourceState): void {
    const { listener, kinds } = this.#options;
    const isForbidden = state.problem instanceof KubeError && state.problem.status === 403;
    if (isForbidden && !state.listed && !this.#isAssumed) {
      this.#isAssumed = true;
      for (const info of kinds) this.#appeared(info);
    }
    listener.stateChanged(state);
  }

  #appeared(info: KindInfo | undefined): void {
    if (info === undefined) return;
    this.#searches.get(info.kind)?.abort(new Error('asked again'));
    const search = new AbortController();
    this.#searches.set(info.kind, search);
    void this.#find(info, search.signal);
  }

  #vanished(info: KindInfo | undefined): void {
    if (info === undefined) return;
    this.#searches.get(info.kind)?.abort(new Error('gone'));
    this.#searches.delete(info.kind);
    this.#options.listener.lost(info, []);
  }

  /** Asks until there is an answer. */
  async #find(info: KindInfo, signal: AbortSignal): Promise<void> {
    const { clock, rng, listener } = this.#options;
    const backoff = new Backoff(this.#options.backoff ?? RETRY, rng);
    while (!signal.aborted) {
      try {
        const found = await this.#servedVersion(info, signal);
        if (signal.aborted) return;
        // A CRD that was made just now is served a moment later.
        if (found !== undefined || this.#isAssumed) {
          this.#searches.delete(info.kind);
          if (found === undefined) listener.lost(info, []);
          else if (typeof found === 'string') listener.found(info, found);
          else listener.lost(info, found);
          return;
        }
      } catch {
        // The watch of the CRDs reports that the server is away.
      }
      await pause(clock, backoff.nextMs(), signal);
    }
  }

  /** The version to follow; the served ones when we know none of them; undefined when the kind is not served (yet). */
  async #servedVersion(info: KindInfo, signal: AbortSignal): Promise<string | readonly string[] | undefined> {
    const { client } = this.#options;
    const served = await servedVersions(client, info.group, signal);
    // A server that cannot be asked: listing will show.
    if (served === undefined) return this.#isAssumed ? undefined : info.versions[0];
    const holding: string[] = [];
    for (const version of [...info.versions, ...served.filter((other) => !info.versions.includes(other))]) {
      if (!served.includes(version)) continue;
      const resources = await servedResources(client, info.group, version, signal);
      if (resources !== undefined && !resources.has(info.plural)) continue;
      if (info.versions.includes(version)) return version;
      holding.push(version);
    }
    return holding.length === 0 ? undefined : holding;
  }
}

/**
 * Objects from a Kubernetes API server: follows all kinds of the mesh, decodes what comes in slices, so that the process
 * stays responsive while thousands load, and delivers batches. The first batch holds everything and comes when every kind has
 * been listed (or refused); after that an isolated change is delivered in the turn in which it came.
 */
import { type KindInfo, KINDS } from '#api/kind-registry.ts';
import type { BackoffOptions } from '#base/backoff.ts';
import type { Clock } from '#base/clock.ts';
import { makeDiagnostic } from '#base/diagnostic-catalog.ts';
import type { Rng } from '#base/rng.ts';
import { type ApiResource, type KubeObject, nameKey, resourceName } from '#kube/api-resource.ts';
import type { KubeClient } from '#kube/kube-client.ts';
import { KubeError } from '#kube/kube-error.ts';
import { type ResourceState, ResourceWatch } from '#kube/resource-watch.ts';
import { CRDS, KubeKinds } from './kube-kinds.ts';
import { type KubeKept, KubeObjects, type KubeSelection } from './kube-objects.ts';
import { resourceOf } from './kube-projection.ts';
import type { ObjectSink } from './object-sink.ts';

const SLICE_MS = 10;
/** A storm of changes is delivered in parts at this interval at the latest. */
const MAX_HOLD_MS = 200;

/** Kinds of this machine only, which no cluster has. */
const OWN_GROUP = 'lateen.dev';

/** Kinds that a cluster has when somebody installed their CRDs. */
function hasCrd({ group }: KindInfo): boolean {
  return group.endsWith('istio.io') || group === 'gateway.networking.k8s.io';
}

/** What a KubeSource needs. */
export interface KubeSourceOptions extends KubeSelection {
  readonly client: KubeClient;
  readonly sink: ObjectSink;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Kinds that another source gives are left to it. Default: all kinds. */
  readonly isFollowed?: (info: KindInfo) => boolean;
  /** The one namespace whose objects are followed; objects without a namespace are followed all the same. Default: all. */
  readonly watchNamespace?: string;
  /** Delays between attempts of one watch. */
  readonly backoff?: BackoffOptions;
}

/** Whether everything has been listed, and if not, what is missing and why. */
export interface KubeSourceState {
  readonly isReady: boolean;
  /** `resource: reason`, one per resource that is not there yet, or that fails now. */
  readonly problems: readonly string[];
}

/** One kind that is followed. */
interface Feed {
  readonly info: KindInfo;
  readonly version: string;
  readonly watch: ResourceWatch;
  /** What the first list held so far; undefined once it is complete. */
  seen: Set<string> | undefined;
}

type Job = { readonly feed: Feed } & (
  | { readonly put: KubeObject }
  | { readonly remove: string }
  | { readonly keep: ReadonlySet<string> }
);

/** Constructed, then `start`ed, then disposed of. */
export class KubeSource implements Disposable {
  /** Resolves when the first batch has been delivered. */
  readonly synced: Promise<void>;
  readonly #options: KubeSourceOptions;
  readonly #objects: KubeObjects;
  readonly #kinds: KubeKinds;
  readonly #feeds = new Map<string, Feed>();
  readonly #problems = new Map<string, string>();
  readonly #onSynced: () => void;
  #queue: Job[] = [];
  #next = 0;
  #heldSinceMs = 0;
  #timer: Disposable | undefined;
  #isSynced = false;
  #isDisposed = false;

  constructor(options: KubeSourceOptions) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#onSynced = resolve;
    this.#options = options;
    this.#objects = new KubeObjects(options);
    const { client, clock, rng } = options;
    this.#kinds = new KubeKinds({
      client,
      clock,
      rng,
      ...(options.backoff === undefined ? {} : { backoff: options.backoff }),
      kinds: this.#followed(hasCrd),
      listener: {
        found: (info, version) => this.#follow(info, version),
        lost: (info, versions) => this.#lose(info, versions),
        stateChanged: (state) => this.#noteState(CRDS, state),
      },
    });
  }

  start(): void {
    this.#kinds.start();
    const core = this.#followed((info) => info.group !== OWN_GROUP && !hasCrd(info));
    for (const info of core) this.#follow(info, info.versions[0] ?? 'v1');
  }

  get state(): KubeSourceState {
    const problems = [...this.#problems].map(([resource, problem]) => `${resource}: ${problem}`);
    return { isReady: this.#isSynced, problems };
  }

  /** Takes other discovery selectors: what they leave out goes, what they let in is listed. */
  select(discoverySelectors: KubeSelection['discoverySelectors']): void {
    this.#objects.select(discoverySelectors);
    this.#work();
  }

  /** What is kept, by kind. */
  kept(): ReadonlyMap<string, KubeKept> {
    return this.#objects.kept();
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#kinds[Symbol.dispose]();
    for (const { watch } of this.#feeds.values()) watch[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
  }

  #followed(isOfPart: (info: KindInfo) => boolean): readonly KindInfo[] {
    return KINDS.filter((info) => isOfPart(info) && (this.#options.isFollowed?.(info) ?? true));
  }

  /** Starts to follow a kind, or takes note that its CRD changed. */
  #follow(info: KindInfo, version: string): void {
    const old = this.#feeds.get(info.kind);
    this.#objects.reportResource(resourceName(info), undefined);
    if (old?.version === version && old.watch.state.problem === undefined) {
      this.#work();
      return;
    }
    old?.watch[Symbol.dispose]();
    const { client, clock, rng, backoff, watchNamespace = '' } = this.#options;
    const isNarrowed = watchNamespace !== '' && info.namespaced;
    const resource = {
      ...resourceOf(info, version),
      ...(isNarrowed ? { namespace: watchNamespace } : {}),
    };
    const watch: ResourceWatch = new ResourceWatch({
      client,
      clock,
      rng,
      resource,
      ...(backoff === undefined ? {} : { backoff }),
      listener: {
        changed: ({ set, remove }) => this.#take(feed, set, remove),
        stateChanged: (state) => this.#stateChanged(feed, resource, state),
      },
    });
    const feed: Feed = { info, version, watch, seen: new Set() };
    this.#feeds.set(info.kind, feed);
    watch.start();
  }

  #lose(info: KindInfo, versions: readonly string[]): void {
    const feed = this.#feeds.get(info.kind);
    const resource = resourceName(info);
    feed?.watch[Symbol.dispose]();
    this.#feeds.delete(info.kind);
    this.#problems.delete(resource);
    this.#objects.sweep(info, new Set());
    const finding = makeDiagnostic(
      'LTN1302',
      {},
      { resource, versions: versions.join(', '), known: info.versions.join(', ') },
    );
    this.#objects.reportResource(resource, versions.length === 0 ? undefined : finding);
    this.#work();
  }

  #take(feed: Feed, set: readonly KubeObject[], remove: readonly string[]): void {
    for (const put of set) {
      feed.seen?.add(nameKey(put));
      this.#queue.push({ feed, put });
    }
    for (const key of remove) this.#queue.push({ feed, remove: key });
    this.#work();
  }

  #stateChanged(feed: Feed, resource: ApiResource, state: ResourceState): void {
    if (state.listed && feed.seen !== undefined) {
      this.#queue.push({ feed, keep: feed.seen });
      feed.seen = undefined;
    }
    // What is not served any more has no objects.
    if (isRefused(state, 404)) this.#queue.push({ feed, keep: new Set() });
    this.#noteState(resource, state);
  }

  #noteState(resource: Pick<ApiResource, 'group' | 'plural'>, { problem }: ResourceState): void {
    const name = resourceName(resource);
    if (problem === undefined) this.#problems.delete(name);
    else this.#problems.set(name, problem.message);
    const isForbidden = problem instanceof KubeError && problem.status === 403;
    this.#objects.reportResource(name, isForbidden ? forbidden(resource, problem.message) : undefined);
    this.#work();
  }

  /** Decodes what is queued for one slice of time, then delivers, or goes on in the next turn. */
  #work(): void {
    if (this.#isDisposed || this.#timer !== undefined) return;
    const { clock } = this.#options;
    const startMs = clock.monotonicMs();
    while (this.#next < this.#queue.length && clock.monotonicMs() - startMs < SLICE_MS) {
      const job = this.#queue[this.#next] as Job;
      this.#next += 1;
      // What a feed brought that has been replaced since is not wanted any more.
      if (this.#feeds.get(job.feed.info.kind) === job.feed) this.#do(job);
    }
    const isDone = this.#next >= this.#queue.length;
    if (isDone) {
      this.#queue = [];
      this.#next = 0;
    } else {
      this.#timer = clock.schedule(0, () => {
        this.#timer = undefined;
        this.#work();
      });
    }
    this.#listWanted();
    if (!this.#isSynced && !(isDone && this.#isListed())) return;
    if (isDone || clock.monotonicMs() - this.#heldSinceMs > MAX_HOLD_MS) this.#deliver();
  }

  #do(job: Job): void {
    const { info, version } = job.feed;
    if ('put' in job) this.#objects.put(info, version, job.put);
    else if ('remove' in job) this.#objects.delete(info, job.remove);
    else this.#objects.sweep(info, job.keep);
  }

  #listWanted(): void {
    const wanted = this.#objects.takeWanted();
    if (wanted.size === 0) return;
    for (const { info, watch } of this.#feeds.values()) {
      if (info.namespaced) watch.relist((key) => wanted.has(key.slice(0, key.indexOf('/'))));
    }
  }

  /** True when every kind has been listed, or cannot be: what is forbidden or not served does not keep the others waiting. */
  #isListed(): boolean {
    if (!this.#kinds.isSettled) return false;
    return [...this.#feeds.values()].every(
      ({ watch: { state } }) => state.listed || isRefused(state, 403) || isRefused(state, 404),
    );
  }

  #deliver(): void {
    this.#heldSinceMs = this.#options.clock.monotonicMs();
    const batch = this.#objects.takeBatch();
    if (batch !== undefined) this.#options.sink.apply(batch);
    if (this.#isSynced) return;
    this.#isSynced = true;
    this.#onSynced();
  }
}

function isRefused({ problem }: ResourceState, status: number): boolean {
  return problem instanceof KubeError && problem.status === status;
}

/** The API server's text names the verb and the account; without them the finding is less exact. */
function forbidden(
  { group, plural }: Pick<ApiResource, 'group' | 'plural'>,
  message: string,
): ReturnType<typeof makeDiagnostic> {
  const verb = /cannot (\w+) resource/.exec(message)?.[1] ?? 'list and watch';
  const account = /[Uu]ser "([^"]{1,253})"/.exec(message)?.[1] ?? 'the account of the control plane';
  return makeDiagnostic(
    'LTN1301',
    {},
    { verb, resource: resourceName({ group, plural }), plural, group, account },
  );
}

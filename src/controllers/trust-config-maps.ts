/**
 * A ConfigMap with the mesh's roots, or its revocation lists, in every namespace that belongs to the mesh, where pods mount it. Kept by the leader: made,
 * made again when it is deleted, put right when it is edited, changed when the text changes. What others keep in it stays.
 * Where there is no text no map is made, and one that there is is emptied.
 * A change costs the namespaces that it touches. What cannot be written is tried again; a namespace that goes is left alone.
 * Source: istio pilot/pkg/serviceregistry/kube/controller/namespacecontroller.go, security/pkg/k8s/configutil.go.
 */
import { Backoff } from '#base/backoff.ts';
import type { Clock } from '#base/clock.ts';
import { Scope } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import type { Rng } from '#base/rng.ts';
import { type KubeObject, nameKey, resourcePath } from '#kube/api-resource.ts';
import type { KubeClient } from '#kube/kube-client.ts';
import { hasStatus } from '#kube/kube-error.ts';
import type { Leadership } from '#kube/leader-election.ts';
import { type ResourceChange, ResourceWatch } from '#kube/resource-watch.ts';

/** The namespaces of the mesh. */
export interface MeshNamespaces {
  /** Names. */
  all(): Iterable<string>;
  has(name: string): boolean;
  /** Tells names that came, went or changed. */
  watch(changed: (names: Iterable<string>) => void): Disposable;
}

/** What is written, and when it changes. */
export interface SharedText {
  /** The entry of the ConfigMaps. */
  readonly key: string;
  /** PEM; '' for nothing. */
  text(): string;
  watch(changed: () => void): Disposable;
}

export interface TrustConfigMapsOptions {
  readonly client: KubeClient;
  readonly leadership: Leadership;
  readonly namespaces: MeshNamespaces;
  readonly content: SharedText;
  /** Name of the ConfigMaps. */
  readonly name: string;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
}

const LABELS = { 'istio.io/config': 'true' };
const CONFIG_MAPS = { group: '', version: 'v1', plural: 'configmaps' };
/** Kubernetes' own, but for kube-system, where node proxies may run. Source: istio pkg/kube/inject IgnoredNamespaces. */
const IGNORED: ReadonlySet<string> = new Set(['kube-public', 'kube-node-lease', 'local-path-storage']);
const WRITERS = 8;
const RETRY = { initialMs: 1_000, maxMs: 60_000 };

/** Works from its construction until disposed of. */
export class TrustConfigMaps implements Disposable {
  readonly #options: TrustConfigMapsOptions;
  readonly #scope = new Scope();
  readonly #backoff: Backoff;
  /** What there is, by namespace; only while we lead. */
  readonly #maps = new Map<string, KubeObject>();
  /** Namespaces to look at. */
  readonly #due = new Set<string>();
  #watch: ResourceWatch | undefined;
  #writers = 0;
  /** Namespaces that are tried again. */
  readonly #failures = new Set<string>();
  #retry: Disposable | undefined;

  constructor(options: TrustConfigMapsOptions) {
    this.#options = options;
    const { leadership, namespaces, content, rng } = options;
    this.#backoff = new Backoff(RETRY, rng);
    this.#scope.add(leadership.watch(() => this.#lead()));
    this.#scope.add(namespaces.watch((names) => this.#look(names)));
    this.#scope.add(content.watch(() => this.#look(namespaces.all())));
    this.#lead();
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
    this.#stop();
  }

  #lead(): void {
    const { client, leadership, clock, rng, name, namespaces } = this.#options;
    if (!leadership.isLeader) this.#stop();
    if (!leadership.isLeader || this.#watch !== undefined) return;
    this.#watch = new ResourceWatch({
      client,
      clock,
      rng,
      resource: { ...CONFIG_MAPS, fieldSelector: `metadata.name=${name}` },
      listener: {
        changed: (change) => this.#take(change),
        stateChanged: ({ listed }) => {
          if (listed) this.#look(namespaces.all());
        },
      },
    });
    this.#watch.start();
  }

  #stop(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
    this.#retry?.[Symbol.dispose]();
    this.#retry = undefined;
    this.#failures.clear();
    this.#maps.clear();
    this.#due.clear();
  }

  #take({ set, remove }: ResourceChange): void {
    for (const object of set) this.#maps.set(object.metadata.namespace ?? '', object);
    const gone = remove.map((key) => key.slice(0, key.indexOf('/')));
    for (const namespace of gone) this.#maps.delete(namespace);
    this.#look([...set.map(({ metadata }) => metadata.namespace ?? ''), ...gone]);
  }

  /** Puts namespaces right, a few at a time. */
  #look(names: Iterable<string>): void {
    // Before the list is complete nobody knows what is missing.
    if (this.#watch?.state.listed !== true) return;
    for (const name of names) this.#due.add(name);
    while (this.#writers < WRITERS && this.#due.size > 0) {
      this.#writers += 1;
      void this.#write().finally(() => {
        this.#writers -= 1;
      });
    }
  }

  /** One writer: goes on while something is due. */
  async #write(): Promise<void> {
    for (const namespace of this.#due) {
      this.#due.delete(namespace);
      if (IGNORED.has(namespace) || !this.#options.namespaces.has(namespace)) continue;
      try {
        await this.#put(namespace);
        this.#backoff.reset();
      } catch (error) {
        this.#failed(namespace, error);
      }
    }
  }

  async #put(namespace: string): Promise<void> {
    const { client, name, content } = this.#options;
    const text = content.text();
    const path = resourcePath({ ...CONFIG_MAPS, namespace });
    const old = this.#maps.get(namespace);
    const data = old?.['data'] as Readonly<Record<string, unknown>> | undefined;
    if (old === undefined ? text === '' : (data?.[content.key] ?? '') === text) return;
    const value = {
      ...old,
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: old?.metadata ?? { namespace, name, labels: LABELS },
      data: { ...data, [content.key]: text },
    };
    if (old === undefined) await client.postJson({ path, value });
    else await client.putJson({ path: `${path}/${name}`, value });
    this.#options.log.debug('trust written', { configMap: nameKey(value) });
  }

  #failed(namespace: string, error: unknown): void {
    // Another version is on its way to us, or the namespace is going.
    if (hasStatus(error, 409) || hasStatus(error, 404)) return;
    const { log, clock } = this.#options;
    const reason = error instanceof Error ? error.message : String(error);
    if (hasStatus(error, 403)) {
      log.info('a ConfigMap of trust may not be written into a namespace', { namespace, reason });
      return;
    }
    log.warn('a ConfigMap of trust could not be written into a namespace', { namespace, reason });
    this.#failures.add(namespace);
    this.#retry ??= clock.schedule(this.#backoff.nextMs(), () => {
      this.#retry = undefined;
      const again = [...this.#failures];
      this.#failures.clear();
      this.#look(again);
    });
  }
}

/**
 * The objects of a Kubernetes cluster as a source of the mesh: follows the API server, and keeps trying while it is away. With a folder of objects as well, Istio's kinds come from the folder and
 * services from the cluster, as with Istio's --configDir.
 */
import type { KindInfo } from '#api/kind-registry.ts';
import type { Clock } from '#base/clock.ts';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import type { Logger } from '#base/logger.ts';
import { systemRng } from '#base/rng.ts';
import type { HeldBackController } from '#controllers/held-back.ts';
import type { MetricRegistry } from '#doors/prometheus-text.ts';
import type { KubeClient } from '#kube/kube-client.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { KubeSource } from '#sources/kube.ts';
import type { SourceBatch } from '#sources/object-sink.ts';
import type { DiscoveryEnvironment } from './discovery-environment.ts';
import type { DiscoveryFlags } from './discovery-flags.ts';
import type { Mesh } from './mesh.ts';
import { reviewSecretAccess } from './secret-access.ts';

export interface KubeFeedOptions {
  readonly flags: DiscoveryFlags;
  readonly environment: Pick<DiscoveryEnvironment, 'isRead' | 'watchNamespace'>;
  readonly client: KubeClient;
  readonly mesh: Mesh;
  readonly meshConfig: MeshConfigJson;
  readonly heldBack: Pick<HeldBackController, 'applying'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
}

/** A cluster that is followed until disposed of. */
export interface KubeFeed extends Disposable {
  readonly source: KubeSource;
  /** What /ready says until the first lists are complete: what is missing, and why. */
  waitingFor(): string;
}

/** Starts to follow. */
export function openKubeFeed(options: KubeFeedOptions): KubeFeed {
  const { flags, environment, client, mesh, meshConfig, heldBack, clock, log, metrics } = options;
  const told = new Set<string>();
  const source = new KubeSource({
    client,
    clock,
    rng: systemRng(),
    revision: process.env['REVISION'] || 'default',
    discoverySelectors: meshConfig.discoverySelectors ?? [],
    systemNamespace: flags.namespace,
    isFollowed: (info: KindInfo) =>
      environment.isRead(`${info.plural}.${info.group}`) &&
      (flags.configDir === '' || !info.group.endsWith('istio.io')),
    watchNamespace: environment.watchNamespace,
    sink: {
      apply(batch) {
        heldBack.applying(batch);
        mesh.objects.apply(batch);
        mesh.driver.poke();
        tellNews(batch, told, log);
      },
    },
  });
  source.start();
  countKept(metrics, source);
  const problems = watchProblems(source, clock, log);
  const access = reviewSecretAccess(mesh, client, { clock, log });
  return {
    source,
    waitingFor: () => ['first lists of the Kubernetes API', ...source.state.problems].join('; '),
    [Symbol.dispose]() {
      problems[Symbol.dispose]();
      access[Symbol.dispose]();
      source[Symbol.dispose]();
    },
  };
}

/** A batch repeats all findings of its source: each is logged when it comes, not each time. */
function tellNews(batch: SourceBatch, told: Set<string>, log: Logger): void {
  const lines = batch.diagnostics.map(printDiagnostic);
  for (const line of lines) if (!told.has(line)) log.warn(line);
  told.clear();
  for (const line of lines) told.add(line);
}

/** What is kept of the cluster, by kind: bytes per object is the quotient. */
function countKept(metrics: MetricRegistry, source: KubeSource): void {
  const labels = ['kind'];
  const objects = metrics.gauge({
    name: 'lateen_kube_objects',
    help: 'Objects kept of the cluster.',
    labels,
  });
  const help = 'Size of labels, annotations and specs kept of the cluster, as JSON text.';
  const sizes = metrics.gauge({ name: 'lateen_kube_kept_bytes', help, labels });
  metrics.onCollect(() => {
    for (const [kind, kept] of source.kept()) {
      objects.set(kept.objects, { kind });
      sizes.set(kept.sizeBytes, { kind });
    }
  });
}

const PROBLEM_LOG_MS = 10_000;

/** Logs what fails now when it changed, looked at every few seconds. */
function watchProblems(source: KubeSource, clock: Clock, log: Logger): Disposable {
  let last = '';
  let timer: Disposable;
  const look = (): void => {
    const problems = source.state.problems.join('; ');
    if (problems !== last && problems !== '') log.warn('the API server cannot be read', { problems });
    if (problems !== last && problems === '') log.info('the API server can be read again');
    last = problems;
    timer = clock.schedule(PROBLEM_LOG_MS, look);
  };
  timer = clock.schedule(1000, look);
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
}

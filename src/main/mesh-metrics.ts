/**
 * The metrics of a mesh in this process: the engine's counters, the model's sizes, the CA's, the process's, and what the
 * xDS server counts into.
 */
import type { Clock } from '#base/clock.ts';
import type { CertificateAuthority } from '#ca/certificate-authority.ts';
import { createPilotMetrics, type PilotMetrics } from '#doors/pilot-metrics.ts';
import { registerProcessMetrics } from '#doors/process-metrics.ts';
import { MetricRegistry } from '#doors/prometheus-text.ts';
import type { Mesh } from './mesh.ts';
import type { TrustBundle } from './trust-bundle.ts';
import { VERSION } from './version.ts';

/** The registry behind /metrics, and the xDS server's sink. Disposing ends the measuring of the process. */
export interface MeshMetrics extends Disposable {
  readonly registry: MetricRegistry;
  readonly ads: PilotMetrics;
}

/** Registers everything but the CA's. */
export function createMeshMetrics(mesh: Mesh, clock: Clock): MeshMetrics {
  const registry = new MetricRegistry();
  const processMetrics = registerProcessMetrics(registry, clock);
  const build = registry.gauge({
    name: 'istio_build',
    help: 'Build of the component.',
    labels: ['component', 'tag'],
  });
  build.set(1, { component: 'pilot', tag: VERSION });
  const { engine, graph, objects, heldBack } = mesh;
  const virtualServices = objects.of('VirtualService');
  readTotal(registry, 'lateen_engine_recomputed_total', () => engine.counters.recomputed);
  readTotal(registry, 'lateen_engine_cut_off_total', () => engine.counters.cutOff);
  readTotal(registry, 'lateen_engine_encoded_total', () => graph.interner.encoded);
  readTotal(registry, 'lateen_engine_epochs_total', () => engine.counters.epochs);
  readGauge(registry, 'pilot_services', () => graph.serviceModel.services.size);
  readGauge(registry, 'pilot_virt_services', () => virtualServices.size);
  readGauge(registry, 'lateen_held_back_objects', () => heldBack.size);
  return {
    registry,
    ads: createPilotMetrics(registry),
    [Symbol.dispose]: () => processMetrics[Symbol.dispose](),
  };
}

/** Adds the CA's. */
export function registerAuthorityMetrics(
  registry: MetricRegistry,
  authority: CertificateAuthority,
  clock: Clock,
): void {
  for (const name of authority.collectMetrics(clock.nowMs()).keys()) {
    readGauge(registry, name, () => authority.collectMetrics(clock.nowMs()).get(name) ?? 0);
  }
}

/** Adds what is known of the trust bundle that agents are pushed. */
export function registerTrustBundleMetrics(
  registry: MetricRegistry,
  door: { readonly trustBundle: TrustBundle | undefined },
): void {
  const gauge = registry.gauge({
    name: 'lateen_trust_bundle_proxies',
    help: 'Connected proxies by how far they are with the newest trust bundle.',
    labels: ['state'],
  });
  registry.onCollect(() => {
    const { proxies } = door.trustBundle?.status ?? {};
    for (const [state, count] of Object.entries(proxies ?? {})) gauge.set(count, { state });
  });
}

/** What the values that are read at each scrape mean; the names are Istio's or begin with lateen_. */
const HELP = 'Read from the running control plane at each scrape.';

function readGauge(registry: MetricRegistry, name: string, read: () => number): void {
  const gauge = registry.gauge({ name, help: HELP });
  registry.onCollect(() => gauge.set(read()));
}

/** A total that somebody else keeps: brought up to date at each scrape. */
export function readTotal(registry: MetricRegistry, name: string, read: () => number): void {
  const counter = registry.counter({ name, help: HELP });
  let known = 0;
  registry.onCollect(() => {
    const now = read();
    counter.increment({}, now - known);
    known = now;
  });
}

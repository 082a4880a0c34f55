/**
 * Puts the registration of workloads together: entries of a cluster are written to its API server, those of a mesh from files are
 * kept here, on top of what the files say; metrics have Istio's names.
 */
import type { ConnectedProxy, RegisteredProxy, Registrar } from '#ads/registrar.ts';
import type { ObjectBatch } from '#api/object-collections.ts';
import type { Clock } from '#base/clock.ts';
import type { GrpcStatus } from '#base/grpc-frame.ts';
import type { Logger } from '#base/logger.ts';
import type { Result } from '#base/result.ts';
import { systemRng } from '#base/rng.ts';
import type { HeldBackController } from '#controllers/held-back.ts';
import { KubeEntries } from '#controllers/kube-entries.ts';
import { MemoryEntries } from '#controllers/memory-entries.ts';
import { type RegistrationSettings, WorkloadRegistration } from '#controllers/workload-registration.ts';
import type { KubeClient } from '#kube/kube-client.ts';
import type { Mesh } from './mesh.ts';
import { type MeshMetrics, readTotal } from './mesh-metrics.ts';

export interface RegistrationParts {
  readonly mesh: Mesh;
  readonly heldBack: Pick<HeldBackController, 'applying'>;
  readonly metrics: MeshMetrics;
  readonly settings: RegistrationSettings;
  /** Name of this control plane among its replicas. */
  readonly controller: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** The API server that has the entries; undefined where they come from files. */
  readonly client: KubeClient | undefined;
}

/** Until disposed of. */
export interface Registration extends Registrar, AsyncDisposable {
  /** A batch of a source of objects as it is to enter the mesh. */
  weave<B extends ObjectBatch>(batch: B): B;
}

/** Begins to take registrations. */
export function openRegistration(parts: RegistrationParts): Registration {
  const { mesh, heldBack, client, clock, metrics } = parts;
  const memory = new MemoryEntries((batch) => {
    heldBack.applying(batch);
    mesh.objects.apply(batch);
    mesh.driver.poke();
  }, clock);
  const controller = new WorkloadRegistration({
    engine: mesh.engine,
    groups: mesh.objects.of('WorkloadGroup'),
    entries: mesh.objects.of('WorkloadEntry'),
    store: client === undefined ? memory : new KubeEntries(client, () => servedVersion(mesh)),
    settings: parts.settings,
    controller: parts.controller,
    clock,
    rng: systemRng(),
    log: parts.log,
  });
  const { counters } = controller;
  for (const name of Object.keys(counters) as (keyof typeof counters)[])
    readTotal(metrics.registry, `auto_registration_${name}_total`, () => counters[name]);
  return {
    register: (connected: ConnectedProxy): Result<RegisteredProxy | undefined, GrpcStatus> =>
      controller.register(connected),
    weave: (batch) => (client === undefined ? memory.weave(batch) : batch),
    [Symbol.asyncDispose]: () => controller[Symbol.asyncDispose](),
  };
}

/** The version in which we follow the kinds of registration; there is no registration without a group, nor clean-up without an entry. */
function servedVersion({ objects }: Mesh): string {
  const [known] = [
    ...objects.of('WorkloadGroup').all().values(),
    ...objects.of('WorkloadEntry').all().values(),
  ];
  return known?.apiVersion.split('/')[1] ?? 'v1';
}

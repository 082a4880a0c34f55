/**
 * PeerAuthentication as an answer: which mutual TLS mode holds for one workload and one of its ports.
 * Three levels (mesh, namespace, workload) and ports of a workload; UNSET takes the next wider level, and the widest
 * default is PERMISSIVE. Costs a walk over the policies of two namespaces.
 * Source: istio pilot/pkg/security/authn, PeerAuthentication.mtls and portLevelMtls.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { PeerAuthenticationSpec } from '#api/peer-authentication.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Cause } from '#base/cause.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';

/** How a workload takes connections: mutual TLS only, both, or plain text only. */
export type MutualTlsMode = 'STRICT' | 'PERMISSIVE' | 'DISABLE';

/** PeerAuthentication objects by namespace. */
export interface PeerAuthenticationModel {
  readonly byNamespace: Index<MeshObject<PeerAuthenticationSpec>>;
}

/** The answer for one workload. */
export interface MutualTlsSettings {
  readonly mode: MutualTlsMode;
  /** Ports whose mode was set on their own, by workload port number. */
  readonly ports: Readonly<Record<string, MutualTlsMode>>;
}

/** The workload's side of the question. */
export interface MutualTlsSubject {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export function createPeerAuthenticationModel(
  engine: Engine,
  objects: Collection<MeshObject<PeerAuthenticationSpec>>,
): PeerAuthenticationModel {
  return {
    byNamespace: engine.index('model.peerAuthentications', objects, (object) => [object.namespace]),
  };
}

/** The mode that holds for a workload, and the objects that decided it. Reads two buckets. */
export function mutualTlsFor(
  fetch: Fetch,
  model: PeerAuthenticationModel,
  rootNamespace: string,
  subject: MutualTlsSubject,
): { readonly settings: MutualTlsSettings; readonly causes: readonly Cause[] } {
  const inRoot = [...fetch.bucket(model.byNamespace, rootNamespace).values()];
  // Policies of the root namespace are the mesh's; those with a selector hold for nobody, as in Istio.
  const isRoot = subject.namespace === rootNamespace;
  const inOwn = isRoot ? [] : [...fetch.bucket(model.byNamespace, subject.namespace).values()];
  const mesh = oldest(inRoot.filter((policy) => !hasSelector(policy)));
  const namespace = oldest(inOwn.filter((policy) => !hasSelector(policy)));
  const workload = oldest(inOwn.filter((policy) => hasSelector(policy) && selects(policy, subject.labels)));
  const levels = [mesh, namespace, workload];
  let mode: MutualTlsMode = 'PERMISSIVE';
  for (const policy of levels) mode = narrow(policy?.spec.mtls?.mode, mode);
  const ports: Record<string, MutualTlsMode> = {};
  for (const [port, setting] of Object.entries(workload?.spec.portLevelMtls ?? {})) {
    ports[port] = narrow(setting.mode, mode);
  }
  const causes = levels.flatMap((policy) => (policy === undefined ? [] : [causeOf(policy)]));
  return { settings: { mode, ports }, causes };
}

/** The mode of one workload port. */
export function portMode(settings: MutualTlsSettings, port: number): MutualTlsMode {
  return settings.ports[String(port)] ?? settings.mode;
}

function narrow(mode: string | undefined | null, wider: MutualTlsMode): MutualTlsMode {
  return mode === 'STRICT' || mode === 'PERMISSIVE' || mode === 'DISABLE' ? mode : wider;
}

function causeOf(policy: MeshObject): Cause {
  return { kind: policy.kind, namespace: policy.namespace, name: policy.name, path: 'spec.mtls' };
}

function hasSelector(policy: MeshObject<PeerAuthenticationSpec>): boolean {
  return Object.keys(policy.spec.selector?.matchLabels ?? {}).length > 0;
}

function selects(
  policy: MeshObject<PeerAuthenticationSpec>,
  labels: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(policy.spec.selector?.matchLabels ?? {}).every(
    ([name, value]) => labels[name] === value,
  );
}

/** Of several policies of one level the oldest holds, then the first by name. */
function oldest<T extends MeshObject>(policies: readonly T[]): T | undefined {
  return policies.toSorted((a, b) => a.createdAtMs - b.createdAtMs || compareBytes(a.name, b.name))[0];
}

/**
 * A copy of a mesh for trying out what it would be without one object or another: fed from the same sources, with one of
 * the proxies, serving nobody. Costs what that proxy's snapshot costs from scratch, in slices, and the memory of it until
 * the copy is dropped.
 */
import { objectKey } from '#base/object-ref.ts';
import type { HeldBack } from '#model/held-back.ts';
import { EVERYBODY } from '#model/secret-access.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import {
  type ResourceEntry,
  TYPE_CLUSTER,
  TYPE_ENDPOINT,
  TYPE_EXTENSION,
  TYPE_LISTENER,
  TYPE_ROUTE,
  TYPE_SECRET,
} from '#xds/resource.ts';
import { createMesh, type Mesh, type MeshOptions } from './mesh.ts';

export interface ScratchMesh {
  /** The resource of that type and name under verdicts that take the place of those in force for the same objects. */
  resource(
    verdicts: readonly HeldBack[],
    like: { readonly typeUrl: string; readonly name: string },
  ): Promise<ResourceEntry | undefined>;
}

/** Copies the last finished epoch; undefined when the proxy is not connected any more. */
export function openScratchMesh(mesh: Mesh, options: MeshOptions, proxyId: string): ScratchMesh | undefined {
  const proxy = mesh.proxies.get(proxyId);
  const meshConfig = mesh.meshConfig.get(MESH_KEY);
  if (proxy === undefined || meshConfig === undefined) return undefined;
  const scratch = createMesh({ ...options, meshConfig });
  scratch.objects.apply({ set: [...mesh.objects.all()], remove: [] });
  for (const [key, replica] of mesh.replicas.all()) scratch.replicas.set(key, replica);
  for (const [key, keySet] of mesh.keySets.all()) scratch.keySets.set(key, keySet);
  for (const [key, answer] of mesh.secretAccess.all()) scratch.secretAccess.set(key, answer);
  if (mesh.secretAccess.get(EVERYBODY) === undefined) scratch.secretAccess.delete(EVERYBODY);
  for (const [key, anchors] of mesh.trustAnchors.all()) scratch.trustAnchors.set(key, anchors);
  for (const [key, networks] of mesh.meshNetworks.all()) scratch.meshNetworks.set(key, networks);
  for (const [name, resolved] of mesh.resolvedNames.all()) scratch.resolvedNames.set(name, resolved);
  scratch.proxies.set(proxyId, proxy);
  const demand = mesh.demands.get(proxyId);
  if (demand !== undefined) scratch.demands.set(proxyId, demand);
  const inForce = mesh.heldBack.all();
  for (const [key, verdict] of inForce) scratch.heldBack.set(key, verdict);
  let tried: readonly string[] = [];
  return {
    async resource(verdicts, like) {
      for (const key of tried) {
        const verdict = inForce.get(key);
        if (verdict === undefined) scratch.heldBack.delete(key);
        else scratch.heldBack.set(key, verdict);
      }
      tried = verdicts.map(objectKey);
      for (const verdict of verdicts) scratch.heldBack.set(objectKey(verdict), verdict);
      await scratch.driver.settled();
      return resourceOf(scratch.graph.snapshots.get(proxyId), like);
    },
  };
}

/** A resource of a snapshot by type and name. */
export function resourceOf(
  snapshot: ProxySnapshot | undefined,
  { typeUrl, name }: { readonly typeUrl: string; readonly name: string },
): ResourceEntry | undefined {
  if (typeUrl === TYPE_CLUSTER) return snapshot?.clusters.get(name);
  if (typeUrl === TYPE_ENDPOINT) return snapshot?.endpoints.get(name);
  if (typeUrl === TYPE_LISTENER) return snapshot?.listeners.get(name);
  if (typeUrl === TYPE_EXTENSION) return snapshot?.extensions.get(name);
  if (typeUrl === TYPE_SECRET) return snapshot?.secrets.get(name);
  return typeUrl === TYPE_ROUTE ? snapshot?.routes.get(name) : undefined;
}

/**
 * Puts the roots that mesh config names (caCertificates) together: the mesh whose config it is, the network under the rules for
 * key sets, and the source collection behind the bundle that agents get. They vouch for peers only.
 */
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import { systemRng } from '#base/rng.ts';
import { BUNDLE_REFRESH_MS, MeshTrustAnchors } from '#controllers/mesh-trust-anchors.ts';
import { keyFetcher } from './key-sets.ts';
import type { Mesh } from './mesh.ts';

export interface MeshTrustAnchorSettings {
  readonly mesh: Mesh;
  readonly clock: Clock;
  readonly log: Logger;
  /** A mesh on one machine may have its neighbours there too. */
  readonly loopback: boolean;
}

/** Follows mesh config until disposed of. */
export function openMeshTrustAnchors({
  mesh,
  clock,
  log,
  loopback,
}: MeshTrustAnchorSettings): MeshTrustAnchors {
  return new MeshTrustAnchors({
    engine: mesh.engine,
    meshConfig: mesh.meshConfig,
    fetchText: keyFetcher(loopback, log),
    clock,
    rng: systemRng(),
    log,
    publish: (source, peerRootPems) => {
      mesh.trustAnchors.set(source, { rootPems: [], peerRootPems, revocationPems: [] });
      mesh.driver.poke();
    },
    refreshMs: BUNDLE_REFRESH_MS,
  });
}

/**
 * The trust bundle as agents get it over xDS: Istio's ProxyConfig with nothing but certificates in it, and in fields that Istio's
 * message does not have (its agents skip what they do not know) our revocation lists, and how many of the certificates, the last
 * ones, do not vouch for control planes. One resource for all proxies.
 * Source: istio pilot/pkg/xds/pcds.go; mesh/v1alpha1/proxy.proto ca_certificates_pem.
 */
import { hashHex } from '#base/hash.ts';
import { WireWriter } from '#base/proto-wire.ts';
import type { Collection, Engine, Index } from '#collections/collection.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { joinTrustAnchors, type TrustAnchors } from '#model/trust-bundle.ts';
import { isSameEntry } from './resource-entry.ts';
import { type Resource, type ResourceEntry, TYPE_TRUST_BUNDLE } from './resource.ts';

/** Name of the one resource of its type. */
const TRUST_BUNDLE = 'trust-bundle';
/** Field of ProxyConfig. */
const CA_CERTIFICATES_PEM = 34;
/** Ours, far from what Istio numbers. */
const REVOCATION_LISTS_PEM = 15_034;
const PEER_ROOTS = 15_035;

/** The bundle of the mesh, in the one bucket MESH_KEY: at most one entry. */
export type TrustBundleIndex = Index<ResourceEntry>;

/** Encodes a bundle. */
export function buildTrustBundle({ rootPems, peerRootPems, revocationPems }: TrustAnchors): Resource {
  const writer = new WireWriter(4096);
  for (const pem of [...rootPems, ...peerRootPems]) writer.string(CA_CERTIFICATES_PEM, pem);
  if (peerRootPems.length > 0) writer.varint(PEER_ROOTS, peerRootPems.length);
  for (const pem of revocationPems) writer.string(REVOCATION_LISTS_PEM, pem);
  const bytes = writer.finish();
  return { typeUrl: TYPE_TRUST_BUNDLE, name: TRUST_BUNDLE, bytes, version: hashHex(bytes) };
}

/** Derives the bundle from all anchors. */
export function createTrustBundle(engine: Engine, trustAnchors: Collection<TrustAnchors>): TrustBundleIndex {
  const anchors = engine.index('model.trustAnchorsByMesh', trustAnchors, () => [MESH_KEY]);
  const bundles = engine.derive(
    'xds.trustBundles',
    engine.group('model.trustAnchorsOfMesh', anchors),
    (_fetch, parts): ResourceEntry | undefined => {
      const joined = joinTrustAnchors(parts.values());
      return joined === undefined ? undefined : { resource: buildTrustBundle(joined), causes: [] };
    },
    { equals: isSameEntry },
  );
  return engine.index(
    'xds.trustBundlesByMesh',
    bundles,
    (_entry, key) => [key],
    () => TRUST_BUNDLE,
  );
}

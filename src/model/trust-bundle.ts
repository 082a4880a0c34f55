/**
 * Whom the mesh's workloads believe: roots and revocation lists by the one who vouches for them, and all of them as one bundle.
 * A source collection, fed from outside (the certificate authority, mesh config's caCertificates); a bundle is a value
 * that depends on nothing but its parts, so that every replica makes the same.
 */
import { sortedBy } from '#base/bytes-order.ts';

/** What one source vouches for. Keyed by the source's name in the collection `trustAnchors`. */
export interface TrustAnchors {
  /** One certificate each, PEM. */
  readonly rootPems: readonly string[];
  /** The same, of roots that vouch for peers, and never for a control plane of the mesh. */
  readonly peerRootPems: readonly string[];
  /** One revocation list each, PEM; of all authorities that sign, or none. */
  readonly revocationPems: readonly string[];
}

/** The key of the mesh's own certificate authority. Source: istio pilot/pkg/trustbundle, SourceIstioCA. */
export const AUTHORITY_ANCHORS = 'authority';

/** Joins the anchors of all sources: each text once, in byte order. Undefined where nobody vouches for anything. */
export function joinTrustAnchors(all: Iterable<TrustAnchors>): TrustAnchors | undefined {
  const parts = [...all];
  const rootPems = once(parts.flatMap((part) => part.rootPems));
  const own = new Set(rootPems);
  const peerRootPems = once(parts.flatMap((part) => part.peerRootPems).filter((pem) => !own.has(pem)));
  if (rootPems.length + peerRootPems.length === 0) return undefined;
  return { rootPems, peerRootPems, revocationPems: once(parts.flatMap((part) => part.revocationPems)) };
}

function once(texts: readonly string[]): readonly string[] {
  return sortedBy(new Set(texts), (text) => text);
}

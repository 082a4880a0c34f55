/**
 * The facts about a workload that telemetry carries, and under which names they travel: in Envoy's environment (about itself),
 * in endpoint metadata (about who is called), in request headers and filter state (about who calls).
 * One table, so that a sender, a reader and a metric can't disagree.
 */

/** One fact. `label` is what follows `source_` or `destination_` in Istio's metrics. */
export interface PeerLabel {
  readonly label: string;
  /** Key in endpoint filter metadata `lateen`, and the last part of filter state and header names. */
  readonly key: string;
  /** Variable in Envoy's own environment. */
  readonly variable: string;
  /** What Istio prints where the fact is not known. */
  readonly missing: string;
}

/** Metadata namespace of endpoints and clusters. */
export const METADATA_NAMESPACE = 'lateen';

/** All facts but the principal, which comes from certificates. */
export const PEER_LABELS: readonly PeerLabel[] = [
  { label: 'workload', key: 'workload', variable: 'LATEEN_WORKLOAD', missing: 'unknown' },
  { label: 'workload_namespace', key: 'namespace', variable: 'LATEEN_NAMESPACE', missing: 'unknown' },
  { label: 'app', key: 'app', variable: 'LATEEN_APP', missing: 'unknown' },
  { label: 'version', key: 'version', variable: 'LATEEN_VERSION', missing: 'unknown' },
  {
    label: 'canonical_service',
    key: 'canonical_service',
    variable: 'LATEEN_CANONICAL_SERVICE',
    missing: 'unknown',
  },
  {
    label: 'canonical_revision',
    key: 'canonical_revision',
    variable: 'LATEEN_CANONICAL_REVISION',
    missing: 'latest',
  },
  { label: 'cluster', key: 'cluster', variable: 'LATEEN_CLUSTER', missing: 'unknown' },
];

/** Begins every header that carries a fact between sidecars; never seen by applications. */
export const PEER_HEADER_PREFIX = 'x-lateen-peer-';

/** Request header of a fact. */
export function peerHeader(peer: PeerLabel): string {
  return `${PEER_HEADER_PREFIX}${peer.key.replaceAll('_', '-')}`;
}

/** Filter state of a fact about the caller, as metrics and access logs read it. */
export function peerState(peer: PeerLabel): string {
  return `lateen.peer_${peer.key}`;
}

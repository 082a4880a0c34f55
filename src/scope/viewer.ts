/**
 * Who looks outbound: all proxies of one namespace see the same mesh, unless a Sidecar object narrows it for some.
 * A viewer is a facet (DESIGN.md section 4): everything outbound is computed once per viewer, however many proxies share it.
 */

/** Keyed by `key`; exists while a connected proxy needs it. */
export interface Viewer {
  /** The namespace, or `namespace/sidecar` where a Sidecar object applies. */
  readonly key: string;
  readonly namespace: string;
}

/** Key of a per-viewer entry. '|' cannot occur in namespaces; names may contain it and stay last. */
export function viewerKey(viewer: string, name: string): string {
  return `${viewer}|${name}`;
}

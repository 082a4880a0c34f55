/**
 * Under which service and revision a workload is counted, whatever it is called: from its labels, else its own name.
 * Source: Istio pkg/kube/labels CanonicalService, CanonicalRevision.
 */
export function canonicalServiceOf(labels: Readonly<Record<string, string>>, workloadName: string): string {
  return (
    labels['service.istio.io/canonical-name'] ??
    labels['app.kubernetes.io/name'] ??
    (labels['app'] || workloadName)
  );
}

/** As `canonicalServiceOf`. */
export function canonicalRevisionOf(labels: Readonly<Record<string, string>>): string {
  return (
    labels['service.istio.io/canonical-revision'] ??
    labels['app.kubernetes.io/version'] ??
    (labels['version'] || 'latest')
  );
}

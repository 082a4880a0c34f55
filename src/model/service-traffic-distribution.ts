/**
 * trafficDistribution: prefer endpoints nearby. Kubernetes' field wins over the annotation of the service, and that
 * over the annotation of the namespace. Source: Istio pilot/pkg/model/service.go GetTrafficDistribution.
 */

const ANNOTATION = 'networking.istio.io/traffic-distribution';

const BY_LOWER_NAME: ReadonlyMap<string, string> = new Map([
  ['preferclose', 'PreferSameZone'],
  ['prefersamezone', 'PreferSameZone'],
  ['prefersamenode', 'PreferSameNode'],
]);

type Annotations = Readonly<Record<string, string>>;

/** `PreferSameZone`, `PreferSameNode`, or '' for any endpoint. An unknown annotation value means any. */
export function trafficDistributionOf(field: string, service: Annotations, namespace: Annotations): string {
  const bySpec = BY_LOWER_NAME.get(field.toLowerCase());
  if (bySpec !== undefined) return bySpec;
  const annotated = service[ANNOTATION] || namespace[ANNOTATION] || '';
  return BY_LOWER_NAME.get(annotated.toLowerCase()) ?? '';
}

/**
 * What Envoy's process finds in its environment: everything that the agent was given (telemetry's environment tags read it), and the
 * facts about its own workload that metrics and peer headers name. Configuration refers to them as `%ENVIRONMENT(LATEEN_…)%`, so that one
 * encoded listener serves many proxies. Every variable is set: Envoy prints a dash for a missing one.
 * Source of the canonical names: Istio pkg/kube/labels CanonicalService, CanonicalRevision.
 */
import { isObject } from './proxy-config.ts';
import type { ProxyNode } from './proxy-node.ts';

const unknown = 'unknown';
/** What may stand in a header and in a label; longer than any Kubernetes label's value is nobody's name. */
const valuePattern = /^[\x21-\x7e]{1,63}$/;

/** Builds the environment of Envoy. */
export function buildEnvoyEnvironment(
  given: ReadonlyMap<string, string>,
  node: ProxyNode,
  namespace: string,
): Readonly<Record<string, string>> {
  const labels = new Map(Object.entries(isObject(node.metadata['LABELS']) ? node.metadata['LABELS'] : {}));
  function pick(fallback: string, ...values: readonly unknown[]): string {
    const value = values.find((one) => typeof one === 'string' && valuePattern.test(one));
    return typeof value === 'string' ? value : fallback;
  }
  const workload = pick(unknown, node.metadata['WORKLOAD_NAME'], node.metadata['NAME']);
  const service = pick(
    workload,
    labels.get('service.istio.io/canonical-name'),
    labels.get('app.kubernetes.io/name'),
    labels.get('app'),
  );
  const revision = pick(
    'latest',
    labels.get('service.istio.io/canonical-revision'),
    labels.get('app.kubernetes.io/version'),
    labels.get('version'),
  );
  return {
    ...Object.fromEntries(given),
    LATEEN_WORKLOAD: workload,
    LATEEN_NAMESPACE: pick(unknown, namespace),
    LATEEN_APP: pick(unknown, labels.get('app')),
    LATEEN_VERSION: pick(unknown, labels.get('version')),
    LATEEN_CANONICAL_SERVICE: service,
    LATEEN_CANONICAL_REVISION: revision,
    LATEEN_CLUSTER: pick('Kubernetes', node.metadata['CLUSTER_ID']),
    LATEEN_MESH_ID: pick(unknown, node.metadata['MESH_ID']),
    DD_SERVICE: given.get('DD_SERVICE') || node.cluster,
    [resourceAttributes]: nameService(given.get(resourceAttributes) ?? '', node.cluster),
  };
}

/** Where OpenTelemetry finds the name of the service that sends spans, besides what a user says there. */
const resourceAttributes = 'OTEL_RESOURCE_ATTRIBUTES';

function nameService(attributes: string, cluster: string): string {
  const given = attributes.split(',').filter((pair) => pair.includes('='));
  if (given.some((pair) => pair.trim().startsWith('service.name=')) || /[,=]/.test(cluster))
    return attributes;
  return [`service.name=${cluster}`, ...given].join(',');
}

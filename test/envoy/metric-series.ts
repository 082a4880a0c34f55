/** The labels that the two test workloads have in istio_* metrics, and reading a metric's series from an Envoy. */
import { waitFor } from './mesh-pair.ts';
import type { StaticEnvoy } from './static-envoy.ts';

export const SOURCE_SIDE = {
  source_workload: 'productpage-v1',
  source_workload_namespace: 'front',
  source_app: 'productpage',
  source_version: 'v1',
  source_canonical_service: 'productpage',
  source_canonical_revision: 'v1',
  source_cluster: 'Kubernetes',
  source_principal: 'spiffe://cluster.local/ns/front/sa/productpage-account',
};
export const DESTINATION_SIDE = {
  destination_workload: 'reviews-v1',
  destination_workload_namespace: 'bookinfo',
  destination_app: 'reviews',
  destination_version: 'v1',
  destination_canonical_service: 'reviews',
  destination_canonical_revision: 'v1',
  destination_cluster: 'Kubernetes',
  destination_principal: 'spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews',
  destination_service: 'reviews.bookinfo.svc.cluster.local',
  destination_service_name: 'reviews',
  destination_service_namespace: 'bookinfo',
};
export const HTTP_OK = {
  request_protocol: 'http',
  response_code: '200',
  response_flags: '-',
  grpc_response_status: '',
};
export const UNKNOWN_SOURCE = {
  ...Object.fromEntries(Object.keys(SOURCE_SIDE).map((label) => [label, 'unknown'])),
  source_canonical_revision: 'latest',
};

export type Labels = Readonly<Record<string, string>>;

/** Series of one metric: labels, and the value. */
export async function series(
  envoy: StaticEnvoy,
  metric: string,
): Promise<readonly (readonly [Labels, number])[]> {
  const text = await envoy.admin('/stats/prometheus');
  return text.split('\n').flatMap((line) => {
    const match = /^envoy_wasmcustom_(\w+)\{(.*)\} (\d+(?:\.\d+)?)$/.exec(line);
    if (match === null || match[1] !== metric) return [];
    const labels: Record<string, string> = {};
    for (const [, name = '', value = ''] of (match[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
      labels[name] = value;
    return [[labels, Number(match[3])] as const];
  });
}

/** Waits for a series with these labels among others; returns all its labels and its value. */
export function findSeries(
  envoy: StaticEnvoy,
  metric: string,
  labels: Labels,
): Promise<readonly [Labels, number]> {
  return waitFor(`${metric} ${JSON.stringify(labels)}`, async () => {
    const all = await series(envoy, metric);
    return all.find(([have]) => Object.entries(labels).every(([name, value]) => have[name] === value));
  });
}

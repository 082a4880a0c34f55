/**
 * Routes and listeners say which clusters and route tables they use, so that the server takes those away last. What they say
 * must be what their content names: one that is left out would be removed under a proxy that still sends requests to it.
 */
import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { JsonValue } from '@bufbuild/protobuf';
import { plainResource } from '../support/mesh-fixture.ts';
import { goldenCases, goldenFeatures } from './golden-case.ts';

/** Clusters that every proxy has as long as it lives. */
const ALWAYS_THERE: readonly string[] = [
  'BlackHoleCluster',
  'PassthroughCluster',
  'InboundPassthroughCluster',
  // In the bootstrap.
  'sds-grpc',
];

/** Fields that hold the name of a cluster (of a gRPC service too) or a route table. */
const NAMING_FIELDS: ReadonlySet<string> = new Set(['cluster', 'clusterName', 'routeConfigName']);

/** Names of clusters and route tables in a listener or route table, at any depth. */
function namesIn(value: JsonValue): string[] {
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(namesIn);
  return Object.entries(value).flatMap(([field, inner]) => {
    if (NAMING_FIELDS.has(field) && typeof inner === 'string') return [inner];
    if (field === 'weightedClusters') return weightedNames(inner);
    return namesIn(inner);
  });
}

function weightedNames(value: JsonValue): string[] {
  const { clusters } = value as unknown as { readonly clusters: readonly { readonly name: string }[] };
  return clusters.map(({ name }) => name);
}

for (const golden of goldenFeatures().flatMap(goldenCases)) {
  test(`references of ${golden.feature}/${golden.name} are complete`, () => {
    const fixture = golden.start();
    const left: string[] = [];
    let seen = 0;
    for (const { name: proxy } of golden.header.proxies) {
      const snapshot = fixture.entries(proxy);
      for (const part of ['listeners', 'routes'] as const) {
        for (const [name, { resource }] of snapshot[part]) {
          const told = new Set([...ALWAYS_THERE, ...(resource.references ?? [])]);
          const used = namesIn(plainResource(part, resource));
          seen += used.length;
          left.push(...used.filter((use) => !told.has(use)).map((use) => `${proxy} ${part} ${name}: ${use}`));
        }
      }
    }
    deepStrictEqual([...new Set(left)], []);
    deepStrictEqual(seen > 0, true);
  });
}

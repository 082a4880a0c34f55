/** What a patch value names: clusters, route tables, secrets. */
import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { valueReferences, valueSecrets } from './envoy-filter-references.ts';

test('clusters and route tables are found wherever they are named', () => {
  const value = {
    route: { cluster: 'a', weightedClusters: { clusters: [{ name: 'b', weight: 1 }, null] } },
    filters: [{ typedConfig: { rds: { route_config_name: 'c' } } }, { cluster: '' }, { cluster: 7 }],
  };
  deepStrictEqual(valueReferences(value), ['a', 'b', 'c']);
});

test('secrets are those that are fetched over ADS, in both spellings', () => {
  const value = {
    tls: [{ name: 'one', sdsConfig: { ads: {} } }],
    other: {
      validation_context_sds_secret_config: {
        name: 'two',
        sds_config: { ads: {}, resource_api_version: 'V3' },
      },
    },
    agent: { name: 'default', sdsConfig: { apiConfigSource: {} } },
    strange: [
      { name: 3, sdsConfig: { ads: {} } },
      { name: 'four', sdsConfig: null },
      { name: 'one', sds_config: { ads: {} } },
    ],
  };
  deepStrictEqual(valueSecrets(value), ['one', 'two']);
});

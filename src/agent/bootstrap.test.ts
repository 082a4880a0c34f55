import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BootstrapSettings } from './bootstrap-settings.ts';
import { defaultStats } from './bootstrap-stats.ts';
import { buildBootstrap } from './bootstrap.ts';
import type { JsonValue } from './json-value.ts';

const settings: BootstrapSettings = {
  node: { id: 'sidecar~1~a.b~c', cluster: 'a.b', metadata: { NAME: 'a' } },
  admin: { address: '127.0.1.1', port: 15000 },
  agentStatus: { address: '127.0.1.1', port: 15020 },
  readiness: { address: '127.0.1.1', port: 15021 },
  xdsSocketPath: 'etc/istio/proxy/XDS',
  sdsSocketPath: './var/run/secrets/workload-spiffe-uds/socket',
  filesSocketPath: undefined,
  upstreamSourceAddress: undefined,
  runtimeValues: new Map(),
  stats: defaultStats,
  serviceClusters: [],
  tracing: {},
  statsSinks: [],
  readinessTakesProxyProtocol: false,
  outlierLogPath: undefined,
};

/** The value at a path such as `static_resources.clusters.0.name`. */
function at(path: string, change: Partial<BootstrapSettings> = {}): JsonValue | undefined {
  let value: unknown = buildBootstrap({ ...settings, ...change });
  for (const key of path.split('.')) value = (value as Record<string, unknown> | undefined)?.[key];
  return value as JsonValue | undefined;
}

describe('the bootstrap', () => {
  it("has Istio's static clusters and where they lead", () => {
    const clusters = at('static_resources.clusters') as readonly { name: string; load_assignment: object }[];
    assert.deepEqual(
      clusters.map((cluster) => cluster.name),
      ['prometheus_stats', 'agent', 'sds-grpc', 'xds-grpc'],
    );
    const endpoint = (index: number) =>
      at(`static_resources.clusters.${index}.load_assignment.endpoints.0.lb_endpoints.0.endpoint.address`);
    assert.deepEqual([0, 1, 2, 3].map(endpoint), [
      { socket_address: { protocol: 'TCP', address: '127.0.1.1', port_value: 15000 } },
      { socket_address: { protocol: 'TCP', address: '127.0.1.1', port_value: 15020 } },
      { pipe: { path: './var/run/secrets/workload-spiffe-uds/socket' } },
      { pipe: { path: 'etc/istio/proxy/XDS' } },
    ]);
  });

  it('asks for everything over one delta stream and waits for it', () => {
    const overAds = { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' };
    assert.deepEqual(
      [at('dynamic_resources.lds_config'), at('dynamic_resources.cds_config')],
      [overAds, overAds],
    );
    assert.equal(at('dynamic_resources.ads_config.api_type'), 'DELTA_GRPC');
  });

  it('lets runtime values change, add and take away flags', () => {
    const runtimeValues = new Map([
      ['re2.max_program_size.error_level', '100'],
      ['overload.global_downstream_max_connections', ''],
      ['envoy.x', 'true'],
      ['__proto__', 'kept'],
    ]);
    assert.deepEqual(Object.entries(at('layered_runtime.layers.0.static_layer', { runtimeValues }) ?? {}), [
      ['re2.max_program_size.error_level', '100'],
      ['envoy.reloadable_features.http_reject_path_with_fragment', false],
      ['envoy.x', true],
      ['__proto__', 'kept'],
    ]);
    assert.equal(Object.entries(at('layered_runtime.layers.0.static_layer') ?? {}).length, 3);
  });

  it('binds outgoing connections only when told where', () => {
    assert.equal(at('cluster_manager'), undefined);
    assert.deepEqual(at('cluster_manager', { upstreamSourceAddress: '127.0.1.1', outlierLogPath: '/log' }), {
      upstream_bind_config: { source_address: { address: '127.0.1.1', port_value: 0 } },
      outlier_detection: { event_log_path: '/log' },
    });
  });

  it('knows its own cluster where it is asked to discover itself', () => {
    const names = (value: string | undefined) => {
      const metadata = value === undefined ? {} : { ENABLE_SELF_DISCOVERY: value };
      const change = { node: { ...settings.node, metadata } };
      const clusters = at('static_resources.clusters', change) as readonly { readonly name: string }[];
      return [clusters.at(-1)?.name, at('cluster_manager.local_cluster_name', change)];
    };
    assert.deepEqual(names('true'), ['local_cluster', 'local_cluster']);
    assert.deepEqual(
      [undefined, 'false'].map((value) => names(value)),
      [
        ['xds-grpc', undefined],
        ['xds-grpc', undefined],
      ],
    );
  });

  it("keeps the statistics that Istio keeps, ours and the user's", () => {
    const stats = {
      ...defaultStats,
      inclusionPrefixes: ['mine'],
      inclusionRegexps: ['r.*'],
      extraStatTags: ['zone'],
      histogramBuckets: new Map([['istiocustom', [1, 2]]]),
    };
    assert.deepEqual(at('stats_config.stats_matcher.inclusion_list.patterns', { stats }), [
      { prefix: 'mine' },
      { prefix: 'cluster_manager' },
      { prefix: 'listener_manager' },
      { prefix: 'server' },
      { prefix: 'cluster.xds-grpc' },
      { prefix: 'wasm' },
      { suffix: 'rbac.allowed' },
      { suffix: 'rbac.denied' },
      { suffix: 'shadow_allowed' },
      { suffix: 'shadow_denied' },
      { safe_regex: { regex: 'r.*' } },
      { safe_regex: { regex: 'vhost\\.*\\.route\\.*' } },
      { prefix: 'reporter=' },
      { prefix: 'component' },
      { prefix: 'istio' },
      { prefix: 'wasmcustom.' },
    ]);
    assert.deepEqual(at('stats_config.histogram_bucket_settings.0', { stats }), {
      match: { prefix: 'wasmcustom' },
      buckets: [1, 2],
    });
    const tags = at('stats_config.stats_tags', { stats }) as readonly { tag_name: string }[];
    assert.ok(tags.some((tag) => tag.tag_name === 'zone'));
  });

  it('is the same for the same settings', () => {
    assert.equal(JSON.stringify(buildBootstrap(settings)), JSON.stringify(buildBootstrap({ ...settings })));
  });
});

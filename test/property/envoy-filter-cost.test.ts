/**
 * What EnvoyFilters cost: a change for one workload reaches that workload alone and leaves of its resources all that no
 * patch means; what equal patches make of one resource is one resource; who is not patched keeps what he had.
 */
import { deepStrictEqual, notStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { diffMaps } from '#collections/persistent-map.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import { type MeshFixture, meshFixture } from '../support/mesh-fixture.ts';

const SERVICES = 300;
const PROXIES = 30;
const PARTS = ['clusters', 'endpoints', 'listeners', 'routes', 'extensions'] as const;

function mesh(): MeshFixture {
  const fixture = meshFixture();
  const services = Array.from(
    { length: SERVICES },
    (_, i) => `
apiVersion: v1
kind: Service
metadata: { name: s${i}, namespace: ns${i % 3} }
spec: { clusterIP: 10.1.${Math.floor(i / 250)}.${(i % 250) + 1}, ports: [{ name: http, port: 80 }, { name: tcp, port: 3306 }] }`,
  );
  fixture.apply(services.join('\n---'));
  for (let i = 0; i < PROXIES; i++) {
    const labels = { app: `a${i}` };
    fixture.connect({ name: `p${i}`, namespace: `ns${i % 3}`, ip: `10.9.0.${i + 1}`, labels });
  }
  fixture.settle();
  return fixture;
}

function envoyFilter(name: string, namespace: string, spec: string): string {
  return `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: ${name}, namespace: ${namespace} }
spec:
${spec.replace(/^/gm, '  ')}`;
}

const timeoutOf = (service: string, timeout: string, selector = ''): string => `
${selector}
configPatches:
  - applyTo: CLUSTER
    match: { context: SIDECAR_OUTBOUND, cluster: { service: ${service} } }
    patch: { operation: MERGE, value: { connect_timeout: ${timeout} } }
`;
const ONE = 'workloadSelector: { labels: { app: a4 } }';

/** Names of resources of a proxy that differ, by part. */
function differences(before: ProxySnapshot, now: ProxySnapshot): string {
  return PARTS.flatMap((part) => {
    const { set, deleted } = diffMaps(
      before[part],
      now[part],
      (a, b) => a.resource.version === b.resource.version,
    );
    return [...set.map(([name]) => name), ...deleted].map((name) => `${part} ${name}`);
  }).join(', ');
}

function snapshotsOf(fixture: MeshFixture): readonly ProxySnapshot[] {
  return Array.from({ length: PROXIES }, (_, i) => fixture.entries(`p${i}`));
}

test('a change for one workload recomputes and sends what it means, and nothing else', () => {
  const fixture = mesh();
  const { engine, graph } = fixture.mesh;
  fixture.apply(envoyFilter('e', 'ns1', timeoutOf('s7.ns1.svc.cluster.local', '1s', ONE)));
  const before = snapshotsOf(fixture);
  const counters = { ...engine.counters };
  const encoded = graph.interner.encoded;
  const changed: string[] = [];
  using _watch = engine.watch(graph.snapshots, (changes) => changed.push(...changes.map(({ key }) => key)));
  fixture.apply(envoyFilter('e', 'ns1', timeoutOf('s7.ns1.svc.cluster.local', '2s', ONE)));
  const now = snapshotsOf(fixture);
  deepStrictEqual(
    now
      .map((snapshot, i) => (snapshot === before[i] ? '' : `p${i}: ${differences(before[i]!, snapshot)}`))
      .filter(Boolean),
    ['p4: clusters outbound|3306||s7.ns1.svc.cluster.local, clusters outbound|80||s7.ns1.svc.cluster.local'],
  );
  strictEqual(changed.length, 1);
  // The object, its compiled form, the facets of its namespace's ten proxies, and one snapshot.
  const recomputed = engine.counters.recomputed - counters.recomputed;
  ok(recomputed <= 2 + PROXIES / 3 + 1, `${recomputed} recomputed`);
  ok(graph.interner.encoded - encoded <= 2, `${graph.interner.encoded - encoded} interned`);
});

test('an EnvoyFilter that goes leaves the resources that were there before it came', () => {
  const fixture = mesh();
  const before = snapshotsOf(fixture);
  const [filter] = fixture.apply(envoyFilter('e', 'ns1', timeoutOf('s7.ns1.svc.cluster.local', '1s', ONE)));
  fixture.settle();
  fixture.remove(filter!);
  const now = snapshotsOf(fixture);
  deepStrictEqual(now.map((snapshot, i) => differences(before[i]!, snapshot)).filter(Boolean), []);
  const name = 'outbound|80||s7.ns1.svc.cluster.local';
  strictEqual(now[4]!.clusters.get(name)!.resource, before[4]!.clusters.get(name)!.resource);
});

test('equal patches from different objects make one resource, whoever looks', () => {
  const fixture = mesh();
  const spec = timeoutOf('s7.ns1.svc.cluster.local', '1s');
  fixture.apply(['ns0', 'ns1'].map((namespace) => envoyFilter('e', namespace, spec)).join('\n---'));
  const name = 'outbound|80||s7.ns1.svc.cluster.local';
  const [a, b, c] = ['p0', 'p1', 'p2'].map((proxy) => fixture.entries(proxy).clusters.get(name)!);
  strictEqual(a!.resource, b!.resource);
  notStrictEqual(a!.resource, c!.resource);
  deepStrictEqual(
    [a, b, c].map((entry) => entry!.causes.filter(({ kind }) => kind === 'EnvoyFilter')),
    [
      [{ kind: 'EnvoyFilter', namespace: 'ns0', name: 'e', path: 'spec.configPatches[0]' }],
      [{ kind: 'EnvoyFilter', namespace: 'ns1', name: 'e', path: 'spec.configPatches[0]' }],
      [],
    ],
  );
});

test('proxies of one viewer share the patched map, and a changed service changes its own clusters in it', () => {
  const fixture = mesh();
  const everything = timeoutOf('', '1s').replace(', cluster: { service:  }', '');
  fixture.apply(envoyFilter('e', 'istio-system', everything));
  const before = [fixture.entries('p0'), fixture.entries('p3')];
  strictEqual(before[0]!.clusters.size, before[1]!.clusters.size);
  fixture.apply(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: d, namespace: ns0 }
spec: { host: s9.ns0.svc.cluster.local, trafficPolicy: { loadBalancer: { simple: RANDOM } } }`);
  const now = [fixture.entries('p0'), fixture.entries('p3')];
  const wanted =
    'clusters outbound|3306||s9.ns0.svc.cluster.local, clusters outbound|80||s9.ns0.svc.cluster.local';
  deepStrictEqual(
    now.map((snapshot, i) => differences(before[i]!, snapshot)),
    [wanted, wanted],
  );
  const name = 'outbound|80||s1.ns1.svc.cluster.local';
  strictEqual(now[0]!.clusters.get(name), before[0]!.clusters.get(name));
});

test('filters for inbound connections leave every outbound part the map that it was', () => {
  const fixture = mesh();
  const before = fixture.entries('p4');
  fixture.apply(
    envoyFilter(
      'lua',
      'ns1',
      `${ONE}
configPatches:
  - applyTo: HTTP_FILTER
    match: { context: SIDECAR_INBOUND }
    patch:
      operation: INSERT_FIRST
      value:
        name: lua
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
          default_source_code: { inline_string: "function envoy_on_request(handle) end" }`,
    ),
  );
  const now = fixture.entries('p4');
  strictEqual(now.routes, before.routes);
  strictEqual(now.endpoints, before.endpoints);
  deepStrictEqual(differences(before, now), 'listeners virtualInbound');
});

/**
 * PILOT_FILTER_GATEWAY_CLUSTER_CONFIG: gateways get the clusters that they route to, and those that mesh config and EnvoyFilters
 * name for them. What a route or listener names is there whenever it would be there without the flag.
 */
import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { type MeshFixture, meshFixture } from '../support/mesh-fixture.ts';

const FLAGS = { ...DEFAULT_MESH_FLAGS, filtersGatewayClusters: true };

/** Services a to h, in default but for h. */
const SERVICES = [...'abcdefgh']
  .map(
    (name) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: ${name === 'h' ? 'other' : 'default'}}
spec:
  hosts: [${name}.test]
  resolution: ${name === 'g' ? 'DNS' : 'STATIC'}
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: ${name === 'g' ? 'g.example.com' : '10.0.0.1'}}]
`,
  )
  .join('---');

const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
    - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}
    - {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ['*']}
`;

function virtualService(name: string, spec: string, gateway = 'istio-system/g'): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec: {hosts: [${name}.example.com], gateways: [${gateway}], ${spec}}
`;
}

const to = (host: string): string => `{destination: {host: ${host}.test}}`;
const sendTo = (host: string): string => `http: [{route: [${to(host)}]}]`;

/** A mesh with a gateway and a sidecar. */
function start(config: object, ...documents: readonly string[]): MeshFixture {
  const fixture = meshFixture({ flags: FLAGS });
  for (const yaml of [SERVICES, GATEWAY, ...documents]) fixture.apply(yaml);
  fixture.configure(config);
  fixture.connect({
    name: 'edge',
    type: 'router',
    namespace: 'istio-system',
    labels: { istio: 'ingressgateway' },
    locality: { region: 'r' },
  });
  fixture.connect({ name: 'app', ip: '10.9.0.8' });
  return fixture;
}

/** Letters of the services that the proxy has clusters of. */
function hostsOf(fixture: MeshFixture, proxy = 'edge'): string {
  const names = [...fixture.entries(proxy).clusters.keys()];
  return names.flatMap((name) => /\|([a-h])\.test$/.exec(name)?.[1] ?? []).join('');
}

const filter = (services: string, labels: string): string => `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: f, namespace: istio-system, annotations: {envoyfilter.istio.io/referenced-services: '${services}'}}
spec:
  workloadSelector: {labels: {${labels}}}
  configPatches:
    - {applyTo: CLUSTER, match: {context: GATEWAY}, patch: {operation: MERGE, value: {connect_timeout: 3s}}}
`;

const CASES: readonly (readonly [string, object, readonly string[], string])[] = [
  ['nothing without routes', {}, [], ''],
  ['destinations of routes', {}, [virtualService('x', sendTo('a')), virtualService('w', sendTo('c'))], 'ac'],
  [
    'each destination by weight, and mirrors',
    {},
    [
      virtualService(
        'x',
        `http: [{route: [{destination: {host: a.test}, weight: 50}, {destination: {host: b.test}, weight: 50}], mirrors: [{destination: {host: c.test}}]}]`,
      ),
    ],
    'abc',
  ],
  [
    'destinations of byte streams',
    {},
    [virtualService('x', `tcp: [{match: [{port: 9000}], route: [${to('e')}]}]`)],
    'e',
  ],
  ['hosts that Envoy resolves', {}, [virtualService('x', sendTo('g'))], 'g'],
  ['not what routes of other gateways lead to', {}, [virtualService('x', sendTo('a'), 'default/other')], ''],
  ['not what routes of the mesh lead to', {}, [virtualService('x', sendTo('a'), 'mesh')], ''],
  [
    'destinations of delegates',
    {},
    [
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root}
spec: {hosts: [root.example.com], gateways: [istio-system/g], http: [{delegate: {name: leaf}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: leaf}
spec: {${sendTo('f')}}
`,
    ],
    'f',
  ],
  [
    'services of extension providers, in their namespace if it is said',
    {
      extensionProviders: [
        { name: 'one', envoyExtAuthzHttp: { service: 'a.test', port: 80 } },
        { name: 'two', envoyExtAuthzGrpc: { service: 'default/b.test', port: 80 } },
        { name: 'three', zipkin: { service: 'default/h.test', port: 80 } },
      ],
    },
    [],
    'ab',
  ],
  [
    'services that EnvoyFilters say they use',
    {},
    [filter('c.test,other/h.test,default/h.test', 'istio: ingressgateway')],
    'ch',
  ],
  ['not those of EnvoyFilters for others', {}, [filter('c.test', 'app: x')], ''],
];

for (const [what, config, documents, expected] of CASES) {
  test(`gateways have clusters of what they use alone: ${what}`, () => {
    const fixture = start(config, ...documents);
    strictEqual(hostsOf(fixture), expected);
    ok(fixture.entries('edge').clusters.has('BlackHoleCluster'));
    strictEqual(hostsOf(fixture, 'app'), 'abcdefgh');
  });
}

test("a DNS cluster in the form for the gateway's place stays out as well", () => {
  const rule = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: g}
spec: {host: g.test, trafficPolicy: {outlierDetection: {interval: 5s}}}
`;
  strictEqual(hostsOf(start({}, rule)), '');
  strictEqual(hostsOf(start({}, rule, virtualService('x', sendTo('g')))), 'g');
});

test('an alias brings the service that it stands for', () => {
  const alias = `
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: a.test, ports: [{name: http, port: 80}]}
`;
  const route = virtualService('x', 'http: [{route: [{destination: {host: alias}}]}]');
  strictEqual(hostsOf(start({}, alias, route)), 'a');
});

test('routes that come, change and go take their clusters with them, and others cost nothing', () => {
  const fixture = start({}, virtualService('x', sendTo('a')), virtualService('w', sendTo('a')));
  strictEqual(hostsOf(fixture), 'a');
  const before = fixture.entries('edge').clusters;
  fixture.apply(virtualService('z', sendTo('b'), 'mesh'));
  strictEqual(fixture.entries('edge').clusters, before);
  fixture.apply(virtualService('x', `http: [{timeout: 3s, route: [${to('a')}]}]`));
  strictEqual(fixture.entries('edge').clusters, before);
  fixture.apply(virtualService('x', sendTo('b')));
  strictEqual(hostsOf(fixture), 'ab');
  fixture.remove({ kind: 'VirtualService', namespace: 'default', name: 'w' });
  strictEqual(hostsOf(fixture), 'b');
});

test('a changed destination among a thousand routes costs its own host', () => {
  const fixture = meshFixture({ flags: FLAGS });
  fixture.apply(GATEWAY);
  for (let i = 0; i < 1_000; i++) {
    fixture.apply(
      SERVICES.split('---')[0]?.replaceAll('name: a,', `name: s${i},`).replace('a.test', `s${i}.test`) ?? '',
    );
    fixture.apply(virtualService(`v${i}`, sendTo(`s${i}`)));
  }
  fixture.connect({
    name: 'edge',
    type: 'router',
    namespace: 'istio-system',
    labels: { istio: 'ingressgateway' },
  });
  const clusters = () => [...fixture.entries('edge').clusters.keys()].filter((name) => name.includes('|'));
  strictEqual(clusters().length, 1_000);
  const { counters } = fixture.mesh.engine;
  const atFirst = counters.recomputed;
  fixture.apply(virtualService('v7', sendTo('s8')));
  deepStrictEqual(clusters().includes('outbound|80||s7.test'), false);
  ok(counters.recomputed - atFirst < 40, `${counters.recomputed - atFirst} recomputed`);
});

import { deepStrictEqual } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseDocuments } from '#api/yaml-documents.ts';
import { decodeObject } from '#api/decode-object.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { TrafficExtensionSpec } from '#api/traffic-extension.ts';
import type { WasmPluginSpec } from '#api/wasm-plugin.ts';
import { createEngine } from '#collections/engine.ts';
import type { PolicySubject } from '#model/policy-target.ts';
import { createTrafficExtensionModel } from '#model/traffic-extension.ts';
import { isForListener, type WorkloadExtensions, workloadExtensions } from './extension.ts';

/** What a workload gets of these objects, `kind name {metadata} spec` each. */
function extensionsOf(subject: Partial<PolicySubject>, ...objects: readonly string[]): WorkloadExtensions {
  const engine = createEngine();
  const trafficExtensions = engine.source<MeshObject<TrafficExtensionSpec>>('TrafficExtension');
  const wasmPlugins = engine.source<MeshObject<WasmPluginSpec>>('WasmPlugin');
  const model = createTrafficExtensionModel(engine, trafficExtensions, wasmPlugins);
  for (const text of objects) {
    const [document] = parseDocuments(`{apiVersion: extensions.istio.io/v1alpha1, ${text}}`, 'test.yaml');
    const { object } = decodeObject(document?.value, { defaultNamespace: 'default' });
    if (object === undefined) throw new Error(`refused: ${text}`);
    const key = `${object.namespace}/${object.name}`;
    if (object.kind === 'WasmPlugin') wasmPlugins.set(key, object as MeshObject<WasmPluginSpec>);
    else trafficExtensions.set(key, object as MeshObject<TrafficExtensionSpec>);
  }
  const workloads = engine.source<PolicySubject>('workloads');
  const found = engine.derive('found', workloads, (fetch, workload) =>
    workloadExtensions(fetch, model, { rootNamespace: 'istio-system' }, workload),
  );
  workloads.set('one', { namespace: 'default', labels: { app: 'a' }, ...subject });
  engine.settle();
  return found.get('one') as WorkloadExtensions;
}

function plugin(name: string, spec = '', metadata = ''): string {
  return `kind: WasmPlugin, metadata: {name: ${name}, ${metadata}}, spec: {url: "file:///x", ${spec}}`;
}

function script(name: string, spec = '', metadata = ''): string {
  return `kind: TrafficExtension, metadata: {name: ${name}, ${metadata}}, spec: {lua: {inlineCode: x}, ${spec}}`;
}

function names({ causes }: WorkloadExtensions): string {
  return causes.map(({ kind, namespace, name }) => `${kind}/${namespace}/${name}`).join(' ');
}

const ROOT = 'namespace: istio-system';
const GATEWAY_LABELS = { 'gateway.networking.k8s.io/gateway-name': 'g' };
const ORDERS: readonly (readonly [name: string, objects: readonly string[], expected: string])[] = [
  [
    'phases stand in their order, what has none last',
    [
      script('none'),
      script('s', 'phase: STATS'),
      script('z', 'phase: AUTHZ'),
      script('first', 'phase: AUTHN'),
    ],
    'first z s none',
  ],
  [
    'a higher priority comes first, none last of all',
    [
      script('a'),
      script('low', 'priority: -5'),
      script('zero', 'priority: 0'),
      script('high', 'priority: 9'),
    ],
    'high zero low a',
  ],
  [
    "the workload's namespace comes before the root one, whatever the age",
    [
      script('root', '', `${ROOT}, creationTimestamp: "2020-01-01T00:00:00Z"`),
      script('own', '', 'creationTimestamp: "2024-01-01T00:00:00Z"'),
    ],
    'own root',
  ],
  [
    'the older comes first, then the name decides',
    [
      script('b', '', 'creationTimestamp: "2024-01-02T00:00:00Z"'),
      script('a', '', 'creationTimestamp: "2024-01-02T00:00:00Z"'),
      script('z', '', 'creationTimestamp: "2024-01-01T00:00:00Z"'),
    ],
    'z a b',
  ],
  [
    'selectors choose, in the root namespace too',
    [
      script('own', 'selector: {matchLabels: {app: a}}'),
      script('not', 'selector: {matchLabels: {app: b}}'),
      script('far', 'selector: {matchLabels: {app: a}}', ROOT),
    ],
    'own far',
  ],
  ['another namespace is another matter', [script('x', '', 'namespace: shop')], ''],
];

describe('the extensions of a workload', () => {
  for (const [name, objects, expected] of ORDERS) {
    it(name, () => {
      const found = extensionsOf({}, ...objects);
      deepStrictEqual(found.causes.map((cause) => cause.name).join(' '), expected);
    });
  }

  it('come from both kinds, which may share a name', () => {
    const found = extensionsOf({}, plugin('x'), script('x'));
    deepStrictEqual(
      [names(found), found.configured, found.facet.map(({ name }) => name)],
      [
        'TrafficExtension/default/x WasmPlugin/default/x',
        ['default/x~istio-translated-wasmplugin'],
        [
          'extensions.istio.io/trafficextension/default.x',
          'extensions.istio.io/trafficextension/default.x~istio-translated-wasmplugin',
        ],
      ],
    );
  });

  it('with targets are for those Gateways only', () => {
    const target = '{group: gateway.networking.k8s.io, kind: Gateway, name: g}';
    const objects = [plugin('one', `targetRef: ${target}`), script('many', `targetRefs: [${target}]`)];
    deepStrictEqual(names(extensionsOf({}, ...objects)), '');
    deepStrictEqual(
      names(extensionsOf({ labels: GATEWAY_LABELS }, ...objects)),
      'TrafficExtension/default/many WasmPlugin/default/one',
    );
  });

  const TRAFFIC: readonly (readonly [match: string, expected: string])[] = [
    ['[]', 'C80 C0 S80 S90 S0'],
    ['[{}]', 'C80 C0 S80 S90 S0'],
    ['[{mode: CLIENT}]', 'C80 C0'],
    ['[{mode: SERVER}]', 'S80 S90 S0'],
    ['[{mode: CLIENT_AND_SERVER, ports: [{number: 80}]}]', 'C80 S80'],
    ['[{mode: SERVER, ports: [{number: 90}, {number: 80}]}]', 'S80 S90'],
    ['[{mode: SERVER, ports: [{number: 90}]}, {mode: CLIENT}]', 'C80 C0 S90'],
  ];
  for (const [match, expected] of TRAFFIC) {
    it(`match ${match} is for ${expected}`, () => {
      const [one] = extensionsOf({}, script('x', `match: ${match}`)).facet;
      const places = [
        ['CLIENT', 80],
        ['CLIENT', 0],
        ['SERVER', 80],
        ['SERVER', 90],
        ['SERVER', 0],
      ] as const;
      const met = places.filter(([side, port]) => one !== undefined && isForListener(one, side, port));
      deepStrictEqual(met.map(([side, port]) => `${side[0]}${port}`).join(' '), expected);
    });
  }
});

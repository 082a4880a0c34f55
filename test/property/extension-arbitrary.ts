/** Random WasmPlugins and TrafficExtensions, and the Secrets that they pull with. */
import fc from 'fast-check';
import { few, type Manifest, manifests, portNumber, selector, some } from './mesh-names.ts';

const phase = fc.constantFrom('AUTHN', 'AUTHZ', 'STATS');
const target = fc.oneof(
  some({ selector: selector.map((matchLabels) => ({ matchLabels })) }),
  fc.constant({ targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'a' }] }),
);
const place = some({
  phase,
  priority: fc.integer({ min: -1, max: 2 }),
  match: few(
    some({
      mode: fc.constantFrom('CLIENT', 'SERVER', 'CLIENT_AND_SERVER'),
      ports: few(portNumber).map((numbers) => numbers.map((number) => ({ number }))),
    }),
  ),
});

const moduleSettings = some({
  pluginConfig: fc.constantFrom({ b: 1, a: { d: [true], c: 'x' } }, {}),
  pluginName: fc.constant('root'),
  failStrategy: fc.constantFrom('FAIL_CLOSE', 'FAIL_OPEN', 'FAIL_RELOAD'),
  type: fc.constantFrom('HTTP', 'NETWORK'),
  imagePullPolicy: fc.constantFrom('IfNotPresent', 'Always'),
  imagePullSecret: fc.constantFrom('a', 'b'),
  vmConfig: fc.constantFrom(
    {
      env: [
        { name: 'Z', value: '1' },
        { name: 'A', value: '2' },
      ],
    },
    { env: [{ name: 'H', valueFrom: 'HOST' }] },
  ),
});
const module = fc
  .tuple(
    fc.constantFrom('file:///a.wasm', 'oci://registry.example/a:1', 'http://x.example/a.wasm'),
    moduleSettings,
  )
  .map(([url, settings]) => ({ url, ...settings }));
const script = fc.constantFrom('-- one', '-- two').map((inlineCode) => ({ lua: { inlineCode } }));

const wasmPlugin = fc.tuple(target, place, module).map((parts) => Object.assign({}, ...parts));
const trafficExtension = fc
  .tuple(
    target,
    place,
    fc.oneof(
      module.map((wasm) => ({ wasm })),
      script,
    ),
  )
  .map((parts) => Object.assign({}, ...parts));

const secret = fc.constantFrom('one', 'two').map((text) => ({
  type: 'kubernetes.io/dockerconfigjson',
  data: { '.dockerconfigjson': Buffer.from(`{"auths":{"${text}":{}}}`).toString('base64') },
}));

const API_VERSION = 'extensions.istio.io/v1alpha1';

export const EXTENSION_KINDS: readonly (readonly [number, fc.Arbitrary<Manifest>])[] = [
  [
    3,
    manifests(
      API_VERSION,
      'WasmPlugin',
      wasmPlugin.map((spec) => ({ spec })),
    ),
  ],
  [
    3,
    manifests(
      API_VERSION,
      'TrafficExtension',
      trafficExtension.map((spec) => ({ spec })),
    ),
  ],
  [1, manifests('v1', 'Secret', secret)],
];

import { deepStrictEqual, match, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import { MeshConfigLayers, MeshNetworksText } from './mesh-config-layers.ts';

test("the mesh's own config lies over the shared one, that over the defaults, and aliases and metadata are joined", () => {
  const layers = new MeshConfigLayers();
  layers.set(
    'own',
    'trustDomain: own\ntrustDomainAliases: [a]\ndefaultConfig: { proxyMetadata: { A: own, B: own } }',
    'own',
  );
  layers.set(
    'shared',
    'trustDomain: shared\nconnectTimeout: 3s\ntrustDomainAliases: [b]\ndefaultConfig: { proxyMetadata: { A: shared, C: shared } }',
    'shared',
  );
  const { trustDomain, connectTimeout, trustDomainAliases, defaultConfig, proxyListenPort } = layers.config;
  deepStrictEqual(
    [trustDomain, connectTimeout, trustDomainAliases, { ...defaultConfig.proxyMetadata }, proxyListenPort],
    ['own', '3s', ['a', 'b'], { A: 'own', B: 'own', C: 'shared' }, 15001],
  );
  layers.set('own', undefined, 'own');
  deepStrictEqual([layers.config.trustDomain, layers.config.trustDomainAliases], ['shared', ['b']]);
});

const BAD: readonly (readonly [string, string, RegExp])[] = [
  ['no YAML', 'a: [', /^mesh\.yaml:1:\d+: error LTN1001/],
  ['a value that cannot be', 'connectTimeout: 2h\ntrustDomain: new', /^mesh\.yaml:1:17: error LTN2032/],
  ['a wrong type', 'trustDomain: new\nproxyListenPort: [1]', /^mesh\.yaml:2:\d+: error LTN10/],
];

for (const [what, text, told] of BAD) {
  test(`a config with ${what} is told with its place, and the last good one stays`, () => {
    const layers = new MeshConfigLayers();
    layers.set('own', 'trustDomain: good', 'mesh.yaml');
    const before = layers.config;
    match(layers.set('own', text, 'mesh.yaml').map(printDiagnostic).join('\n'), told);
    strictEqual(layers.config, before);
    layers.set('own', 'trustDomain: better', 'mesh.yaml');
    strictEqual(layers.config.trustDomain, 'better');
  });
}

test('a field that is not known is told, and the others count', () => {
  const layers = new MeshConfigLayers();
  const found = layers.set('own', 'trustDomain: a\nfieldOfTomorrow: 1', 'mesh.yaml');
  deepStrictEqual([found.map(({ code }) => code), layers.config.trustDomain], [['LTN1002'], 'a']);
});

test('an equal config is the same object', () => {
  const layers = new MeshConfigLayers();
  layers.set('own', 'trustDomain: a', 'm');
  const before = layers.config;
  layers.set('own', '# a comment\ntrustDomain: "a"', 'm');
  strictEqual(layers.config, before);
});

test('of networks too the last good ones stay', () => {
  const networks = new MeshNetworksText();
  networks.set('networks: { n1: { endpoints: [{ fromRegistry: c1 }], gateways: [] } }', 'n');
  const before = networks.networks;
  deepStrictEqual(Object.keys(before.networks ?? {}), ['n1']);
  strictEqual(networks.set('networks: { n2: { gateways: [{ address: a.b }] } }', 'n').length, 1);
  strictEqual(networks.networks, before);
  networks.set(undefined, 'n');
  deepStrictEqual(networks.networks, {});
});

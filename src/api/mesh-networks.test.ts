import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { parseMeshNetworks } from './mesh-networks.ts';

const network = (endpoint: object, gateway: object): object => ({
  networks: { n1: { endpoints: [endpoint], gateways: [gateway] } },
});

test('networks are read with their endpoints and gateways', () => {
  const value = network({ fromRegistry: 'Kubernetes' }, { address: '1.1.1.1', port: 80, locality: 'r/z' });
  deepStrictEqual(JSON.parse(JSON.stringify(parseMeshNetworks(value))), { networks: value, diagnostics: [] });
});

test('nothing is no network', () => {
  deepStrictEqual(parseMeshNetworks(undefined), { networks: {}, diagnostics: [] });
});

const refused: readonly (readonly [string, object, string])[] = [
  [
    'a range',
    network({ fromCidr: '10.0.0.0/99' }, { address: 'a.b', port: 1 }),
    'networks.n1.endpoints[0].fromCidr',
  ],
  [
    'a registry',
    network({ fromRegistry: 'a.b' }, { address: 'a.b', port: 1 }),
    'networks.n1.endpoints[0].fromRegistry',
  ],
  ['an address', network({}, { address: 'a b', port: 1 }), 'networks.n1.gateways[0].address'],
  [
    'a service',
    network({}, { registryServiceName: 'a..b', port: 1 }),
    'networks.n1.gateways[0].registryServiceName',
  ],
  ['a port', network({}, { address: 'a.b' }), 'networks.n1.gateways[0].port'],
  ['an unknown field', { networks: { n1: { gateway: [] } } }, 'networks.n1.gateway'],
];

for (const [what, value, path] of refused) {
  test(`networks with ${what} that cannot be are refused, with the path`, () => {
    const { networks, diagnostics } = parseMeshNetworks(value);
    deepStrictEqual([networks, diagnostics.map((one) => one.path)], [undefined, [path]]);
  });
}

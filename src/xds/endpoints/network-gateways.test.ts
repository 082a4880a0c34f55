import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { NetworkGateway } from '#model/network.ts';
import type { LabelledGroup, LbEndpointInput } from './locality-group.ts';
import { acrossNetworks, type NetworkClient } from './network-gateways.ts';

interface Member {
  readonly address: string;
  readonly network: string;
  readonly cluster?: string;
  readonly plain?: boolean;
}

const LOCALITY = { region: 'r', zone: 'z', subzone: '' };

function group(...members: readonly Member[]): LabelledGroup {
  const endpoints = members.map(
    ({ address, plain }) =>
      ({ address, port: 80, weight: 1, health: 'healthy', isMutualTls: plain !== true }) as LbEndpointInput,
  );
  return {
    locality: LOCALITY,
    priority: 0,
    weight: endpoints.length,
    endpoints,
    labels: members.map(() => ({})),
    places: members.map(({ network, cluster = 'c1' }) => ({ network, cluster })),
  };
}

function gateway(address: string, network: string, cluster = ''): NetworkGateway {
  return { address, network, cluster, port: 15443 };
}

const LOCAL: NetworkClient = { network: 'n1', ipFamilies: 'v4' };

function reached(members: readonly Member[], gateways: readonly NetworkGateway[], client = LOCAL): unknown {
  const [only] = acrossNetworks([group(...members)], { gateways }, client);
  return only?.endpoints.map(({ address, port, weight }) => `${address}:${port} ${weight}`);
}

const NEAR: Member = { address: '10.0.0.1', network: 'n1' };
const FAR: Member = { address: '10.0.0.2', network: 'n2' };
const ALSO_FAR: Member = { address: '10.0.0.3', network: 'n2', cluster: 'c2' };

const CASES: readonly (readonly [
  string,
  readonly Member[],
  readonly NetworkGateway[],
  NetworkClient,
  unknown,
])[] = [
  ['without gateways all are reached directly', [NEAR, FAR], [], LOCAL, ['10.0.0.1:80 1', '10.0.0.2:80 1']],
  [
    'a gateway stands for those behind it, with their weight',
    [NEAR, FAR, ALSO_FAR],
    [gateway('192.0.2.1', 'n2')],
    LOCAL,
    ['10.0.0.1:80 1', '192.0.2.1:15443 2'],
  ],
  [
    'several gateways share the weight in whole numbers',
    [NEAR, FAR],
    [gateway('192.0.2.1', 'n2'), gateway('192.0.2.2', 'n2')],
    LOCAL,
    ['10.0.0.1:80 2', '192.0.2.1:15443 1', '192.0.2.2:15443 1'],
  ],
  [
    'the gateway in the cluster of the endpoint is the way',
    [ALSO_FAR],
    [gateway('192.0.2.1', 'n2', 'c1'), gateway('192.0.2.2', 'n2', 'c2')],
    LOCAL,
    ['192.0.2.2:15443 2'],
  ],
  [
    'plain text does not get through a gateway',
    [NEAR, { ...FAR, plain: true }],
    [gateway('192.0.2.1', 'n2')],
    LOCAL,
    ['10.0.0.1:80 1'],
  ],
  [
    'a network without a gateway is taken to be reached directly',
    [FAR],
    [gateway('192.0.2.1', 'n3')],
    LOCAL,
    ['10.0.0.2:80 1'],
  ],
  [
    'an endpoint without an address is reached by a gateway or not at all',
    [
      { address: '', network: 'n2' },
      { address: '', network: 'n1' },
    ],
    [gateway('192.0.2.1', 'n2')],
    LOCAL,
    ['192.0.2.1:15443 1'],
  ],
  [
    'a client that does not know its network takes the gateway',
    [FAR],
    [gateway('192.0.2.1', 'n2')],
    { network: '', ipFamilies: 'v4' },
    ['192.0.2.1:15443 1'],
  ],
  ['a gateway of the other address family is no way', [FAR], [gateway('2001:db8::1', 'n2')], LOCAL, []],
];

for (const [sentence, members, gateways, client, expected] of CASES) {
  test(sentence, () => deepStrictEqual(reached(members, gateways, client), expected));
}

import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { type ListenerFacts, meshListenerFacts } from '#scope/listener-facts.ts';
import { NO_EXTENSIONS } from '#xds/extensions/listener-extensions.ts';
import { buildHttpProxyListener, buildVirtualOutbound } from './virtual-outbound.ts';

const FACTS = meshListenerFacts({}, DEFAULT_MESH_FLAGS);

function addressOf({ address }: Listener): string {
  const socket = address?.address;
  if (socket?.case !== 'socketAddress') return '';
  const { address: ip, portSpecifier } = socket.value;
  return `${ip}:${portSpecifier.value}`;
}

/** The chains of the listener by name, with the port that they match on and the cluster at their end. */
function chainsOf(listener: Listener) {
  return listener.filterChains.map(({ name, filterChainMatch, filters }) => {
    const last = filters.at(-1)?.configType;
    const text = last?.case === 'typedConfig' ? Buffer.from(last.value.value).toString('latin1') : '';
    const cluster = /PassthroughCluster|BlackHoleCluster|outbound\|[\w|.]+|AllowAnyDynamicDNSCluster/.exec(
      text,
    );
    return [name, filterChainMatch?.destinationPort, cluster?.[0]];
  });
}

const EGRESS = { hostname: 'egress.example.com', port: 443, subset: '' };
const POLICIES: readonly (readonly [Partial<ListenerFacts>, string])[] = [
  [{ outboundPolicy: 'ALLOW_ANY' }, 'PassthroughCluster'],
  [{ outboundPolicy: 'REGISTRY_ONLY' }, 'BlackHoleCluster'],
  [{ outboundPolicy: 'ALLOW_ANY', egressProxy: EGRESS }, 'outbound|443||egress.example.com'],
];

for (const [policy, cluster] of POLICIES) {
  it(`virtualOutbound hands connections on, and under ${JSON.stringify(policy)} the rest goes to ${cluster}`, () => {
    const facts = { ...FACTS, ...policy, outboundPort: 15101 };
    const listener = buildVirtualOutbound({ facts, transparent: false });
    deepStrictEqual(
      {
        address: addressOf(listener),
        handsOn: listener.useOriginalDst,
        transparent: listener.transparent,
        chains: chainsOf(listener),
      },
      {
        address: '0.0.0.0:15101',
        handsOn: true,
        transparent: undefined,
        // A connection to the listener's own port would come back to it for ever.
        chains: [
          ['virtualOutbound-blackhole', 15101, 'BlackHoleCluster'],
          ['virtualOutbound-catchall-tcp', undefined, cluster],
        ],
      },
    );
  });
}

it('under ALLOW_ANY_DYNAMIC_DNS plain HTTP is seen, and its host is looked up', () => {
  const facts: ListenerFacts = { ...FACTS, outboundPolicy: 'ALLOW_ANY_DYNAMIC_DNS' };
  const listener = buildVirtualOutbound({ facts, transparent: false });
  deepStrictEqual(chainsOf(listener).slice(1), [
    ['virtualOutbound-catchall-tcp-http', undefined, 'AllowAnyDynamicDNSCluster'],
    ['virtualOutbound-catchall-tcp', undefined, 'PassthroughCluster'],
  ]);
  deepStrictEqual(
    [
      listener.listenerFilters.map(({ name }) => name.split('.').at(-1)),
      listener.filterChains[1]?.filterChainMatch?.applicationProtocols,
    ],
    [['http_inspector'], ['http/1.1', 'h2c']],
  );
});

it('listens on the addresses of the proxy’s families, and lets the client’s address through where it is asked to', () => {
  const flags = { ...FACTS.flags, dualStack: true };
  const shapes: readonly Partial<ListenerFacts>[] = [
    { ipFamilies: 'v6' },
    { ipFamilies: 'dual' },
    { ipFamilies: 'dual', flags },
  ];
  deepStrictEqual(
    shapes.map((shape) => {
      const listener = buildVirtualOutbound({ facts: { ...FACTS, ...shape }, transparent: true });
      return [addressOf(listener), listener.additionalAddresses.length, listener.transparent];
    }),
    [
      [':::15001', 0, true],
      ['0.0.0.0:15001', 0, true],
      ['0.0.0.0:15001', 1, true],
    ],
  );
});

it('the HTTP proxy listener is bound where it is told, and takes anything', () => {
  const listener = buildHttpProxyListener({
    facts: FACTS,
    address: '127.4.0.2',
    port: 15080,
    extensions: NO_EXTENSIONS,
  });
  deepStrictEqual(
    [
      listener.name,
      addressOf(listener),
      listener.bindToPort,
      listener.filterChains.map(({ filterChainMatch }) => filterChainMatch),
    ],
    ['127.4.0.2_15080', '127.4.0.2:15080', undefined, [undefined]],
  );
});

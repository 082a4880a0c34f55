import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { NO_EXTENSIONS } from '#xds/extensions/listener-extensions.ts';
import { buildHttpProxyListener, buildVirtualOutbound } from './virtual-outbound.ts';

const FACTS: ListenerFacts = {
  trustDomains: ['cluster.local'],
  rootNamespace: 'istio-system',
  outboundPort: 15001,
  inboundPort: 15006,
  httpProxyPort: 0,
  outboundPolicy: 'ALLOW_ANY',
  pathNormalization: 'BASE',
  accessLog: { file: '', format: '', encoding: 'TEXT' },
  minimumTlsVersion: 'TLSv1_2',
  connectTimeoutMs: 10_000,
};

function addressOf({ address }: Listener): string {
  const socket = address?.address;
  if (socket?.case !== 'socketAddress') return '';
  const { address: ip, portSpecifier } = socket.value;
  return `${ip}:${portSpecifier.value}`;
}

for (const [outboundPolicy, last] of [
  ['ALLOW_ANY', 'virtualOutbound-catchall-tcp'],
  ['REGISTRY_ONLY', 'virtualOutbound-blackhole-tcp'],
] as const) {
  it(`virtualOutbound hands connections on, and under ${outboundPolicy} ends in ${last}`, () => {
    const listener = buildVirtualOutbound({ ...FACTS, outboundPolicy, outboundPort: 15101 });
    deepStrictEqual(
      {
        address: addressOf(listener),
        handsOn: listener.useOriginalDst,
        chains: listener.filterChains.map(({ name, filterChainMatch }) => [
          name,
          filterChainMatch?.destinationPort,
        ]),
      },
      {
        address: '0.0.0.0:15101',
        handsOn: true,
        // A connection to the listener's own port would come back to it for ever.
        chains: [
          ['virtualOutbound-blackhole', 15101],
          [last, undefined],
        ],
      },
    );
  });
}

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

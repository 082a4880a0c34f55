import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import type { MutualTlsMode } from '#model/peer-authentication.ts';
import type { Protocol } from '#model/service.ts';
import type {
  ListenerFilter,
  ListenerFilterChainMatchPredicate,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Inbound, InboundPort } from '#scope/inbound.ts';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { type ListenerFacts, meshListenerFacts } from '#scope/listener-facts.ts';
import { buildInboundListeners } from './inbound-listener.ts';

const FACTS = meshListenerFacts({}, DEFAULT_MESH_FLAGS);

function port(
  number: number,
  protocol: Protocol,
  mode: MutualTlsMode,
  more: Partial<InboundPort> = {},
): InboundPort {
  return {
    port: number,
    destination: { kind: 'original' },
    servicePort: 80,
    statName: '',
    protocol,
    mode,
    bind: '0.0.0.0',
    isBound: false,
    hostname: '',
    services: [],
    tls: undefined,
    connectionPool: undefined,
    ...more,
  };
}

function build(overrides: Partial<Inbound>, facts: ListenerFacts = FACTS) {
  const base: Inbound = {
    interception: 'REDIRECT',
    mode: 'PERMISSIVE',
    passthroughPorts: [],
    ports: [],
    namespace: 'default',
    labels: {},
  };
  const policies = { trustDomains: [], policies: [], mayAskSeveral: false, authorizers: [], tokenRules: [] };
  const tlsDefaults = { minimumVersion: '', cipherSuites: [], ecdhCurves: [] };
  return buildInboundListeners({
    inbound: { ...base, ...overrides },
    facts,
    policies,
    extensions: [],
    tlsDefaults,
  });
}

/** Listener filters as `name`, `name but 1,2` or `name only 1,2`. */
function filtersOf(overrides: Partial<Inbound>): readonly string[] {
  return build(overrides).flatMap(({ listenerFilters }) => listenerFilters.map(describeFilter));
}

function describeFilter({ name, filterDisabled }: ListenerFilter): string {
  const short = name.split('.').at(-1) ?? '';
  const rule = filterDisabled?.rule;
  if (rule?.case === undefined) return short;
  return rule.case === 'notMatch'
    ? `${short} only ${portsOf(rule.value)}`
    : `${short} but ${portsOf(filterDisabled)}`;
}

function portsOf(predicate: ListenerFilterChainMatchPredicate | undefined): string {
  const rule = predicate?.rule;
  if (rule?.case === 'orMatch') return rule.value.rules.map(portsOf).join(',');
  return rule?.case === 'destinationPortRange' ? String(rule.value.start) : '?';
}

const HTTP = port(8080, 'HTTP', 'PERMISSIVE');
const STRICT_HTTP = port(8080, 'HTTP', 'STRICT');
const OPEN_HTTP = port(8080, 'HTTP', 'DISABLE');
const OPEN_AUTO = port(9000, 'Unsupported', 'PERMISSIVE');
const BOUND = { bind: '127.4.0.2', isBound: true };

const FILTERS: readonly (readonly [string, Partial<Inbound>, readonly string[]])[] = [
  [
    'PERMISSIVE looks for TLS everywhere and for HTTP where nobody named it',
    { ports: [HTTP] },
    ['original_dst', 'tls_inspector but 15006', 'http_inspector but 8080,15006'],
  ],
  [
    'STRICT has no use for an HTTP inspector',
    { mode: 'STRICT', ports: [STRICT_HTTP] },
    ['original_dst', 'tls_inspector but 15006'],
  ],
  [
    'STRICT with an open port looks there; port 0 stands for those that nobody named, where TLS has been found first',
    { mode: 'STRICT', ports: [OPEN_AUTO] },
    ['original_dst', 'tls_inspector but 15006', 'http_inspector but 0,15006'],
  ],
  [
    'a port without TLS is not held up by looking for it',
    { ports: [OPEN_HTTP] },
    ['original_dst', 'tls_inspector but 8080,15006', 'http_inspector but 8080,15006'],
  ],
  [
    'DISABLE looks for TLS on no port',
    { mode: 'DISABLE', ports: [OPEN_HTTP] },
    ['original_dst', 'http_inspector but 8080,15006'],
  ],
  [
    'DISABLE looks for TLS where one port takes it',
    { mode: 'DISABLE', ports: [HTTP] },
    ['original_dst', 'tls_inspector only 8080', 'http_inspector but 8080,15006'],
  ],
  [
    'a bound port looks for what its own chains need',
    {
      interception: 'NONE',
      ports: [port(8080, 'HTTP', 'DISABLE', BOUND), port(9000, 'Unsupported', 'PERMISSIVE', BOUND)],
    },
    ['tls_inspector only 9000', 'http_inspector'],
  ],
  [
    'the client’s address is kept where the proxy is transparent',
    { interception: 'TPROXY', mode: 'STRICT', ports: [STRICT_HTTP] },
    ['original_dst', 'original_src', 'tls_inspector but 15006'],
  ],
  [
    'a port that only a policy names is looked into by its own mode',
    { mode: 'STRICT', passthroughPorts: [{ port: 7000, mode: 'DISABLE' }] },
    ['original_dst', 'tls_inspector but 7000,15006', 'http_inspector but 0,15006'],
  ],
];

for (const [name, inbound, expected] of FILTERS) {
  it(name, () => deepStrictEqual(filtersOf(inbound), expected));
}

it('captured traffic has one listener: its own port, ports without a service, and one chain or more for each port', () => {
  const [listener, ...more] = build({ mode: 'STRICT', ports: [STRICT_HTTP, port(3306, 'TCP', 'DISABLE')] });
  const chains = listener?.filterChains.map(({ name, filterChainMatch, transportSocket }) => [
    name,
    filterChainMatch?.destinationPort ?? 0,
    transportSocket === undefined ? 'plain' : 'mesh',
  ]);
  deepStrictEqual([listener?.name, more.length], ['virtualInbound', 0]);
  deepStrictEqual(chains, [
    ['virtualInbound-blackhole', 15006, 'plain'],
    ['virtualInbound-catchall-http', 0, 'mesh'],
    ['virtualInbound', 0, 'mesh'],
    ['0.0.0.0_8080', 8080, 'mesh'],
    ['0.0.0.0_3306', 3306, 'plain'],
  ]);
});

it('ports with a socket of their own are listeners, and nothing else is where nothing is captured', () => {
  const ports = [port(8080, 'HTTP', 'PERMISSIVE', BOUND), port(3306, 'TCP', 'STRICT', BOUND)];
  const shapes = (['NONE', 'REDIRECT'] as const).map((interception) =>
    build({ interception, ports }).map(({ name, filterChains }) => [name, filterChains.length]),
  );
  const bound = [
    ['127.4.0.2_8080', 2],
    ['127.4.0.2_3306', 1],
  ];
  deepStrictEqual(shapes, [bound, [['virtualInbound', 6], ...bound]]);
});

it('a port that only a policy names has chains of its own in the pass-through', () => {
  const [listener] = build({ mode: 'STRICT', passthroughPorts: [{ port: 7000, mode: 'DISABLE' }] });
  const chains = listener?.filterChains.filter(
    ({ filterChainMatch }) => filterChainMatch?.destinationPort === 7000,
  );
  deepStrictEqual(
    chains?.map(({ name, transportSocket }) => [name, transportSocket === undefined]),
    [
      ['virtualInbound-catchall-http', true],
      ['virtualInbound', true],
    ],
  );
});

it('TLS of the user’s own ends at the port where the mesh’s does not', () => {
  const tls = { mode: 'SIMPLE' as const, serverCertificate: '/c', privateKey: '/k' };
  const shapes = (['DISABLE', 'STRICT'] as const).map((mode) => {
    const listeners = build({ interception: 'NONE', ports: [port(9443, 'HTTP', mode, { ...BOUND, tls })] });
    return listeners.flatMap(({ filterChains }) =>
      filterChains.map(({ filterChainMatch, transportSocket }) => {
        const config = transportSocket?.configType;
        const text = config?.case === 'typedConfig' ? Buffer.from(config.value.value).toString('latin1') : '';
        return [filterChainMatch?.transportProtocol, text.includes('ROOTCA')];
      }),
    );
  });
  deepStrictEqual(shapes, [[['tls', false]], [['tls', true]]]);
});

it('the client’s address is kept by a transparent listener, and both families are taken where the flag is set', () => {
  const flags = { ...FACTS.flags, dualStack: true };
  const shapes: readonly (readonly [Inbound['interception'], Partial<ListenerFacts>])[] = [
    ['REDIRECT', {}],
    ['TPROXY', { ipFamilies: 'dual' }],
    ['REDIRECT', { ipFamilies: 'dual', flags }],
  ];
  deepStrictEqual(
    shapes.map(([interception, facts]) => {
      const [listener] = build({ interception }, { ...FACTS, ...facts });
      return [listener?.transparent, listener?.additionalAddresses.length];
    }),
    [
      [undefined, 0],
      [true, 0],
      [undefined, 1],
    ],
  );
});

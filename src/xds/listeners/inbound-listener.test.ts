import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import type { MutualTlsMode } from '#model/peer-authentication.ts';
import type { Protocol } from '#model/service.ts';
import type {
  ListenerFilter,
  ListenerFilterChainMatchPredicate,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Inbound, InboundPort } from '#scope/inbound.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { buildInboundListeners } from './inbound-listener.ts';

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

function port(number: number, protocol: Protocol, mode: MutualTlsMode): InboundPort {
  return { port: number, appPort: number, servicePort: 80, protocol, mode, services: [] };
}

function build(overrides: Partial<Inbound>) {
  const base: Inbound = {
    interception: 'REDIRECT',
    bindAddress: '',
    appAddress: '',
    mode: 'PERMISSIVE',
    ports: [],
    namespace: 'default',
    labels: {},
  };
  const inbound = { ...base, ...overrides };
  return buildInboundListeners({
    inbound,
    facts: FACTS,
    policies: { trustDomains: [], policies: [], authorizers: [], tokenRules: [] },
    extensions: [],
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
    'STRICT with an open port looks there',
    { mode: 'STRICT', ports: [OPEN_AUTO] },
    ['original_dst', 'tls_inspector but 15006', 'http_inspector only 9000'],
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
    { interception: 'NONE', bindAddress: '127.4.0.2', ports: [OPEN_HTTP, OPEN_AUTO] },
    ['tls_inspector', 'http_inspector'],
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

it('without interception each port is a listener on the workload’s address, and nothing else is', () => {
  const listeners = build({
    interception: 'NONE',
    bindAddress: '127.4.0.2',
    ports: [HTTP, port(3306, 'TCP', 'STRICT')],
  });
  deepStrictEqual(
    listeners.map(({ name, filterChains }) => [
      name,
      filterChains.map(({ filterChainMatch }) => filterChainMatch?.destinationPort),
    ]),
    [
      ['127.4.0.2_8080', [undefined, undefined]],
      ['127.4.0.2_3306', [undefined]],
    ],
  );
});

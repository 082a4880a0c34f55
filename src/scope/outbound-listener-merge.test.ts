import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import type { Protocol } from '#model/service.ts';
import type { ClaimKind, OutboundClaim } from './outbound-listener.ts';
import type { OutboundChain } from './outbound-listener-chains.ts';
import { mergeClaims } from './outbound-listener-merge.ts';
import { PLAIN_STREAM } from './stream-settings.ts';

const KINDS: Readonly<Partial<Record<Protocol, ClaimKind>>> = {
  HTTP: 'http',
  HTTP_PROXY: 'http',
  GRPC: 'http',
  TLS: 'tls',
  Unsupported: 'auto',
};

/** A claim at all addresses, by the name of its service; later claims are younger. */
function claim(hostname: string, protocol: Protocol, more: Partial<OutboundClaim> = {}): OutboundClaim {
  return {
    viewer: 'shop',
    listener: '0.0.0.0_80',
    address: '0.0.0.0',
    extraAddresses: [],
    isAnywhere: true,
    isBound: false,
    isLocal: false,
    cidr: '',
    isEndpoint: false,
    port: 80,
    kind: KINDS[protocol] ?? 'tcp',
    protocol,
    hostname,
    clusterPort: 80,
    hasAddress: false,
    isDynamic: false,
    stream: PLAIN_STREAM,
    egress: 0,
    isCatchAll: true,
    rank: 2,
    createdAtMs: hostname.charCodeAt(0),
    causes: [{ kind: 'Service', namespace: 'shop', name: hostname, path: '' }],
    sidecar: undefined,
    ...more,
  };
}

const ALONE: Partial<OutboundClaim> = { isAnywhere: false, address: '127.0.0.1' };

/** Chains as `condition>end`, then who is behind them. */
function merged(...claims: readonly OutboundClaim[]): string {
  const streamsOf = ({ hostname, kind, cidr }: OutboundClaim) => {
    const chain: OutboundChain = {
      sniHosts: kind === 'tls' ? [hostname] : [],
      cidrs: cidr === '' ? [] : [cidr],
      onlyHttp: false,
      target: {
        kind: 'stream',
        destinations: [{ hostname, port: 80, subset: '', weight: 0 }],
        label: '',
        isWeighted: false,
        settings: PLAIN_STREAM,
        protocol: 'TCP',
        dynamicHost: '',
      },
    };
    return { chains: [chain], causes: [] };
  };
  const listener = mergeClaims(claims, streamsOf, () => true);
  if (listener === undefined) return 'none';
  const names = listener.causes.map(({ kind, name }) => (kind === 'Sidecar' ? `Sidecar ${name}` : name));
  return [...listener.chains.map(show), `of ${names.join('+')}`].join(', ');
}

function show({ sniHosts, cidrs, onlyHttp, target }: OutboundChain): string {
  const condition = [...sniHosts, ...cidrs, ...(onlyHttp ? ['http'] : [])].join(' ') || 'all';
  return `${condition}>${target.kind === 'http' ? target.routeTable : target.destinations[0]?.hostname}`;
}

const CASES: readonly (readonly [string, string, ...OutboundClaim[]])[] = [
  ['nobody needs no listener', 'none'],
  ['HTTP services share the routes of the port', 'http>80, of a+b', claim('b', 'GRPC'), claim('a', 'HTTP')],
  ['of byte services the oldest has the port', 'all>a, of a', claim('b', 'TCP'), claim('a', 'TCP')],
  [
    'a private service comes before an older public one',
    'all>b, of b',
    claim('a', 'TCP'),
    claim('b', 'TCP', { rank: 0 }),
  ],
  ['TLS services are told apart', 'a>a, b>b, of a+b', claim('a', 'TLS'), claim('b', 'TLS')],
  ['bytes join HTTP', 'http>80, all>b, of a+b', claim('a', 'HTTP'), claim('b', 'TCP')],
  ['HTTP joins bytes', 'all>a, http>80, of a+b', claim('a', 'TCP'), claim('b', 'HTTP')],
  ['a port of unknown protocol is looked into', 'all>a, http>80, of a', claim('a', 'Unsupported')],
  [
    'and keeps the port for its bytes',
    'all>a, http>80, of a',
    claim('a', 'Unsupported'),
    claim('b', 'Unsupported'),
  ],
  ['unknown protocols join bytes', 'all>a, http>80, of a+b', claim('a', 'TCP'), claim('b', 'Unsupported')],
  [
    'ranges that are the same network are one',
    '10.0.0.0/8>a, 10.9.0.0/16>c, of a+c',
    claim('a', 'TCP', { cidr: '10.0.0.0/8' }),
    claim('b', 'TCP', { cidr: '10.1.2.3/8' }),
    claim('c', 'TCP', { cidr: '10.9.0.0/16' }),
  ],
  [
    'where the server speaks first nothing is looked into',
    'all>a, of a',
    claim('a', 'MySQL'),
    claim('b', 'HTTP'),
    claim('c', 'TCP'),
  ],
  [
    'nor does such a service join a port that is',
    'http>80, all>c, of a+c',
    claim('a', 'HTTP'),
    claim('b', 'Mongo'),
    claim('c', 'TCP'),
  ],
];

for (const [name, expected, ...claims] of CASES) {
  it(name, () => deepStrictEqual(merged(...claims), expected));
}

it('on an address of its own HTTP is not looked for, and bytes can’t join it', () => {
  deepStrictEqual(merged(claim('a', 'HTTP', ALONE), claim('b', 'TCP', ALONE)), 'all>80, of a');
  deepStrictEqual(
    merged(claim('a', 'HTTP', ALONE), claim('b', 'Unsupported', ALONE)),
    'all>b, http>b:80, of a+b',
  );
});

it('a Sidecar’s listener for a port has it for itself; the listener of all ports adds nothing', () => {
  const sidecar = { kind: 'Sidecar', namespace: 'shop', name: 's', path: 'spec.egress[0]' };
  const own = { sidecar, isCatchAll: false };
  const rest = { sidecar, egress: 1 };
  deepStrictEqual(
    merged(
      claim('a', 'TCP', rest),
      claim('b', 'HTTP', own),
      claim('c', 'GRPC', own),
      claim('d', 'HTTP', rest),
    ),
    'http>80, of Sidecar s+b+c',
  );
});

it('an HTTP proxy takes whatever comes', () => {
  deepStrictEqual(merged(claim('a', 'HTTP_PROXY', { isCatchAll: false, port: 15007 })), 'all>15007, of a');
});

it('what the proxy cannot listen for is as if it were not there', () => {
  const claims = [claim('a', 'TCP'), claim('b', 'TCP')];
  const listener = mergeClaims(
    claims,
    () => ({ chains: [], causes: [] }),
    ({ hostname }) => hostname !== 'a',
  );
  deepStrictEqual(listener?.first.hostname, 'b');
});

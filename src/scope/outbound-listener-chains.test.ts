import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import type { TcpRoute, TlsRoute } from '#api/virtual-service.ts';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import type { Service } from '#model/service.ts';
import type { VirtualService } from '#model/virtual-service.ts';
import { meshListenerFacts } from './listener-facts.ts';
import type { DestinationPolicy } from './outbound-host.ts';
import type { OutboundClaim } from './outbound-listener.ts';
import { type OutboundChain, streamChains } from './outbound-listener-chains.ts';
import type { ListenerView } from './outbound-listener-view.ts';
import { PLAIN_STREAM } from './stream-settings.ts';

const VIEW: ListenerView = {
  key: 'shop',
  viewer: 'shop',
  namespace: 'shop',
  labels: { version: 'v1' },
  facts: meshListenerFacts({}, DEFAULT_MESH_FLAGS),
  extensions: { facet: [], causes: [] },
};

const CLAIM: OutboundClaim = {
  viewer: 'shop',
  listener: '10.1.0.1_9000',
  address: '10.1.0.1',
  extraAddresses: [],
  isAnywhere: false,
  isBound: false,
  isLocal: false,
  cidr: '',
  isEndpoint: false,
  port: 9000,
  kind: 'tcp',
  protocol: 'TCP',
  hostname: 'db',
  clusterPort: 9000,
  hasAddress: true,
  isDynamic: false,
  stream: PLAIN_STREAM,
  egress: 0,
  isCatchAll: true,
  rank: 2,
  createdAtMs: 0,
  causes: [],
  sidecar: undefined,
};
const TLS: Partial<OutboundClaim> = { kind: 'tls', protocol: 'TLS' };
const SHARED: Partial<OutboundClaim> = { ...TLS, address: '0.0.0.0', isAnywhere: true, hasAddress: false };

const POLICY: DestinationPolicy = {
  trafficPolicy: {
    connectionPool: { tcp: { idleTimeout: '7s', maxConnectionDuration: '60s' } },
    loadBalancer: { consistentHash: { useSourceIp: true } },
    tunnel: { protocol: 'POST', targetHost: 'far.example.com', targetPort: 443 },
  },
  subsets: [
    { name: 'v2', trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } },
    { name: 'v3', trafficPolicy: { tunnel: { protocol: 'CONNECT', targetHost: '::1', targetPort: 80 } } },
  ],
  causes: [],
  clientSelector: undefined,
  subsetCauses: [],
};
const SERVICES: Readonly<Record<string, Partial<Service>>> = {
  one: {
    ports: [{ name: 'p', number: 1, protocol: 'TCP', targetPort: 1, targetPortName: '' }],
    externalName: '',
  },
  alias: { ports: [], externalName: 'real.example.com' },
  ruled: { ports: [], externalName: '' },
};

function object(rules: {
  readonly tcp?: readonly TcpRoute[];
  readonly tls?: readonly TlsRoute[];
}): VirtualService {
  return { name: 'vs', namespace: 'shop', tcp: [], tls: [], ...rules } as unknown as VirtualService;
}

/** Each chain as `names ranges -> destinations`; a weight stands behind its cluster. */
function chainsOf(claim: Partial<OutboundClaim>, ...routes: readonly VirtualService[]): readonly string[] {
  return resolve(claim, routes).chains.map(show);
}

function resolve(claim: Partial<OutboundClaim>, routes: readonly VirtualService[]) {
  const lookup = (host: string) => {
    const service = SERVICES[host];
    return service && { service: service as Service, policy: host === 'ruled' ? POLICY : undefined };
  };
  return streamChains({ ...CLAIM, ...claim }, { view: VIEW, routes, lookup });
}

function show({ sniHosts, cidrs, target }: OutboundChain): string {
  const to = target.kind === 'http' ? [target.routeTable] : target.destinations.map(cluster);
  return [...sniHosts, ...cidrs, '->', ...to].join(' ');
}

function cluster(to: { hostname: string; port: number; subset: string; weight: number }): string {
  return `${to.hostname}:${to.port}${to.subset === '' ? '' : `/${to.subset}`}${to.weight === 0 ? '' : `*${to.weight}`}`;
}

const to = (host: string, more: { subset?: string; port?: number; weight?: number } = {}) => ({
  destination: {
    host,
    ...(more.subset === undefined ? {} : { subset: more.subset }),
    ...(more.port === undefined ? {} : { port: { number: more.port } }),
  },
  ...(more.weight === undefined ? {} : { weight: more.weight }),
});

type Case = readonly [string, readonly string[], ...Parameters<typeof chainsOf>];

const TCP_CASES: readonly Case[] = [
  ['bytes go to the service', ['-> db:9000'], {}],
  ['to its only port, where a Sidecar listens on another', ['-> db:1'], { clusterPort: 1 }],
  ['a range of addresses is matched', ['10.2.0.0/16 -> db:9000'], { cidr: '10.2.0.0/16' }],
  [
    'weights are kept, and what has none beside others is left out',
    ['-> a:9000/v1*80 a:9000/v2*20'],
    {},
    object({
      tcp: [
        { route: [to('a', { subset: 'v1', weight: 80 }), to('a', { subset: 'v2', weight: 20 }), to('a')] },
      ],
    }),
  ],
  [
    'a destination without a port is the service’s only one, else the listener’s',
    ['-> one:1*1 b:9000*1 c:7*1 real.example.com:9000*1'],
    {},
    object({
      tcp: [
        {
          route: [
            to('one', { weight: 1 }),
            to('b', { weight: 1 }),
            to('c', { port: 7, weight: 1 }),
            to('alias', { weight: 1 }),
          ],
        },
      ],
    }),
  ],
  [
    'only rules for the port, the namespace, the labels and the mesh count',
    ['-> e:9000'],
    {},
    object({
      tcp: [
        { match: [{ port: 9001 }], route: [to('a')] },
        { match: [{ sourceNamespace: 'other' }], route: [to('b')] },
        { match: [{ sourceLabels: { version: 'v2' } }], route: [to('c')] },
        { match: [{ gateways: ['shop/gateway'] }], route: [to('d')] },
        {
          match: [
            { port: 9000, sourceNamespace: 'shop', sourceLabels: { version: 'v1' }, gateways: ['mesh'] },
          ],
          route: [to('e')],
        },
        { route: [to('f')] },
      ],
    }),
  ],
  [
    'destination ranges are told apart, and the service keeps the rest',
    ['10.3.0.0/16 10.4.0.0/16 -> a:9000', '-> db:9000'],
    {},
    object({
      tcp: [
        {
          match: [{ destinationSubnets: ['10.3.0.0/16'] }, { destinationSubnets: ['10.4.0.0/16'] }],
          route: [to('a')],
        },
      ],
    }),
  ],
  [
    'one match for all connections makes the rule the last',
    ['-> a:9000'],
    {},
    object({
      tcp: [
        { match: [{ destinationSubnets: ['10.3.0.0/16'] }, { port: 9000 }], route: [to('a')] },
        { route: [to('b')] },
      ],
    }),
  ],
  [
    'a rule for the service’s own range leaves nothing for the service',
    ['10.2.0.0/16 -> a:9000'],
    { cidr: '10.2.0.0/16' },
    object({ tcp: [{ match: [{ destinationSubnets: ['10.2.0.0/16'] }], route: [to('a')] }] }),
  ],
  [
    'on a Unix socket ranges mean nothing',
    ['-> a:0'],
    { port: 0, address: 'unix:///run/db' },
    object({ tcp: [{ match: [{ destinationSubnets: ['10.3.0.0/16'] }], route: [to('a')] }] }),
  ],
  [
    'rules of the first object come first',
    ['-> a:9000'],
    {},
    object({ tcp: [{ route: [to('a')] }] }),
    object({ tcp: [{ route: [to('b')] }] }),
  ],
  [
    'rules without destinations, and tls rules, are passed over',
    ['-> db:9000'],
    {},
    object({ tcp: [{ route: [] }], tls: [{ match: [{ sniHosts: ['a'] }], route: [to('a')] }] }),
  ],
];

const TLS_CASES: readonly Case[] = [
  ['TLS to an address needs no server name', ['-> db:9000'], TLS],
  ['where services share a listener the server name tells', ['db -> db:9000'], SHARED],
  ['a range needs the name too', ['db 10.2.0.0/16 -> db:9000'], { ...TLS, cidr: '10.2.0.0/16' }],
  [
    'at an address of its own a wildcard is looked up by name',
    ['db -> db:9000'],
    { ...TLS, isDynamic: true },
  ],
  [
    'each match is a chain, and the service itself has none beside them',
    ['a.com b.com -> a:9000', 'c.com 10.3.0.0/16 -> a:9000', 'd.com -> b:9000'],
    SHARED,
    object({
      tls: [
        {
          match: [
            { sniHosts: ['a.com', 'b.com'] },
            { sniHosts: ['c.com'], destinationSubnets: ['10.3.0.0/16'] },
          ],
          route: [to('a')],
        },
        { match: [{ sniHosts: ['d.com'] }], route: [to('b')] },
      ],
    }),
  ],
  [
    'of matches that look for the same the first that fits the client counts',
    ['a.com -> b:9000'],
    SHARED,
    object({
      tls: [
        { match: [{ sniHosts: ['a.com'], sourceLabels: { version: 'v2' } }], route: [to('a')] },
        { match: [{ sniHosts: ['a.com'] }], route: [to('b')] },
        { match: [{ sniHosts: ['a.com'], port: 9000 }], route: [to('c')] },
      ],
    }),
  ],
  ['tcp rules are not for TLS', ['db -> db:9000'], SHARED, object({ tcp: [{ route: [to('a')] }] })],
];

for (const [name, expected, ...input] of [...TCP_CASES, ...TLS_CASES]) {
  it(name, () => deepStrictEqual(chainsOf(...input), expected));
}

const RULED: readonly (readonly [string, readonly ReturnType<typeof to>[], object])[] = [
  [
    'the DestinationRule of the destination says how bytes are sent',
    [to('ruled')],
    {
      idleTimeoutMs: 7_000,
      maxDurationMs: 60_000,
      hashSourceIp: true,
      tunnel: { target: 'far.example.com:443', usePost: true },
    },
  ],
  [
    'a subset has its own balancing, and no tunnel unless it says so',
    [to('ruled', { subset: 'v2' })],
    { idleTimeoutMs: 7_000, maxDurationMs: 60_000, hashSourceIp: false, tunnel: undefined },
  ],
  [
    'a tunnel of the subset',
    [to('ruled', { subset: 'v3' })],
    {
      idleTimeoutMs: 7_000,
      maxDurationMs: 60_000,
      hashSourceIp: true,
      tunnel: { target: '[::1]:80', usePost: false },
    },
  ],
  [
    'of several destinations the first one’s rule counts, for the whole host',
    [to('ruled', { subset: 'v3', weight: 1 }), to('a', { weight: 1 })],
    {
      idleTimeoutMs: 7_000,
      maxDurationMs: 60_000,
      hashSourceIp: true,
      tunnel: { target: 'far.example.com:443', usePost: true },
    },
  ],
];
for (const [name, route, expected] of RULED) {
  it(name, () => {
    const [chain] = resolve({}, [object({ tcp: [{ route: [...route] }] })]).chains;
    deepStrictEqual(chain?.target.kind === 'stream' ? chain.target.settings : undefined, expected);
  });
}

it('names the rules that it followed', () => {
  const rules = object({ tcp: [{ match: [{ port: 1 }], route: [to('a')] }, { route: [to('b')] }] });
  deepStrictEqual(
    resolve({}, [rules]).causes.map(({ name, path }) => `${name} ${path}`),
    ['vs spec.tcp[1]'],
  );
});

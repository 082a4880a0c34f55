import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import type { Endpoint, ServiceEndpoints } from '#model/endpoint.ts';
import { AGENT_ONLY } from '#model/secret-servers.ts';
import type { Protocol, Resolution, Service } from '#model/service.ts';
import { createEngine } from '#collections/engine.ts';
import type { OutboundHost } from './outbound-host.ts';
import type { EgressListener } from './egress-listener.ts';
import type { Imports } from './outbound-host-imports.ts';
import { createOutboundClaims, type OutboundClaim } from './outbound-listener.ts';
import type { Viewer } from './viewer.ts';

interface ServiceFacts {
  readonly protocol?: Protocol;
  readonly addresses?: readonly string[];
  readonly resolution?: Resolution;
  readonly registry?: Service['registry'];
  readonly selector?: Service['selector'];
  readonly ports?: readonly number[];
  readonly visibility?: Service['visibility'];
}

/** Who looks. */
interface Looker extends Partial<Viewer> {
  readonly egress?: readonly Partial<EgressListener>[];
}

function host(facts: ServiceFacts): OutboundHost {
  const { protocol = 'TCP', ports = [3306], ...rest } = facts;
  const service = {
    hostname: 'a.example.com',
    namespace: 'shop',
    ports: ports.map((number) => ({ name: `p${number}`, number, protocol })),
    addresses: [],
    resolution: 'STATIC',
    registry: 'Kubernetes',
    selector: {},
    visibility: { public: true, namespaces: [] },
    createdAtMs: 7,
    cause: { kind: 'Service', namespace: 'shop', name: 'a', path: '' },
    ...rest,
  } as unknown as Service;
  return { viewer: 'shop', viewerNamespace: 'shop', service, policy: undefined };
}

const IMPORTS_ALL = {
  port: 0,
  isCatchAll: true,
  isHttpProxy: false,
  protocol: undefined,
  bind: '',
  isBound: false,
  included: [{ namespace: '*', host: '*' }],
  excluded: [],
};

/** The claims of one host, as `listener kind`, with range, sockets and cluster port where they are special. */
function claimsOf(
  facts: ServiceFacts,
  behind: readonly string[] = [],
  looker: Looker = {},
): readonly string[] {
  const engine = createEngine();
  const hosts = engine.source<OutboundHost>('hosts');
  const viewers = engine.source<Viewer>('viewers');
  const imports = engine.source<Imports>('imports');
  const endpoints = engine.source<ServiceEndpoints>('endpoints');
  const { claims } = createOutboundClaims(engine, { hosts, viewers, imports, endpoints });
  const { egress, ...viewer } = looker;
  const sidecar = egress === undefined ? '' : 'shop/default';
  hosts.set('shop|a.example.com', host(facts));
  viewers.set('shop', {
    key: 'shop',
    namespace: 'shop',
    proxyType: 'sidecar',
    sidecar,
    hasOriginalDestination: true,
    ipFamilies: 'v4',
    capturesDns: false,
    preservesHeaderCase: false,
    secretServers: AGENT_ONLY,
    clientCertificates: undefined,
    selectiveRules: [],
    ...viewer,
  });
  const listeners = (egress ?? []).map((listener) => ({ ...IMPORTS_ALL, ...listener }));
  if (egress !== undefined) imports.set('shop', { namespace: 'shop', listeners, destinations: new Map() });
  const list = behind.map((address) => ({ address, servicePort: 3306 }) as Endpoint);
  const other = { address: '10.9.9.9', servicePort: 80 } as Endpoint;
  endpoints.set('shop/a.example.com', { endpoints: [...list, other], identities: [] });
  engine.settle();
  return [...claims.all().values()].map(show);
}

function show(claim: OutboundClaim): string {
  const words = [
    claim.listener,
    claim.kind,
    claim.cidr,
    ...claim.extraAddresses.filter((address) => address !== '::' && address !== '::1'),
    claim.isEndpoint ? 'endpoint' : '',
    claim.isBound ? 'bound' : '',
    claim.clusterPort === claim.port ? '' : `to ${claim.clusterPort}`,
    claim.egress === 0 ? '' : `of listener ${claim.egress}`,
  ];
  return words.filter((word) => word !== '').join(' ');
}

const HEADLESS = { resolution: 'NONE' } as const;
const OPEN_ENTRY = { resolution: 'NONE', registry: 'External' } as const;

const CASES: readonly (readonly [string, readonly string[], ...Parameters<typeof claimsOf>])[] = [
  [
    'HTTP shares the port, whatever addresses the service has',
    ['0.0.0.0_3306 http'],
    { protocol: 'GRPC', addresses: ['10.1.0.1'] },
  ],
  ['bytes have the address of the service', ['10.1.0.1_3306 tcp'], { addresses: ['10.1.0.1'] }],
  [
    'bytes have the address of the proxy’s family',
    ['10.1.0.1_3306 tcp'],
    { addresses: ['fd00::1', '10.1.0.1'] },
  ],
  [
    'a proxy that uses both families has the first address, and the others beside it',
    ['10.1.0.1_3306 tcp fd00::1'],
    { addresses: ['10.1.0.1', 'fd00::1'] },
    [],
    { ipFamilies: 'dual' },
  ],
  [
    'a proxy with IPv6 alone has that address alone',
    ['fd00::1_3306 tcp'],
    { addresses: ['10.1.0.1', 'fd00::1'] },
    [],
    { ipFamilies: 'v6' },
  ],
  [
    'where no address is of the proxy’s family the first one must do',
    ['fd00::1_3306 tcp'],
    { addresses: ['fd00::1'] },
  ],
  [
    'each address of a ServiceEntry stands for itself',
    ['10.1.0.1_3306 tcp', '10.1.0.2_3306 tcp', 'fd00::1_3306 tcp'],
    { addresses: ['10.1.0.1', 'fd00::1', '10.1.0.2'], registry: 'External' },
  ],
  ['bytes without an address have the port', ['0.0.0.0_3306 tcp'], { resolution: 'DNS' }],
  ['TLS is kept apart from bytes', ['0.0.0.0_3306 tls'], { protocol: 'HTTPS', resolution: 'DNS' }],
  [
    'an unknown protocol is looked into',
    ['10.1.0.1_3306 auto'],
    { protocol: 'Unsupported', addresses: ['10.1.0.1'] },
  ],
  ['UDP has no listener', [], { protocol: 'UDP', addresses: ['10.1.0.1'] }],
  ['an alias has no listener', [], { resolution: 'ALIAS' }],
  [
    'a range of addresses is matched within the port',
    ['0.0.0.0_3306 tcp 10.2.0.0/16'],
    { addresses: ['10.2.0.0/16'], resolution: 'NONE' },
  ],
  [
    'without capture everything is at the proxy’s loopback',
    ['127.0.0.1_3306 tcp bound'],
    { addresses: ['10.2.0.0/16'] },
    [],
    { hasOriginalDestination: false },
  ],
  [
    'without capture HTTP is there too',
    ['::1_3306 http bound'],
    { protocol: 'HTTP' },
    [],
    { hasOriginalDestination: false, ipFamilies: 'v6' },
  ],
  [
    'a headless service has a listener for each endpoint of the port',
    ['10.9.0.1_3306 tcp endpoint', '10.9.0.2_3306 tcp endpoint'],
    HEADLESS,
    ['10.9.0.1', '10.9.0.2', '10.9.0.1'],
  ],
  [
    'a headless service that speaks HTTP has the port',
    ['0.0.0.0_3306 http'],
    { ...HEADLESS, protocol: 'HTTP' },
    ['10.9.0.1'],
  ],
  ['a headless service without endpoints has none', [], HEADLESS],
  [
    'endpoints that are names have none',
    ['10.9.0.1_3306 tcp endpoint'],
    HEADLESS,
    ['db.example.com', '10.9.0.1'],
  ],
  [
    'a headless service is at the loopback where connections are not captured',
    ['127.0.0.1_3306 tcp bound'],
    HEADLESS,
    ['10.9.0.1'],
    { hasOriginalDestination: false },
  ],
  ['a ServiceEntry that names no endpoints has the port', ['0.0.0.0_3306 tcp'], OPEN_ENTRY],
  ['a ServiceEntry whose selector finds nobody has none', [], { ...OPEN_ENTRY, selector: { app: 'a' } }],
  [
    'a Sidecar’s listener for one port takes that port of the service, with its own protocol',
    ['0.0.0.0_3306 http'],
    { ports: [3306, 3307], addresses: ['10.1.0.1'] },
    [],
    { egress: [{ port: 3306, isCatchAll: false, protocol: 'HTTP' }] },
  ],
  [
    'and the listener of all ports takes all',
    ['0.0.0.0_3306 http', '10.1.0.1_3306 tcp of listener 1', '10.1.0.1_3307 tcp of listener 1'],
    { ports: [3306, 3307], addresses: ['10.1.0.1'] },
    [],
    { egress: [{ port: 3306, isCatchAll: false, protocol: 'HTTP' }, {}] },
  ],
  [
    'a service without the port is not on the listener',
    [],
    {},
    [],
    { egress: [{ port: 80, isCatchAll: false, protocol: 'TCP' }] },
  ],
  [
    'a listener with an address is there, and bound where the Sidecar says so',
    ['0.0.0.0_3306 tcp bound of listener 2', '10.7.0.1_3306 tcp', '127.0.0.1_3306 tcp bound of listener 1'],
    { addresses: ['10.1.0.1'] },
    [],
    { egress: [{ bind: '10.7.0.1' }, { isBound: true }, { bind: '0.0.0.0', isBound: true }] },
  ],
  [
    'a listener on a Unix socket takes the only port of the service',
    ['unix:///run/a_0 tcp bound to 3306'],
    {},
    [],
    { egress: [{ bind: 'unix:///run/a', isBound: true, isCatchAll: false, protocol: 'TCP' }] },
  ],
  [
    'an HTTP proxy listener takes every service',
    ['0.0.0.0_15007 http to 3306'],
    { protocol: 'HTTP' },
    [],
    { egress: [{ port: 15007, isCatchAll: false, isHttpProxy: true, protocol: 'HTTP_PROXY' }] },
  ],
  [
    'what a Sidecar does not import has no listener',
    [],
    {},
    [],
    { egress: [{ included: [{ namespace: 'other', host: '*' }] }] },
  ],
  [
    'nor has what the namespace may not see, though a route leads there',
    [],
    { visibility: { public: false, namespaces: ['other'] } },
    [],
    { egress: [{}] },
  ],
  ['gateways have none', [], {}, [], { proxyType: 'router' }],
];

for (const [name, expected, ...input] of CASES) {
  it(name, () => deepStrictEqual(claimsOf(...input), expected));
}

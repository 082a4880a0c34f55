import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import type { Endpoint, ServiceEndpoints } from '#model/endpoint.ts';
import type { Protocol, Resolution, Service } from '#model/service.ts';
import { createEngine } from '#collections/engine.ts';
import type { OutboundHost } from './outbound-host.ts';
import { createOutboundClaims } from './outbound-listener.ts';
import type { Viewer } from './viewer.ts';

interface ServiceFacts {
  readonly protocol?: Protocol;
  readonly addresses?: readonly string[];
  readonly resolution?: Resolution;
  readonly registry?: Service['registry'];
  readonly selector?: Service['selector'];
}

function host(facts: ServiceFacts): OutboundHost {
  const {
    protocol = 'TCP',
    addresses = [],
    resolution = 'STATIC',
    registry = 'Kubernetes',
    selector = {},
  } = facts;
  const service = {
    hostname: 'a.example.com',
    namespace: 'shop',
    ports: [{ name: 'p', number: 3306, protocol }],
    addresses,
    resolution,
    registry,
    selector,
    createdAtMs: 7,
    cause: { kind: 'Service', namespace: 'shop', name: 'a', path: '' },
  } as unknown as Service;
  return { viewer: 'shop', viewerNamespace: 'shop', service, policy: undefined };
}

/** The claims of one host, as `listener kind`, with the range of addresses where there is one. */
function claimsOf(facts: ServiceFacts, behind: readonly string[] = [], isCaptured = true): readonly string[] {
  const engine = createEngine();
  const hosts = engine.source<OutboundHost>('hosts');
  const viewers = engine.source<Viewer>('viewers');
  const endpoints = engine.source<ServiceEndpoints>('endpoints');
  const { claims } = createOutboundClaims(engine, { hosts, viewers, endpoints });
  hosts.set('shop|a.example.com', host(facts));
  viewers.set('shop', { key: 'shop', hasOriginalDestination: isCaptured } as Viewer);
  const list = behind.map((address) => ({ address, servicePort: 3306 }) as Endpoint);
  const other = { address: '10.9.9.9', servicePort: 80 } as Endpoint;
  endpoints.set('shop/a.example.com', { endpoints: [...list, other], identities: [] });
  engine.settle();
  return Array.from(claims.all().values(), ({ listener, kind, cidr, isEndpoint }) =>
    [listener, kind, cidr, isEndpoint ? 'endpoint' : ''].filter((word) => word !== '').join(' '),
  );
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
    'bytes have all addresses of the service',
    ['10.1.0.1_3306 tcp', 'fd00::1_3306 tcp'],
    { addresses: ['10.1.0.1', 'fd00::1'] },
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
  ['a bound socket knows no range', ['0.0.0.0_3306 tcp'], { addresses: ['10.2.0.0/16'] }, [], false],
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
    'a headless service is bound to the port where connections are not captured',
    ['0.0.0.0_3306 tcp'],
    HEADLESS,
    ['10.9.0.1'],
    false,
  ],
  ['a ServiceEntry that names no endpoints has the port', ['0.0.0.0_3306 tcp'], OPEN_ENTRY],
  ['a ServiceEntry whose selector finds nobody has none', [], { ...OPEN_ENTRY, selector: { app: 'a' } }],
];

for (const [name, expected, ...input] of CASES) {
  it(name, () => deepStrictEqual(claimsOf(...input), expected));
}

import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import { createEngine } from '#collections/engine.ts';
import { Interner } from '#collections/interner.ts';
import type { Endpoint, ServiceEndpoints } from '#model/endpoint.ts';
import type { Protocol, Resolution, Service } from '#model/service.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import type { ExtensionView } from '#scope/extension-view.ts';
import type { Viewer } from '#scope/viewer.ts';
import { createOutboundListeners } from './outbound-listeners.ts';

interface ServiceFacts {
  readonly protocol?: Protocol;
  readonly address?: string;
  readonly port?: number;
  readonly resolution?: Resolution;
  readonly createdAtMs?: number;
}

function hostOf(name: string, facts: ServiceFacts): OutboundHost {
  const { protocol = 'TCP', address, port = 80, resolution = 'STATIC', createdAtMs = 0 } = facts;
  const service = {
    hostname: name,
    namespace: 'shop',
    ports: [{ name: 'p', number: port, protocol }],
    addresses: address === undefined ? [] : [address],
    resolution,
    registry: 'Kubernetes',
    selector: {},
    createdAtMs,
    cause: { kind: 'Service', namespace: 'shop', name, path: '' },
  } as unknown as Service;
  return { viewer: 'shop', viewerNamespace: 'shop', service, policy: undefined };
}

/** The listeners of the viewer `shop`, which sees these services. */
function listenersOf(
  services: Readonly<Record<string, ServiceFacts>>,
  behind: Readonly<Record<string, readonly string[]>> = {},
) {
  const engine = createEngine();
  const hosts = engine.source<OutboundHost>('hosts');
  const viewers = engine.source<Viewer>('viewers');
  const endpoints = engine.source<ServiceEndpoints>('endpoints');
  const viewerFacts = engine.source<ListenerFacts>('facts');
  const views = engine.source<ExtensionView>('views');
  const byViewer = engine.index('viewsByViewer', views, ({ viewer }) => [viewer]);
  const listeners = createOutboundListeners(engine, {
    hosts,
    viewers,
    endpoints,
    viewerFacts,
    extensionViews: { byViewer, viewOf: () => 'shop' },
    interner: new Interner(),
  });
  views.set('shop', { key: 'shop', viewer: 'shop', facet: [], causes: [] });
  viewers.set('shop', { key: 'shop', hasOriginalDestination: true } as Viewer);
  viewerFacts.set('shop', {
    trustDomains: [],
    accessLog: { file: '' },
    outboundPolicy: 'ALLOW_ANY',
  } as unknown as ListenerFacts);
  for (const [name, facts] of Object.entries(services)) hosts.set(`shop|${name}`, hostOf(name, facts));
  for (const [name, addresses] of Object.entries(behind)) {
    const list = addresses.map((address) => ({ address, servicePort: 80 }) as Endpoint);
    endpoints.set(`shop/${name}`, { endpoints: list, identities: [] });
  }
  engine.settle();
  return listeners;
}

/** `route > server names or ranges -> cluster` of each listener; `bound` for what has a socket of its own. */
function show(listeners: ReturnType<typeof listenersOf>) {
  const inputs = [...listeners.inputs.bucket('shop').values()];
  return Object.fromEntries(
    inputs.map(({ name, captured, bound, causes }) => [
      name,
      [
        ...(captured.routeName === '' ? [] : [`routes ${captured.routeName}`]),
        ...captured.streams.map(({ sniHosts, destinationCidrs, clusters }) =>
          [...sniHosts, ...destinationCidrs, '->', ...clusters.map(({ cluster }) => cluster)].join(' '),
        ),
        bound === undefined ? 'not bound' : 'bound',
        causes.map((cause) => cause.name).join('+'),
      ].join('; '),
    ]),
  );
}

it('HTTP services of one port share a listener and its routes', () => {
  deepStrictEqual(
    show(listenersOf({ a: { protocol: 'HTTP', address: '10.1.0.1' }, b: { protocol: 'GRPC' } })),
    {
      '0.0.0.0_80': 'routes 80; not bound; a+b',
    },
  );
});

it('a service that is looked into has routes of its own where it has an address of its own', () => {
  deepStrictEqual(
    show(
      listenersOf({
        a: { protocol: 'Unsupported', address: '10.1.0.1' },
        b: { protocol: 'Unsupported', resolution: 'DNS' },
      }),
    ),
    {
      '0.0.0.0_80': 'routes 80; -> outbound|80||b; bound; b',
      '10.1.0.1_80': 'routes a:80; -> outbound|80||a; bound; a',
    },
  );
});

it('bytes, TLS and HTTP of one port share a listener; of the byte services the oldest has it', () => {
  const services: Readonly<Record<string, ServiceFacts>> = {
    young: { resolution: 'DNS', createdAtMs: 2 },
    old: { resolution: 'DNS', createdAtMs: 1 },
    web: { protocol: 'TLS', resolution: 'DNS' },
    range: { address: '10.2.0.0/16', resolution: 'NONE' },
    http: { protocol: 'HTTP' },
  };
  deepStrictEqual(show(listenersOf(services)), {
    '0.0.0.0_80':
      'routes 80; 10.2.0.0/16 -> outbound|80||range; web -> outbound|80||web; -> outbound|80||old; bound; http+range+web+old+young',
  });
});

it('a listener names what must be there before it', () => {
  const entry = listenersOf({ a: { resolution: 'DNS' }, b: { protocol: 'HTTP' } })
    .captured.bucket('shop')
    .get('0.0.0.0_80');
  deepStrictEqual(entry?.resource.references, ['80', 'outbound|80||a']);
});

it('endpoints of headless services are known by address, unless another service is there too', () => {
  const headless = { resolution: 'NONE' } as const;
  const listeners = listenersOf(
    { db: headless, vip: { address: '10.9.0.2' } },
    { db: ['10.9.0.1', '10.9.0.2'] },
  );
  deepStrictEqual(Object.keys(show(listeners)), ['10.9.0.1_80', '10.9.0.2_80']);
  deepStrictEqual([...listeners.ofEndpoints.bucket('shop|10.9.0.1').keys()], ['10.9.0.1_80']);
  deepStrictEqual([...listeners.ofEndpoints.bucket('shop|10.9.0.2').keys()], []);
});

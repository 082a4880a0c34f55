import { deepStrictEqual, ok } from 'node:assert/strict';
import { it } from 'node:test';
import type { TcpRoute } from '#api/virtual-service.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarSpec } from '#api/sidecar.ts';
import { createEngine } from '#collections/engine.ts';
import { Interner } from '#collections/interner.ts';
import type { Endpoint, ServiceEndpoints } from '#model/endpoint.ts';
import { AGENT_ONLY } from '#model/secret-servers.ts';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import type { Proxy } from '#model/proxy.ts';
import type { Protocol, Resolution, Service } from '#model/service.ts';
import { object, proxy } from '#model/service-model-rig.ts';
import { createStreamRoutes } from '#model/stream-routes.ts';
import type { VirtualService } from '#model/virtual-service.ts';
import type { ListenerDialect } from '#scope/listener-dialect.ts';
import { type ListenerFacts, meshListenerFacts } from '#scope/listener-facts.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import type { Imports } from '#scope/outbound-host-imports.ts';
import { createListenerViews } from '#scope/outbound-listener-view.ts';
import type { WorkloadExtensions } from '#scope/extension.ts';
import type { Viewer } from '#scope/viewer.ts';
import { createOutboundListeners, movedListener, type OutboundListener } from './outbound-listeners.ts';

interface ServiceFacts {
  readonly protocol?: Protocol;
  readonly address?: string;
  readonly resolution?: Resolution;
  readonly createdAtMs?: number;
}

function hostOf(name: string, facts: ServiceFacts): OutboundHost {
  const { protocol = 'TCP', address, resolution = 'STATIC', createdAtMs = 0 } = facts;
  const service = {
    hostname: name,
    namespace: 'shop',
    ports: [{ name: 'p', number: 80, protocol }],
    addresses: address === undefined ? [] : [address],
    resolution,
    registry: 'Kubernetes',
    visibility: { public: true, namespaces: [] },
    externalName: '',
    selector: {},
    createdAtMs,
    cause: { kind: 'Service', namespace: 'shop', name, path: '' },
  } as unknown as Service;
  return { viewer: 'shop', viewerNamespace: 'shop', service, policy: undefined };
}

const MESH_FACTS = meshListenerFacts({}, DEFAULT_MESH_FLAGS);
const VIEWER: Viewer = {
  key: 'shop',
  namespace: 'shop',
  proxyType: 'sidecar',
  sidecar: '',
  hasOriginalDestination: true,
  ipFamilies: 'v4',
  capturesDns: false,
  preservesHeaderCase: false,
  secretServers: AGENT_ONLY,
  clientCertificates: undefined,
  selectiveRules: [],
};

interface World {
  readonly behind?: Readonly<Record<string, readonly string[]>>;
  readonly viewer?: Partial<Viewer>;
  readonly proxies?: Readonly<Record<string, Partial<Proxy>>>;
  /** Own facts of proxies, by name. */
  readonly facts?: Readonly<Record<string, Partial<ListenerFacts>>>;
  readonly sidecar?: SidecarSpec;
  readonly routes?: readonly VirtualService[];
}

/** The listeners of viewer `shop`, which sees these services, with one proxy unless said otherwise. */
function worldOf(services: Readonly<Record<string, ServiceFacts>>, world: World = {}) {
  const engine = createEngine();
  const hosts = engine.source<OutboundHost>('hosts');
  const viewers = engine.source<Viewer>('viewers');
  const imports = engine.source<Imports>('imports');
  const endpoints = engine.source<ServiceEndpoints>('endpoints');
  const proxies = engine.source<Proxy>('proxies');
  const dialects = engine.source<ListenerDialect>('dialects');
  const sidecars = engine.source<MeshObject<SidecarSpec>>('sidecars');
  const virtualServices = engine.source<VirtualService>('virtualServices');
  const streamRoutes = createStreamRoutes(engine, virtualServices);
  const interner = new Interner({ freezeInputs: true });
  const shared = { hosts, viewers, imports, endpoints, streamRoutes, interner };
  const listenerViews = createListenerViews(engine, {
    ...shared,
    proxies,
    viewerOf: () => 'shop',
    sidecars,
    dialects,
    extensions: engine.source<WorkloadExtensions>('extensions'),
  });
  const listeners = createOutboundListeners(engine, { ...shared, listenerViews });
  viewers.set('shop', { ...VIEWER, ...world.viewer, sidecar: world.sidecar === undefined ? '' : 'shop/s' });
  if (world.sidecar !== undefined)
    sidecars.set('shop/s', object('Sidecar', 's', world.sidecar, { namespace: 'shop' }));
  for (const [name, own] of Object.entries(world.proxies ?? { p: {} })) {
    proxies.set(name, proxy(name, { id: name, ...own }));
    const facts = { ...MESH_FACTS, ...world.facts?.[name] };
    dialects.set(name, { key: world.facts?.[name] === undefined ? '' : name, facts });
  }
  for (const [name, facts] of Object.entries(services)) hosts.set(`shop|${name}`, hostOf(name, facts));
  for (const [name, addresses] of Object.entries(world.behind ?? {})) {
    const list = addresses.map((address) => ({ address, servicePort: 80 }) as Endpoint);
    endpoints.set(`shop/${name}`, { endpoints: list, identities: [] });
  }
  for (const route of world.routes ?? []) virtualServices.set(`shop/${route.name}`, route);
  engine.settle();
  return { engine, listeners, listenerViews, virtualServices, interner };
}

/** `route > server names or ranges -> cluster` of each listener, and who is behind it. */
function show({ listeners }: ReturnType<typeof worldOf>, view = 'shop') {
  const inputs = [...listeners.inputs.bucket(view).values()];
  return Object.fromEntries(inputs.map((listener) => [listener.input.name, showOne(listener)]));
}

function showOne({ input, causes }: Pick<OutboundListener, 'input' | 'causes'>): string {
  const chains = input.chains.map(({ sniHosts, cidrs, target }) =>
    target.kind === 'http'
      ? `routes ${target.routeTable}`
      : [...sniHosts, ...cidrs, '->', ...target.destinations.map((to) => to.hostname)].join(' '),
  );
  return [...chains, causes.map((cause) => cause.name).join('+')].join('; ');
}

function route(
  name: string,
  hosts: readonly string[],
  tcp: readonly TcpRoute[],
  more: Partial<VirtualService> = {},
): VirtualService {
  return {
    name,
    namespace: 'shop',
    createdAtMs: 0,
    hosts,
    gateways: ['mesh'],
    visibility: { public: true, namespaces: [] },
    semantics: 'virtual-service',
    http: [],
    tls: [],
    tcp,
    ...more,
  };
}

const to = (host: string): TcpRoute => ({ route: [{ destination: { host } }] });
const forLabel = (version: string, host: string): TcpRoute => ({
  match: [{ sourceLabels: { version } }],
  ...to(host),
});

it('HTTP services of one port share a listener and its routes', () => {
  const world = worldOf({ a: { protocol: 'HTTP', address: '10.1.0.1' }, b: { protocol: 'GRPC' } });
  deepStrictEqual(show(world), { '0.0.0.0_80': 'routes 80; a+b' });
});

it('a service that is looked into has routes of its own where it has an address of its own', () => {
  const own = { protocol: 'Unsupported', address: '10.1.0.1' } as const;
  const world = worldOf({ a: own, b: { protocol: 'Unsupported', resolution: 'DNS' } });
  deepStrictEqual(show(world), {
    '0.0.0.0_80': '-> b; routes 80; b',
    '10.1.0.1_80': '-> a; routes a:80; a',
  });
});

it('bytes, TLS and HTTP of one port share a listener; of the byte services the oldest has it', () => {
  const services: Readonly<Record<string, ServiceFacts>> = {
    young: { resolution: 'DNS', createdAtMs: 2 },
    old: { resolution: 'DNS', createdAtMs: 1 },
    web: { protocol: 'TLS', resolution: 'DNS' },
    range: { address: '10.2.0.0/16', resolution: 'NONE' },
    http: { protocol: 'HTTP' },
  };
  deepStrictEqual(show(worldOf(services)), {
    '0.0.0.0_80': 'routes 80; 10.2.0.0/16 -> range; web -> web; -> old; http+range+web+old',
  });
});

it('a listener names what must be there before it', () => {
  const { listeners } = worldOf({ a: { resolution: 'DNS' }, b: { protocol: 'HTTP' } });
  deepStrictEqual(listeners.resources.bucket('shop').get('0.0.0.0_80')?.resource.references, [
    'outbound|80||a',
    '80',
  ]);
});

it('endpoints of headless services are known by address, unless another service is there too', () => {
  const headless = { resolution: 'NONE' } as const;
  const behind = { db: ['10.9.0.1', '10.9.0.2'] };
  const { listeners, ...world } = worldOf({ db: headless, vip: { address: '10.9.0.2' } }, { behind });
  deepStrictEqual(Object.keys(show({ listeners, ...world })), ['10.9.0.1_80', '10.9.0.2_80']);
  deepStrictEqual([...listeners.ofEndpoints.bucket('shop|10.9.0.1').keys()], ['10.9.0.1_80']);
  deepStrictEqual([...listeners.ofEndpoints.bucket('shop|10.9.0.2').keys()], []);
});

it('VirtualServices route the bytes of their hosts, wildcards too; the owner’s private ones come first', () => {
  const services = {
    'a.x': { address: '10.1.0.1' },
    'b.x': { address: '10.1.0.2' },
    'c.y': { address: '10.1.0.3' },
  };
  const routes = [
    route('wild', ['*.x'], [to('any')]),
    route('own', ['a.x'], [to('mine')], { visibility: { public: false, namespaces: ['shop'] } }),
    route('hidden', ['c.y'], [to('hidden')], { visibility: { public: false, namespaces: ['other'] } }),
    route('gateway', ['c.y'], [to('edge')], { gateways: ['shop/edge'] }),
  ];
  deepStrictEqual(show(worldOf(services, { routes })), {
    '10.1.0.1_80': '-> mine; a.x+own',
    '10.1.0.2_80': '-> any; b.x+wild',
    '10.1.0.3_80': '-> c.y; c.y',
  });
});

it('a wildcard service is routed by VirtualServices for names below it', () => {
  const routes = [route('one', ['a.x'], [to('one')]), route('other', ['a.y'], [to('other')])];
  deepStrictEqual(show(worldOf({ '*.x': { address: '10.1.0.1' } }, { routes })), {
    '10.1.0.1_80': '-> one; *.x+one',
  });
});

it('clients with other labels have views of their own where a VirtualService asks for them', () => {
  const routes = [route('vs', ['a'], [forLabel('v1', 'one'), to('rest')])];
  const proxies = { p: {}, q: { labels: { version: 'v1' } }, r: { labels: { version: 'v2' } } };
  const world = worldOf({ a: { address: '10.1.0.1' }, b: { protocol: 'HTTP' } }, { routes, proxies });
  const views = [...world.listenerViews.views.all().keys()];
  deepStrictEqual(
    views.map((view) => show(world, view)['10.1.0.1_80']),
    ['-> rest; a+vs', '-> one; a+vs'],
  );
  // What does not differ is one resource.
  const [first, second] = views.map(
    (view) => world.listeners.resources.bucket(view).get('0.0.0.0_80')?.resource,
  );
  ok(first !== undefined && first === second);
});

it('proxies with settings of their own have a view of their own', () => {
  const proxies = { p: {}, q: {} };
  const facts = { q: { ipFamilies: 'dual' as const } };
  const { listenerViews } = worldOf({ a: { protocol: 'HTTP' } }, { proxies, facts });
  deepStrictEqual(
    [...listenerViews.views.all().values()].map((view) => view.facts.ipFamilies),
    ['v4', 'dual'],
  );
});

it('a proxy has no listener where its own doors are, nor sockets that it may not bind', () => {
  const shapes: readonly (readonly [ServiceFacts, Partial<ListenerFacts>, Partial<Viewer>])[] = [
    [{ protocol: 'HTTP' }, { reservedPorts: [80] }, {}],
    [{ address: '10.1.0.1' }, { reservedPorts: [80] }, {}],
    [{ resolution: 'DNS' }, { outboundPort: 80 }, {}],
    [{ resolution: 'DNS' }, { unprivileged: true }, { hasOriginalDestination: false }],
  ];
  const names = shapes.map(([service, facts, viewer]) =>
    Object.keys(show(worldOf({ a: service }, { facts: { p: facts }, viewer }), 'shop~' + viewKey())),
  );
  deepStrictEqual(names, [[], ['10.1.0.1_80'], ['0.0.0.0_80'], []]);

  /** The suffix of a view whose proxy `p` has a dialect of its own. */
  function viewKey(): string {
    const { listenerViews } = worldOf({}, { facts: { p: {} } });
    return [...listenerViews.views.all().keys()][0]?.split('~')[1] ?? '';
  }
});

it('a Sidecar’s word on unknown destinations is in its viewers’ listeners', () => {
  const facts = (sidecar: SidecarSpec) => {
    const { listenerViews } = worldOf({}, { sidecar });
    const [view] = listenerViews.views.all().values();
    return [view?.facts.outboundPolicy, view?.facts.egressProxy];
  };
  const egressProxy = { host: 'e.com', port: { number: 443 } };
  deepStrictEqual(facts({ outboundTrafficPolicy: {} }), ['REGISTRY_ONLY', undefined]);
  deepStrictEqual(facts({ outboundTrafficPolicy: { mode: 'ALLOW_ANY', egressProxy } }), [
    'ALLOW_ANY',
    { hostname: 'e.com', port: 443, subset: '' },
  ]);
});

it('on one machine bytes move to the proxy’s own address; HTTP stays with the proxy listener unless a port was asked for', () => {
  const viewer = { hasOriginalDestination: false };
  const { listeners } = worldOf({ a: {}, b: { protocol: 'HTTP' } }, { viewer });
  const [listener] = listeners.inputs.bucket('shop').values();
  if (listener === undefined) throw new Error('no listener');
  const moved = (isChosen: boolean, address = listener.input.address) => {
    const input = movedListener(
      { ...listener, isChosen, input: { ...listener.input, address } },
      '127.4.0.4',
    );
    return input === undefined ? undefined : `${input.name} ${showOne({ input, causes: [] })}`;
  };
  deepStrictEqual(
    [moved(false), moved(true), moved(true, '127.9.9.9')],
    ['127.4.0.4_80 -> a; ', '127.4.0.4_80 -> a; ', '127.0.0.1_80 -> a; '],
  );
  const http = worldOf({ b: { protocol: 'HTTP' } }, { viewer })
    .listeners.inputs.bucket('shop')
    .values();
  const [only] = http;
  deepStrictEqual(only && [movedListener(only, 'x'), movedListener({ ...only, isChosen: true }, 'x')?.name], [
    undefined,
    'x_80',
  ]);
});

it('a changed stream route costs the listeners of its hosts, not those of others', () => {
  const services = Object.fromEntries(
    Array.from({ length: 300 }, (_, i) => [`s${i}.x`, { address: `10.1.${i >> 8}.${i & 255}` }]),
  );
  const { engine, virtualServices, interner } = worldOf(services, {
    routes: [route('vs', ['s1.x'], [to('a')])],
  });
  const before = { runs: engine.counters.recomputed, encoded: interner.encoded };
  virtualServices.set('shop/vs', route('vs', ['s1.x'], [to('b')]));
  engine.settle();
  deepStrictEqual(interner.encoded - before.encoded, 1);
  ok(
    engine.counters.recomputed - before.runs < 10,
    `${engine.counters.recomputed - before.runs} derivations`,
  );
});

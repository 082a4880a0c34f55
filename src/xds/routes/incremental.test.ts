import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import type { GatewaySpec } from '#api/gateway.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SourceCollection } from '#collections/collection.ts';
import type { VirtualServiceSpec } from '#api/virtual-service.ts';
import type { Proxy } from '#model/proxy.ts';
import { kubernetesService, object, port, proxy, serviceEntry } from '#model/service-model-rig.ts';
import { type RouteRig, routeRig, virtualService } from './route-rig.ts';

/** A step: an object comes, changes or goes, or a proxy does. */
type Step =
  | { readonly kind: 'apply'; readonly object: MeshObject }
  | { readonly kind: 'remove'; readonly object: MeshObject }
  | { readonly kind: 'connect'; readonly proxy: Proxy }
  | { readonly kind: 'disconnect'; readonly proxy: Proxy }
  | { readonly kind: 'settle' };

const NAMESPACES = ['one', 'two'] as const;
const HOSTS = ['a', 'b', 'b.one', 'x.example.com', '*.example.com', '*', 'a.two.svc.cluster.local'] as const;

const namespace = fc.constantFrom(...NAMESPACES);
const host = fc.constantFrom(...HOSTS);

const service = fc
  .record({
    name: fc.constantFrom('a', 'b'),
    namespace,
    ports: fc.subarray([80, 9080], { minLength: 1 }),
    sniffed: fc.boolean(),
    address: fc.constantFrom('10.0.0.1', '10.0.0.2'),
  })
  .map(({ name, namespace, ports, sniffed, address }) =>
    kubernetesService(
      name,
      {
        clusterIP: address,
        clusterIPs: [address],
        ports: ports.map((number) => port(`${sniffed ? 'x' : 'http'}-${number}`, { port: number })),
      },
      { namespace },
    ),
  );

const entry = fc
  .record({
    name: fc.constantFrom('e', 'f'),
    namespace,
    host: fc.constantFrom('x.example.com', 'b.one', '*.example.com'),
  })
  .map(({ name, namespace, host }) =>
    serviceEntry(name, { hosts: [host], resolution: host.startsWith('*') ? 'NONE' : 'DNS' }, { namespace }),
  );

const rule = fc
  .record({
    to: host,
    port: fc.constantFrom(0, 80),
    version: fc.constantFrom('', 'v1', 'v2'),
    gateway: fc.boolean(),
  })
  .map(({ to, port, version, gateway }) => ({
    match: [
      {
        ...(port === 0 ? {} : { port }),
        ...(version === '' ? {} : { sourceLabels: { version } }),
        ...(gateway ? { gateways: ['one/g'] } : {}),
      },
    ],
    route: [{ destination: { host: to } }],
  }));

const routing = fc
  .record({
    name: fc.constantFrom('v', 'w'),
    namespace,
    hosts: fc.uniqueArray(host, { minLength: 1, maxLength: 2 }),
    gateways: fc.constantFrom<string[] | undefined>(undefined, ['one/g'], ['mesh', 'one/g']),
    exportTo: fc.constantFrom<string[] | undefined>(undefined, ['.']),
    http: fc.array(rule, { minLength: 1, maxLength: 2 }),
    delegates: fc.boolean(),
    createdAtMs: fc.nat(2),
  })
  .map(({ name, namespace, hosts, gateways, exportTo, http, delegates, createdAtMs }) => {
    const spec: VirtualServiceSpec = {
      hosts,
      http: delegates ? [...http, { delegate: { name: 'd', namespace: 'one' } }] : http,
      ...(gateways === undefined ? {} : { gateways }),
      ...(exportTo === undefined ? {} : { exportTo }),
    };
    return virtualService(name, spec, { namespace, createdAtMs });
  });

const delegate = fc
  .array(rule, { maxLength: 2 })
  .map((http) => virtualService('d', { http }, { namespace: 'one' }));

const gateway = fc
  .record({
    number: fc.constantFrom(80, 8080),
    tls: fc.boolean(),
    hosts: fc.constantFrom<string[]>(['*'], ['*.example.com'], ['one/x.example.com']),
  })
  .map(({ number, tls, hosts }) => {
    const port = { number, name: 'p', protocol: tls ? 'HTTPS' : 'HTTP' };
    const secured = tls ? { tls: { mode: 'SIMPLE' as const, credentialName: 'c' } } : {};
    return object<GatewaySpec>(
      'Gateway',
      'g',
      { servers: [{ port, hosts, ...secured }] },
      { namespace: 'one' },
    );
  });

const sidecar = namespace.map((namespace) =>
  object('Sidecar', 's', { egress: [{ hosts: ['./*', '*/x.example.com'] }] }, { namespace }),
);

const PROXIES: readonly Proxy[] = [
  proxy('plain', { id: 'plain', namespace: 'one' }),
  proxy('v1', { id: 'v1', namespace: 'one', labels: { version: 'v1' } }),
  proxy('v2', { id: 'v2', namespace: 'two', labels: { version: 'v2' } }),
  proxy('bound', { id: 'bound', namespace: 'two', interceptionMode: 'NONE', httpProxyPort: 15007 }),
  proxy('gw', { id: 'gw', namespace: 'one', type: 'router' }),
];

const anyObject: fc.Arbitrary<MeshObject> = fc.oneof(
  service,
  entry,
  routing,
  routing,
  delegate,
  gateway,
  sidecar,
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: anyObject.map((object): Step => ({ kind: 'apply', object })) },
  { weight: 2, arbitrary: anyObject.map((object): Step => ({ kind: 'remove', object })) },
  { weight: 1, arbitrary: fc.constantFrom(...PROXIES).map((proxy): Step => ({ kind: 'connect', proxy })) },
  { weight: 1, arbitrary: fc.constantFrom(...PROXIES).map((proxy): Step => ({ kind: 'disconnect', proxy })) },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: 'settle' }) },
);

/** What the steps leave behind. */
class World {
  readonly #objects = new Map<string, MeshObject>();
  readonly #proxies = new Map<string, Proxy>(PROXIES.map((proxy) => [proxy.id, proxy]));
  readonly rig: RouteRig = routeRig();

  constructor() {
    this.rig.connect(...PROXIES);
  }

  take(step: Step): void {
    if (step.kind === 'settle') this.rig.engine.settle();
    else if (step.kind === 'connect') this.#connect(step.proxy);
    else if (step.kind === 'disconnect') this.#disconnect(step.proxy);
    else this.#change(step);
  }

  /** A mesh that never had another state. */
  rebuilt(): RouteRig {
    const rig = routeRig();
    for (const each of this.#objects.values()) put(rig, each);
    rig.connect(...this.#proxies.values());
    return rig;
  }

  get proxies(): readonly Proxy[] {
    return [...this.#proxies.values()];
  }

  #connect(connected: Proxy): void {
    this.#proxies.set(connected.id, connected);
    this.rig.connect(connected);
  }

  #disconnect(gone: Proxy): void {
    this.#proxies.delete(gone.id);
    this.rig.disconnect(gone);
  }

  #change({ kind, object: changed }: Extract<Step, { object: MeshObject }>): void {
    const key = `${changed.kind}/${changed.namespace}/${changed.name}`;
    if (kind === 'apply') {
      this.#objects.set(key, changed);
      put(this.rig, changed);
    } else {
      this.#objects.delete(key);
      sourceOf(this.rig, changed).delete(`${changed.namespace}/${changed.name}`);
    }
  }
}

function put(rig: RouteRig, each: MeshObject): void {
  sourceOf(rig, each).set(`${each.namespace}/${each.name}`, each);
}

function sourceOf(rig: RouteRig, { kind }: MeshObject): SourceCollection<MeshObject> {
  return (kind === 'Gateway' ? rig.gateways : rig.of(kind as 'Service')) as SourceCollection<MeshObject>;
}

/** Bytes and causes of everything that the proxies get. */
function everything(rig: RouteRig, proxies: readonly Proxy[]): unknown {
  return proxies.map((each) => {
    const entries = [...rig.routeEntries(each), ...(each.type === 'router' ? rig.listenerEntries(each) : [])];
    return entries.map(([name, { resource, causes }]) => [
      each.id,
      name,
      Buffer.from(resource.bytes).toString('base64'),
      causes,
    ]);
  });
}

/** Envoy refuses a table in which two virtual hosts have one domain. */
function repeatedDomains(rig: RouteRig, proxies: readonly Proxy[]): readonly string[] {
  return proxies.flatMap((each) =>
    [...rig.routeEntries(each).keys()].flatMap((name) => {
      const domains = (rig.table(each, name).virtualHosts ?? []).flatMap((host) => host.domains);
      return domains
        .filter((domain, i) => domains.indexOf(domain) !== i)
        .map((domain) => `${name} ${domain}`);
    }),
  );
}

test('after any sequence of changes proxies have what a mesh that was always so would give them', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 25 }), (steps) => {
      const world = new World();
      for (const each of steps) world.take(each);
      world.rig.engine.settle();
      deepStrictEqual(everything(world.rig, world.proxies), everything(world.rebuilt(), world.proxies));
      deepStrictEqual(repeatedDomains(world.rig, world.proxies), []);
    }),
    { numRuns: 40 },
  );
});

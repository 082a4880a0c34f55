/**
 * Sidecar objects, exportTo lists and discovery selectors hide exactly what they should: the clusters, routes and listeners that
 * every proxy of a random mesh gets are those that a naive restatement of Istio's rules allows it, and no others.
 * Rules: networking.istio.io Sidecar (egress.hosts, workloadSelector), exportTo of ServiceEntry and Service, meshConfig
 * defaultServiceExportTo and discoverySelectors. LATEEN_LONG=1 runs it for minutes.
 */
import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { isNamespaceSelected } from '#sources/object-selection.ts';
import { meshFixture, type PlainSnapshot } from '../support/mesh-fixture.ts';

const isLong = process.env['LATEEN_LONG'] === '1';
const NAMESPACES = ['default', 'shop', 'istio-system'] as const;
const ROOT = 'istio-system';
const HTTP_PORT = 80;
const TCP_PORT = 3306;

interface Destination {
  readonly kind: 'Service' | 'ServiceEntry';
  readonly name: string;
  readonly namespace: string;
  readonly ports: readonly number[];
  /** Undefined where it says nothing. */
  readonly exportTo: readonly string[] | undefined;
}

interface Scope {
  readonly namespace: string;
  /** Undefined: for all workloads of the namespace. */
  readonly app: string | undefined;
  readonly egress: readonly { readonly port: number | undefined; readonly hosts: readonly string[] }[];
}

interface World {
  readonly destinations: readonly Destination[];
  readonly scopes: readonly Scope[];
  readonly defaultExportTo: readonly string[] | undefined;
  /** Namespaces with the label that is looked for; undefined: nothing is looked for. */
  readonly discovered: readonly string[] | undefined;
}

const exportTo = fc.option(
  fc.constantFrom(['*'], ['.'], ['~'], ['shop'], ['.', 'elsewhere'], ['istio-system'], ['shop', 'default']),
  { nil: undefined },
);
const namespace = fc.constantFrom(...NAMESPACES);
const destination: fc.Arbitrary<Destination> = fc.record({
  kind: fc.constantFrom('Service', 'ServiceEntry'),
  name: fc.constantFrom('a', 'b', 'c'),
  namespace,
  ports: fc.constantFrom([HTTP_PORT], [TCP_PORT], [HTTP_PORT, TCP_PORT]),
  exportTo,
});
const egressHost = fc.constantFrom(
  './*',
  '*/*',
  '~/*',
  'shop/*',
  'default/a.default.svc.cluster.local',
  '*/b.shop.svc.cluster.local',
  '*/*.example.com',
  './*.default.example.com',
  'istio-system/*',
  '~shop/*',
  '~./*.example.com',
);
const egress = fc.uniqueArray(
  fc.record({
    port: fc.constantFrom(undefined, HTTP_PORT, TCP_PORT),
    hosts: fc.uniqueArray(egressHost, { minLength: 1, maxLength: 3 }),
  }),
  { minLength: 1, maxLength: 3, selector: ({ port }) => port },
);
const world: fc.Arbitrary<World> = fc.record({
  destinations: fc.uniqueArray(destination, {
    minLength: 1,
    maxLength: 12,
    selector: (one) => hostOf(one),
  }),
  scopes: fc.uniqueArray(fc.record({ namespace, app: fc.constantFrom(undefined, undefined, 'a'), egress }), {
    maxLength: 4,
    selector: (scope) => `${scope.namespace}/${scope.app}`,
  }),
  defaultExportTo: fc.constantFrom(undefined, ['*'], ['.']),
  discovered: fc.option(fc.subarray([...NAMESPACES]), { nil: undefined }),
});

const PROXIES = NAMESPACES.flatMap((own) => ['a', 'b'].map((app) => ({ namespace: own, app })));
type Viewer = (typeof PROXIES)[number];

function hostOf({ kind, name, namespace: own }: Destination): string {
  return kind === 'Service' ? `${name}.${own}.svc.cluster.local` : `${name}.${own}.example.com`;
}

/** An address of its own for each destination. */
function addressOf({ destinations }: World, one: Destination): string {
  return `10.1.0.${destinations.indexOf(one) + 1}`;
}

// The rules, as plainly as they can be said.

function isExported(one: Destination, viewer: Viewer, { defaultExportTo }: World): boolean {
  const list = one.exportTo ?? defaultExportTo ?? ['*'];
  if (list.includes('*')) return true;
  if (list.includes('~')) return false;
  return list.some((entry) => (entry === '.' ? one.namespace : entry) === viewer.namespace);
}

/** Of the workload first, then of the namespace, then of the whole mesh. */
function scopeOf({ namespace: own, app }: Viewer, { scopes, discovered }: World): Scope | undefined {
  const known = scopes.filter((scope) => discovered?.includes(scope.namespace) ?? true);
  return (
    known.find((scope) => scope.namespace === own && scope.app === app) ??
    known.find((scope) => scope.namespace === own && scope.app === undefined) ??
    known.find((scope) => scope.namespace === ROOT && scope.app === undefined)
  );
}

/** An entry with `~` takes away what others give. */
function isImported(one: Destination, hosts: readonly string[], viewer: Viewer): boolean {
  const means = (from: string, pattern: string): boolean => {
    const isFromThere = from === '*' || (from === '.' ? viewer.namespace : from) === one.namespace;
    const host = hostOf(one);
    const fits =
      pattern === '*' || (pattern.startsWith('*') ? host.endsWith(pattern.slice(1)) : host === pattern);
    return isFromThere && fits;
  };
  const entries = hosts.map((text) => text.split('/') as [string, string]);
  const isTaken = entries.some(
    ([from, pattern]) => from.startsWith('~') && means(from.slice(1) || '*', pattern),
  );
  return !isTaken && entries.some(([from, pattern]) => !from.startsWith('~') && means(from, pattern));
}

/** Ports that the proxy may reach at all. */
function reachablePorts(one: Destination, viewer: Viewer, mesh: World): readonly number[] {
  if (!isExported(one, viewer, mesh)) return [];
  const scope = scopeOf(viewer, mesh);
  if (scope === undefined) return one.ports;
  const importing = scope.egress.filter(({ hosts }) => isImported(one, hosts, viewer));
  return one.ports.filter((port) => importing.some((each) => each.port === undefined || each.port === port));
}

/** Ports on which requests are routed to it: a port has its own egress listener, else the one without a port. */
function routedPorts(one: Destination, viewer: Viewer, mesh: World): readonly number[] {
  if (!isExported(one, viewer, mesh)) return [];
  const scope = scopeOf(viewer, mesh);
  if (scope === undefined) return one.ports;
  return one.ports.filter((port) => {
    const deciding =
      scope.egress.find((each) => each.port === port) ?? scope.egress.find((each) => each.port === undefined);
    return deciding !== undefined && isImported(one, deciding.hosts, viewer);
  });
}

interface Seen {
  readonly clusters: readonly string[];
  readonly routes: readonly string[];
  readonly listeners: readonly string[];
}

function expected(viewer: Viewer, mesh: World): Seen {
  const known = mesh.destinations.filter((one) => mesh.discovered?.includes(one.namespace) ?? true);
  const each = (
    ports: typeof reachablePorts,
    name: (one: Destination, port: number) => string | undefined,
  ): string[] =>
    known.flatMap((one) => ports(one, viewer, mesh).flatMap((port) => name(one, port) ?? [])).sort();
  return {
    clusters: each(reachablePorts, (one, port) => `outbound|${port}||${hostOf(one)}`),
    routes: each(routedPorts, (one, port) =>
      port === HTTP_PORT ? `${hostOf(one)}:${HTTP_PORT}` : undefined,
    ),
    // Its own address is listened on, whichever egress listener imports it.
    listeners: each(reachablePorts, (one, port) =>
      port === TCP_PORT ? `${addressOf(mesh, one)}_${TCP_PORT}` : undefined,
    ),
  };
}

function actual({ clusters, routes, listeners }: PlainSnapshot): Seen {
  const { virtualHosts: table = [] } = (routes[String(HTTP_PORT)] ?? {}) as {
    readonly virtualHosts?: readonly { readonly name: string }[];
  };
  return {
    clusters: Object.keys(clusters)
      .filter((name) => name.startsWith('outbound|'))
      .sort(),
    routes: table
      .map(({ name }) => name)
      .filter((name) => name.includes(':'))
      .sort(),
    listeners: Object.keys(listeners)
      .filter((name) => name.startsWith('10.1.0.'))
      .sort(),
  };
}

function manifestOf(one: Destination, mesh: World): object {
  const { kind, name, namespace: own, ports } = one;
  const named = ports.map((number) => ({ number, name: number === HTTP_PORT ? 'http' : 'tcp' }));
  if (kind === 'Service') {
    const text = one.exportTo?.join(',');
    const annotations = text === undefined ? {} : { 'networking.istio.io/exportTo': text };
    return {
      apiVersion: 'v1',
      kind,
      metadata: { name, namespace: own, annotations },
      spec: {
        clusterIP: addressOf(mesh, one),
        ports: named.map(({ number, name: portName }) => ({ port: number, name: portName })),
      },
    };
  }
  return {
    apiVersion: 'networking.istio.io/v1',
    kind,
    metadata: { name, namespace: own },
    spec: {
      hosts: [hostOf(one)],
      addresses: [addressOf(mesh, one)],
      resolution: 'STATIC',
      ports: named.map((port) => ({ ...port, protocol: port.name.toUpperCase() })),
      endpoints: [{ address: '10.8.0.1' }],
      ...(one.exportTo === undefined ? {} : { exportTo: one.exportTo }),
    },
  };
}

function sidecarOf({ namespace: own, app, egress: listeners }: Scope): object {
  // The listener for all other ports is the last, as Istio wants it.
  const ordered = listeners.toSorted((x, y) => (y.port ?? 0) - (x.port ?? 0));
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Sidecar',
    metadata: { name: app ?? 'all', namespace: own },
    spec: {
      ...(app === undefined ? {} : { workloadSelector: { labels: { app } } }),
      egress: ordered.map(({ port, hosts }) => {
        const protocol = port === HTTP_PORT ? 'HTTP' : 'TCP';
        return port === undefined
          ? { hosts }
          : { hosts, port: { number: port, protocol, name: protocol.toLowerCase() } };
      }),
    },
  };
}

/** Every proxy's view of the mesh. */
function viewsOf(mesh: World): readonly Seen[] {
  const fixture = meshFixture();
  const { defaultExportTo, discovered } = mesh;
  if (defaultExportTo !== undefined)
    fixture.configure({ defaultServiceExportTo: defaultExportTo, defaultDestinationRuleExportTo: ['*'] });
  const selectors = discovered === undefined ? [] : [{ matchLabels: { mesh: 'ours' } }];
  const objects = [
    ...mesh.destinations.map((one) => ({ own: one.namespace, manifest: manifestOf(one, mesh) })),
    ...mesh.scopes.map((scope) => ({ own: scope.namespace, manifest: sidecarOf(scope) })),
  ];
  for (const { own, manifest } of objects) {
    const labels: Record<string, string> = discovered?.includes(own) === true ? { mesh: 'ours' } : {};
    if (isNamespaceSelected(selectors, labels)) fixture.apply(stringify(manifest));
  }
  PROXIES.forEach(({ namespace: own, app }, at) =>
    fixture.connect({ name: `${app}-${own}`, ip: `10.7.0.${at + 1}`, namespace: own, labels: { app } }),
  );
  return PROXIES.map(({ namespace: own, app }) => actual(fixture.snapshot(`${app}-${own}`)));
}

test('every proxy gets clusters, routes and listeners for what it may see, and nothing else', () => {
  fc.assert(
    fc.property(world, (mesh) => {
      deepStrictEqual(
        viewsOf(mesh),
        PROXIES.map((viewer) => expected(viewer, mesh)),
      );
    }),
    isLong
      ? { numRuns: 20_000, interruptAfterTimeLimit: 300_000 }
      : { numRuns: 60, interruptAfterTimeLimit: 30_000 },
  );
});

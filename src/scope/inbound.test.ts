import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import type { MeshObject } from '#api/mesh-object.ts';
import type { PeerAuthenticationSpec } from '#api/peer-authentication.ts';
import { createEngine } from '#collections/engine.ts';
import type { SidecarSpec } from '#api/sidecar.ts';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { createPeerAuthenticationModel } from '#model/peer-authentication.ts';
import type { Proxy } from '#model/proxy.ts';
import type { Protocol, Service } from '#model/service.ts';
import { object, proxy } from '#model/service-model-rig.ts';
import type { ProxyWorkload, ServiceTarget } from '#model/service-target.ts';
import { createInboundScope, type InboundDestination, type InboundPort } from './inbound.ts';
import type { ListenerDialect } from './listener-dialect.ts';
import { type ListenerFacts, meshListenerFacts } from './listener-facts.ts';
import type { DestinationPolicy, OutboundHost } from './outbound-host.ts';
import type { Viewer } from './viewer.ts';

const STRICT: PeerAuthenticationSpec = {
  mtls: { mode: 'STRICT' },
  portLevelMtls: { 9090: { mode: 'DISABLE' } },
};

function target(
  name: string,
  port: number,
  targetPort: number,
  protocol: Protocol = 'HTTP',
  createdAtMs = 0,
): ServiceTarget {
  const cause = { kind: 'Service', namespace: 'default', name, path: '' };
  const service = {
    hostname: `${name}.default`,
    name,
    namespace: 'default',
    registry: 'Kubernetes',
    createdAtMs,
    cause,
  };
  return {
    service: service as unknown as Service,
    port: { name: 'p', number: port, protocol, targetPort, targetPortName: '' },
    targetPort,
  };
}

interface Setting {
  readonly workload?: Partial<ProxyWorkload>;
  readonly proxy?: Partial<Proxy>;
  readonly sidecar?: SidecarSpec;
  readonly facts?: Partial<ListenerFacts>;
  readonly policy?: Partial<DestinationPolicy>;
}

/** The inbound facet of a sidecar, under a STRICT policy that selects label `app: a`. */
function inboundOf({ workload, proxy: own, sidecar, facts, policy }: Setting) {
  const engine = createEngine();
  const proxies = engine.source<Proxy>('proxies');
  const dialects = engine.source<ListenerDialect>('dialects');
  const viewers = engine.source<Viewer>('viewers');
  const hosts = engine.source<OutboundHost>('hosts');
  const sidecars = engine.source<MeshObject<SidecarSpec>>('sidecars');
  const objects = engine.source<MeshObject<PeerAuthenticationSpec>>('objects');
  const peerAuthentication = createPeerAuthenticationModel(engine, objects);
  const scope = createInboundScope(engine, {
    proxies,
    dialects,
    viewers,
    viewerOf: () => 'default',
    hosts,
    sidecars,
    peerAuthentication,
    workloadOf: () => ({ targets: [], appAddress: '', appPorts: {}, ...workload }),
  });
  const connected = proxy('a', { addresses: ['127.4.0.2'], ...own });
  const mesh = meshListenerFacts({ rootNamespace: 'root' }, DEFAULT_MESH_FLAGS);
  proxies.set(connected.id, connected);
  dialects.set(connected.id, { key: '', facts: { ...mesh, ...facts } });
  viewers.set('default', { key: 'default', sidecar: sidecar === undefined ? '' : 'default/s' } as Viewer);
  if (sidecar !== undefined) sidecars.set('default/s', object('Sidecar', 's', sidecar));
  if (policy !== undefined)
    hosts.set('default|a.default', { policy: { clientSelector: undefined, ...policy } } as OutboundHost);
  const selector = { matchLabels: { app: 'a' } };
  objects.set('default/a', object('PeerAuthentication', 'a', { selector, ...STRICT }));
  engine.settle();
  return scope.get(connected.id);
}

/** `bind:port > destination (service port) protocol mode services`, `bound` where the port has a socket. */
function show({
  bind,
  port,
  destination,
  servicePort,
  protocol,
  mode,
  services,
  isBound,
}: InboundPort): string {
  const names = services.map(({ name }) => name).join('+');
  return `${bind}:${port} > ${target(destination)} (${servicePort}) ${protocol} ${mode} ${names}${isBound ? ' bound' : ''}`;

  function target(to: InboundDestination): string {
    if (to.kind === 'original') return 'as it came';
    return to.kind === 'socket' ? to.path : `${to.address}:${to.port}`;
  }
}

it('each port of the workload is served once, with its mode', () => {
  const targets = [target('a', 80, 8080), target('b', 9090, 9090, 'TCP'), target('dns', 53, 53, 'UDP')];
  const scope = inboundOf({ workload: { targets }, proxy: { labels: { app: 'a' } } });
  deepStrictEqual(scope?.inbound.ports.map(show), [
    // A UDP port too: Istio serves its number over TCP.
    '0.0.0.0:53 > as it came (53) UDP STRICT dns',
    '0.0.0.0:8080 > as it came (80) HTTP STRICT a',
    '0.0.0.0:9090 > as it came (9090) TCP DISABLE b',
  ]);
  deepStrictEqual([scope?.inbound.mode, scope?.inbound.passthroughPorts], ['STRICT', []]);
});

it('a port that only a policy names is passed through under its mode', () => {
  const scope = inboundOf({
    workload: { targets: [target('a', 80, 8080)] },
    proxy: { labels: { app: 'a' } },
  });
  deepStrictEqual(scope?.inbound.passthroughPorts, [{ port: 9090, mode: 'DISABLE' }]);
});

it('of services with one port the oldest says what is spoken', () => {
  const targets = [
    target('young', 80, 8080, 'TCP', 2),
    target('old', 81, 8080, 'GRPC', 1),
    target('young', 80, 8080, 'TCP', 2),
  ];
  deepStrictEqual(inboundOf({ workload: { targets } })?.inbound.ports.map(show), [
    '0.0.0.0:8080 > as it came (81) GRPC PERMISSIVE old+young',
  ]);
});

it('on one machine the workload’s address is bound, and the application is elsewhere', () => {
  const workload = { targets: [target('a', 80, 8080)], appAddress: '127.4.0.3', appPorts: { 8080: 18080 } };
  const { inbound } = inboundOf({ workload, proxy: { interceptionMode: 'NONE' } }) ?? {};
  deepStrictEqual(inbound?.ports.map(show), [
    '127.4.0.2:8080 > 127.4.0.3:18080 (80) HTTP PERMISSIVE a bound',
  ]);
});

it('without capture the application has its ports itself', () => {
  const workload = { targets: [target('a', 80, 8080)] };
  deepStrictEqual(inboundOf({ workload, proxy: { interceptionMode: 'NONE' } })?.inbound.ports, []);
});

it('mesh config may send connections to the loopback', () => {
  const workload = { targets: [target('a', 80, 8080)] };
  const facts = { inboundLocalhost: true };
  deepStrictEqual(
    [facts, { ...facts, ipFamilies: 'v6' as const }].map((one) =>
      inboundOf({ workload, facts: one })?.inbound.ports.map(show),
    ),
    [['0.0.0.0:8080 > 127.0.0.1:8080 (80) HTTP PERMISSIVE a'], [':::8080 > ::1:8080 (80) HTTP PERMISSIVE a']],
  );
});

it('the proxy’s own ports are not the workload’s', () => {
  const targets = [15001, 15006, 15021, 8080].map((port) => target('a', port, port));
  const ports = inboundOf({ workload: { targets }, facts: { reservedPorts: [15021] } })?.inbound.ports;
  deepStrictEqual(
    ports?.map(({ port }) => port),
    [8080],
  );
});

const ENDPOINTS: readonly (readonly [string, string])[] = [
  ['', 'as it came'],
  ['127.0.0.1:9000', '127.0.0.1:9000'],
  ['0.0.0.0:9000', '10.1.0.5:9000'],
  ['[::]:9000', 'fd00::5:9000'],
  ['[::1]:9000', '::1:9000'],
  ['unix:///run/app.sock', '/run/app.sock'],
];
for (const [defaultEndpoint, expected] of ENDPOINTS) {
  it(`a Sidecar’s ingress listener with endpoint "${defaultEndpoint}" goes to ${expected}`, () => {
    const ingress = [{ port: { number: 80, protocol: 'HTTP', name: 'http' }, defaultEndpoint }];
    const own = { addresses: ['10.1.0.5', 'fd00::5'] };
    const scope = inboundOf({ sidecar: { ingress }, proxy: own, facts: { ipFamilies: 'dual' } });
    deepStrictEqual(scope?.inbound.ports.map(show), [`10.1.0.5:80 > ${expected} (80) HTTP PERMISSIVE s`]);
  });
}

it('ingress listeners stand in the place of services, which still name the port', () => {
  const targets = [target('a', 80, 8080), target('b', 90, 9090)];
  const ingress = [
    { port: { number: 8080, protocol: 'GRPC', name: 'grpc' }, defaultEndpoint: '127.0.0.1:1' },
  ];
  const setting = { workload: { targets }, sidecar: { ingress }, proxy: { addresses: ['10.1.0.5'] } };
  const own = '10.1.0.5:8080 > 127.0.0.1:1 (8080) GRPC PERMISSIVE a';
  deepStrictEqual(inboundOf(setting)?.inbound.ports.map(show), [own]);
  const flags = { ...meshListenerFacts({}, DEFAULT_MESH_FLAGS).flags, mergeSidecarIngress: true };
  deepStrictEqual(inboundOf({ ...setting, facts: { flags } })?.inbound.ports.map(show), [
    own,
    '0.0.0.0:9090 > as it came (90) HTTP PERMISSIVE b',
  ]);
});

it('an ingress listener has a socket where it says so, or where nothing is captured; the address may be given', () => {
  const at = (number: number) => ({ number, protocol: 'TCP', name: 'tcp' });
  const ingress: SidecarSpec['ingress'] = [
    { port: at(1), captureMode: 'NONE', bind: '127.0.0.9' },
    { port: at(2), captureMode: 'IPTABLES' },
    { port: at(3) },
    { port: at(3), bind: '127.0.0.9' },
  ];
  const bound = (own: Partial<Proxy>) =>
    inboundOf({ sidecar: { ingress }, proxy: own })?.inbound.ports.map(
      ({ bind, port, isBound }) => `${bind}:${port} ${isBound}`,
    );
  const addresses = ['169.254.1.1', '10.1.0.5'];
  deepStrictEqual(bound({ addresses }), ['127.0.0.9:1 true', '10.1.0.5:2 false', '10.1.0.5:3 false']);
  deepStrictEqual(bound({ addresses, interceptionMode: 'NONE' }), [
    '127.0.0.9:1 true',
    '10.1.0.5:2 false',
    '10.1.0.5:3 true',
  ]);
});

it('on one machine the application’s address stands for loopback and instance', () => {
  const at = (number: number) => ({ number, protocol: 'TCP', name: 'tcp' });
  const ingress = [{ port: at(1) }, { port: at(2), defaultEndpoint: '127.0.0.1:8080' }];
  const workload = { appAddress: '127.4.0.3', appPorts: { 8080: 18080 } };
  const facts = { onOneMachine: true };
  const scope = inboundOf({ workload, facts, sidecar: { ingress }, proxy: { interceptionMode: 'NONE' } });
  deepStrictEqual(scope?.inbound.ports.map(show), [
    '127.4.0.2:1 > 127.4.0.3:1 (1) TCP PERMISSIVE s bound',
    '127.4.0.2:2 > 127.4.0.3:18080 (2) TCP PERMISSIVE s bound',
  ]);
});

it('a proxy without privileges has no socket below 1024, and none where its own doors are', () => {
  const at = (number: number) => ({ number, protocol: 'HTTP', name: 'http' });
  const ingress: SidecarSpec['ingress'] = [{ port: at(80) }, { port: at(8080) }, { port: at(15021) }];
  const facts = { unprivileged: true, reservedPorts: [15021] };
  const scope = inboundOf({ sidecar: { ingress }, facts, proxy: { interceptionMode: 'NONE' } });
  deepStrictEqual(
    scope?.inbound.ports.map(({ port }) => port),
    [8080],
  );
});

it('TLS of an ingress listener counts where the flag is set, and what is spoken inside of it with it', () => {
  const tls = { mode: 'SIMPLE' as const, serverCertificate: '/c', privateKey: '/k' };
  const ingress = [{ port: { number: 9443, protocol: 'HTTPS', name: 'https' }, tls }];
  const flags = { ...meshListenerFacts({}, DEFAULT_MESH_FLAGS).flags, tlsOnSidecarIngress: true };
  const seen = [{}, { flags }].map((facts) =>
    inboundOf({ sidecar: { ingress }, facts })?.inbound.ports.map((port) => [port.protocol, port.tls?.mode]),
  );
  deepStrictEqual(seen, [[['HTTPS', undefined]], [['HTTP', 'SIMPLE']]]);
});

const limit = (maxConnections: number) => ({ tcp: { maxConnections } });
const POLICY = {
  trafficPolicy: {
    connectionPool: limit(1),
    portLevelSettings: [{ port: { number: 81 }, connectionPool: limit(2) }],
  },
};
const LIMITS: readonly (readonly [string, Setting, number | undefined])[] = [
  ['nobody limits', {}, undefined],
  ['the service’s DestinationRule limits', { policy: POLICY }, 1],
  [
    'its settings for the service’s port come before',
    { policy: POLICY, workload: { targets: [target('a', 81, 8080)] } },
    2,
  ],
  [
    'a rule for some clients says nothing of servers',
    { policy: { ...POLICY, clientSelector: { app: 'x' } } },
    undefined,
  ],
  ['the Sidecar’s word comes before', { policy: POLICY, sidecar: { inboundConnectionPool: limit(3) } }, 3],
  [
    'that of its listener first of all',
    {
      policy: POLICY,
      sidecar: {
        inboundConnectionPool: limit(3),
        ingress: [{ port: { number: 8080, protocol: 'TCP', name: 't' }, connectionPool: limit(4) }],
      },
    },
    4,
  ],
];
for (const [name, setting, expected] of LIMITS) {
  it(`limits towards the application: ${name}`, () => {
    const workload = { targets: [target('a', 80, 8080)], ...setting.workload };
    const [port] = inboundOf({ ...setting, workload })?.inbound.ports ?? [];
    deepStrictEqual(port?.connectionPool?.tcp?.maxConnections, expected);
  });
}

it('names the services, listeners and policies behind it as causes', () => {
  const workload = { targets: [target('a', 80, 8080)] };
  const ingress = [{ port: { number: 1, protocol: 'TCP', name: 't' } }];
  const labelled = { labels: { app: 'a' } };
  const causes = (setting: Setting) =>
    inboundOf(setting)?.causes.map(({ kind, name, path }) => `${kind} ${name} ${path}`.trim());
  deepStrictEqual(causes({ workload, proxy: labelled }), ['Service a', 'PeerAuthentication a spec.mtls']);
  deepStrictEqual(causes({ workload, sidecar: { ingress } }), ['Sidecar s spec.ingress[0]']);
});

it('gateways take nothing in this way', () => {
  deepStrictEqual(
    inboundOf({ workload: { targets: [target('a', 80, 8080)] }, proxy: { type: 'router' } }),
    undefined,
  );
});

import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import type { MeshObject } from '#api/mesh-object.ts';
import type { PeerAuthenticationSpec } from '#api/peer-authentication.ts';
import { createEngine } from '#collections/engine.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { createPeerAuthenticationModel } from '#model/peer-authentication.ts';
import type { Proxy } from '#model/proxy.ts';
import type { Protocol, Service } from '#model/service.ts';
import { object, proxy } from '#model/service-model-rig.ts';
import type { ProxyWorkload, ServiceTarget } from '#model/service-target.ts';
import { createInboundScope, type InboundPort } from './inbound.ts';
import type { ListenerFacts } from './listener-facts.ts';

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

/** The inbound facet of a sidecar with these targets, under a STRICT policy that selects it. */
function inboundOf(workload: Partial<ProxyWorkload>, facts: Partial<Proxy> = {}) {
  const engine = createEngine();
  const proxies = engine.source<Proxy>('proxies');
  const listenerFacts = engine.source<ListenerFacts>('facts');
  const objects = engine.source<MeshObject<PeerAuthenticationSpec>>('objects');
  const peerAuthentication = createPeerAuthenticationModel(engine, objects);
  const scope = createInboundScope(engine, {
    proxies,
    facts: listenerFacts,
    peerAuthentication,
    workloadOf: () => ({ targets: [], appAddress: '', appPorts: {}, ...workload }),
  });
  const connected = proxy('a', { addresses: ['127.4.0.2'], ...facts });
  proxies.set(connected.id, connected);
  listenerFacts.set(MESH_KEY, { rootNamespace: 'root' } as ListenerFacts);
  const selector = { matchLabels: { app: 'a' } };
  objects.set('default/a', object('PeerAuthentication', 'a', { selector, ...STRICT }));
  engine.settle();
  return scope.get(connected.id);
}

/** `port > application port, service port, protocol, mode, services`. */
function show({ port, appPort, servicePort, protocol, mode, services }: InboundPort): string {
  return `${port} > ${appPort} (${servicePort}) ${protocol} ${mode} ${services.map(({ name }) => name).join('+')}`;
}

it('each port of the workload is served once, with its mode', () => {
  const targets = [target('a', 80, 8080), target('b', 9090, 9090, 'TCP'), target('dns', 53, 53, 'UDP')];
  const scope = inboundOf({ targets }, { labels: { app: 'a' } });
  deepStrictEqual(scope?.inbound.ports.map(show), [
    '8080 > 8080 (80) HTTP STRICT a',
    '9090 > 9090 (9090) TCP DISABLE b',
  ]);
  deepStrictEqual(scope?.inbound.mode, 'STRICT');
});

it('of services with one port the oldest says what is spoken', () => {
  const targets = [target('young', 80, 8080, 'TCP', 2), target('old', 81, 8080, 'GRPC', 1)];
  deepStrictEqual(inboundOf({ targets })?.inbound.ports.map(show), [
    '8080 > 8080 (81) GRPC PERMISSIVE old+young',
  ]);
});

it('without interception the workload’s address is bound, and the application is elsewhere', () => {
  const workload = { targets: [target('a', 80, 8080)], appAddress: '127.4.0.3', appPorts: { 8080: 18080 } };
  const { inbound } = inboundOf(workload, { interceptionMode: 'NONE' }) ?? {};
  deepStrictEqual([inbound?.bindAddress, inbound?.appAddress], ['127.4.0.2', '127.4.0.3']);
  deepStrictEqual(inbound?.ports.map(show), ['8080 > 18080 (80) HTTP PERMISSIVE a']);
  const captured = inboundOf(workload)?.inbound;
  deepStrictEqual([captured?.bindAddress, captured?.appAddress], ['', '']);
});

it('names the services and policies behind it as causes', () => {
  const causes = inboundOf({ targets: [target('a', 80, 8080)] }, { labels: { app: 'a' } })?.causes;
  deepStrictEqual(
    causes?.map(({ kind, name }) => `${kind} ${name}`),
    ['Service a', 'PeerAuthentication a'],
  );
});

it('gateways take nothing in this way', () => {
  deepStrictEqual(inboundOf({ targets: [target('a', 80, 8080)] }, { type: 'router' }), undefined);
});

import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { MeshObject } from '#api/mesh-object.ts';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { kubernetesService, object, proxy } from '#model/service-model-rig.ts';
import { type RouteRig, routeRig, sendTo, virtualService } from '#xds/routes/route-rig.ts';

const COOKIE = { 'istio.io/persistent-session': 'sid:/shop' };
const HEADER = { 'istio.io/persistent-session-header': 'x-session' };
const FILTER = 'envoy.filters.http.stateful_session';

function rigWith(isOn: boolean, ...objects: readonly MeshObject[]): RouteRig {
  const rig = routeRig({ ...DEFAULT_MESH_FLAGS, persistentSessions: isOn });
  rig.apply(...objects);
  rig.connect(proxy('client'));
  return rig;
}

interface WithSettings {
  readonly typedPerFilterConfig?: { readonly [name: string]: unknown };
}

/** Name and parameters of the session that a route or virtual host keeps. */
function session(of: WithSettings | undefined): unknown {
  const settings = of?.typedPerFilterConfig?.[FILTER] as
    | { readonly statefulSession: { readonly sessionState: { readonly typedConfig: object } } }
    | undefined;
  if (settings === undefined) return undefined;
  const { '@type': _type, ...state } = settings.statefulSession.sessionState.typedConfig as Record<
    string,
    unknown
  >;
  return state;
}

/** Session of the virtual host of a service and of its first route. */
function sessionsOf(rig: RouteRig, name: string): unknown {
  const hosts = rig.table(proxy('client'), '80').virtualHosts ?? [];
  const host = hosts.find((each) => each.name === `${name}.default.svc.cluster.local:80`);
  return [session(host as WithSettings), session(host?.routes?.[0] as WithSettings | undefined)];
}

test('the virtual host of a service keeps its sessions, by cookie or by header', () => {
  const rig = rigWith(
    true,
    kubernetesService('cookie', {}, { labels: COOKIE }),
    kubernetesService('header', { clusterIP: '10.0.0.2', clusterIPs: ['10.0.0.2'] }, { labels: HEADER }),
  );
  deepStrictEqual(sessionsOf(rig, 'cookie'), [{ cookie: { name: 'sid', path: '/shop' } }, undefined]);
  deepStrictEqual(sessionsOf(rig, 'header'), [{ name: 'x-session' }, undefined]);
});

test('a route keeps the sessions of the service that it leads to', () => {
  const rig = rigWith(
    true,
    kubernetesService('plain', { clusterIP: '10.0.0.2', clusterIPs: ['10.0.0.2'] }),
    kubernetesService('cookie', {}, { labels: { 'istio.io/persistent-session': 'sid' } }),
    virtualService('vs', { hosts: ['plain'], http: [sendTo('cookie')] }),
  );
  deepStrictEqual(sessionsOf(rig, 'plain'), [undefined, { cookie: { name: 'sid', path: '/' } }]);
});

test('a gateway host that is the name of a service keeps its sessions, if a rule leads there', () => {
  const gateway = proxy('gw', { id: 'gw', type: 'router', labels: { istio: 'ingressgateway' } });
  const full = (name: string): string => `${name}.default.svc.cluster.local`;
  const rig = rigWith(
    true,
    kubernetesService('cookie', {}, { labels: COOKIE }),
    kubernetesService('other', { clusterIP: '10.0.0.2', clusterIPs: ['10.0.0.2'] }, { labels: HEADER }),
    virtualService('own', { hosts: ['cookie'], gateways: ['g'], http: [sendTo('cookie')] }),
    virtualService('elsewhere', { hosts: ['other'], gateways: ['g'], http: [sendTo('cookie')] }),
  );
  const server = { port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] };
  rig.gateways.set('default/g', object('Gateway', 'g', { selector: {}, servers: [server] }));
  rig.connect(gateway);
  const sessions = (rig.table(gateway, 'http.80').virtualHosts ?? []).map((host) => [
    host.domains,
    session(host as WithSettings),
  ]);
  deepStrictEqual(sessions, [
    [[full('cookie')], { cookie: { name: 'sid', path: '/shop' } }],
    [[full('other')], undefined],
  ]);
});

test('without the flag no route keeps sessions', () => {
  const rig = rigWith(false, kubernetesService('cookie', {}, { labels: COOKIE }));
  deepStrictEqual(sessionsOf(rig, 'cookie'), [undefined, undefined]);
});

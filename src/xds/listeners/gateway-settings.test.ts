/** Proxies' own settings at gateways: who shares listeners, what is bound, what is left out. */
import { deepStrictEqual, notStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { GatewayServer, GatewaySpec } from '#api/gateway.ts';
import { DEFAULT_MESH_FLAGS, type MeshFlags } from '#model/mesh-flags.ts';
import { type NodeTraits, PLAIN_TRAITS, type Proxy } from '#model/proxy.ts';
import { object, proxy } from '#model/service-model-rig.ts';
import { type RouteRig, routeRig } from '#xds/routes/route-rig.ts';

function gateway(name: string, traits: Partial<NodeTraits> = {}, more: Partial<Proxy> = {}): Proxy {
  const labels = { istio: 'gw' };
  return proxy(name, { id: name, type: 'router', labels, traits: { ...PLAIN_TRAITS, ...traits }, ...more });
}

function http(number: number): GatewayServer {
  return { port: { number, name: `http-${number}`, protocol: 'HTTP' }, hosts: ['*'] };
}

function mesh(
  servers: readonly GatewayServer[],
  proxies: readonly Proxy[],
  flags: MeshFlags = DEFAULT_MESH_FLAGS,
): RouteRig {
  const rig = routeRig(flags);
  const spec: GatewaySpec = { selector: { istio: 'gw' }, servers: [...servers] };
  rig.gateways.set('default/g', object('Gateway', 'g', spec));
  rig.connect(...proxies);
  return rig;
}

test('proxies with equal settings share a listener, one with its own has another; routes are shared by all of them', () => {
  const [one, two, own] = [gateway('one'), gateway('two'), gateway('own', { http10: true })];
  const rig = mesh([http(8080)], [one, two, own]);
  const listenerOf = (of: Proxy) => rig.listenerEntries(of).get('0.0.0.0_8080')?.resource;
  strictEqual(listenerOf(one), listenerOf(two));
  notStrictEqual(listenerOf(one), listenerOf(own));
  deepStrictEqual(rig.table(one, 'http.8080'), rig.table(own, 'http.8080'));
});

test('a proxy that says nothing has the topology of the mesh', () => {
  const rig = mesh([http(8080)], [gateway('plain')]);
  rig.meshConfig.set('mesh', { defaultConfig: { gatewayTopology: { proxyProtocol: {} } } });
  rig.engine.settle();
  const filters = rig.listener(gateway('plain'), '0.0.0.0_8080')['listenerFilters'];
  deepStrictEqual(
    (filters as unknown as { name: string }[]).map(({ name }) => name),
    ['envoy.filters.listener.proxy_protocol'],
  );
});

test('a proxy that must not bind low ports leaves them out, and says so', () => {
  const own = gateway('own', { unprivileged: true });
  const rig = mesh([http(80), http(8080)], [own]);
  deepStrictEqual([...rig.listenerEntries(own).keys()], ['0.0.0.0_8080']);
  const [findings] = rig.gatewayDiagnostics.all().values();
  deepStrictEqual(
    findings?.map(({ code, resource, path, args }) => [code, resource?.name, path, args]),
    [['LTN5013', 'g', 'spec.servers[0]', { port: '80' }]],
  );
});

test('of both address families the first is listened on, and the other too where the control plane is told so', () => {
  const both = gateway('both', {}, { addresses: ['fd00::1', '10.0.0.1'] });
  const bound = (flags: MeshFlags) => {
    const rig = mesh([http(8080), { ...http(8081), bind: '10.0.0.1' }], [both], flags);
    return ['0.0.0.0_8080', '10.0.0.1_8081'].map((name) => {
      const { address, additionalAddresses = [] } = rig.listener(both, name) as unknown as BoundJson;
      return [address, ...additionalAddresses.map((more) => more.address)].map(
        (one) => one.socketAddress.address,
      );
    });
  };
  deepStrictEqual(bound(DEFAULT_MESH_FLAGS), [['0.0.0.0'], ['10.0.0.1']]);
  deepStrictEqual(bound({ ...DEFAULT_MESH_FLAGS, dualStack: true }), [['0.0.0.0', '::'], ['10.0.0.1']]);
});

interface AddressJson {
  readonly socketAddress: { readonly address: string };
}

interface BoundJson {
  readonly address: AddressJson;
  readonly additionalAddresses?: readonly { readonly address: AddressJson }[];
}

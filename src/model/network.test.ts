import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { MeshNetworks } from '#api/mesh-networks.ts';
import { networkBlocks, networkFacts, networkOfAddress } from './network.ts';
import {
  kubernetesService,
  object,
  pod,
  port,
  serviceModelRig,
  slice,
  sliceEndpoint,
} from './service-model-rig.ts';

const NETWORKS: MeshNetworks = {
  networks: {
    far: {
      endpoints: [{ fromCidr: '10.2.0.0/16' }],
      gateways: [{ address: '192.0.2.1', port: 15443 }],
    },
    near: {
      endpoints: [{ fromRegistry: 'Kubernetes' }],
      gateways: [{ registryServiceName: 'door.default.svc.cluster.local', port: 15443 }],
    },
  },
};

test('the system namespace decides the network of a cluster, then mesh networks, by registry before by block', () => {
  const at = (ofSystem: string, clusterId: string) => {
    const facts = networkFacts(NETWORKS, ofSystem, clusterId);
    return ['10.2.3.4', '10.9.9.9', 'fd00::1', 'vm.example.com'].map((address) =>
      networkOfAddress(facts, address),
    );
  };
  deepStrictEqual(at('labelled', 'Kubernetes'), ['labelled', 'labelled', 'labelled', 'labelled']);
  deepStrictEqual(at('', 'Kubernetes'), ['near', 'near', 'near', 'near']);
  deepStrictEqual(at('', 'other'), ['far', '', '', '']);
});

test('a label of the workload wins, and subsets and failover can name the network', () => {
  const rig = serviceModelRig();
  const label = 'topology.istio.io/network';
  rig.apply(
    object('Namespace', 'istio-system', {}, { namespace: '', labels: { [label]: 'n1' } }),
    kubernetesService('web'),
    pod('a', '10.1.0.1', {}),
    pod('b', '10.1.0.2', { [label]: 'n2' }),
    slice('web', [sliceEndpoint('10.1.0.1', 'a'), sliceEndpoint('10.1.0.2', 'b')]),
  );
  const { endpoints = [] } = rig.model.endpoints.get('default/web.default.svc.cluster.local') ?? {};
  deepStrictEqual(
    endpoints.map(({ network, labels }) => [network, labels[label]]),
    [
      ['n1', 'n1'],
      ['n2', 'n2'],
    ],
  );
});

test('gateways are Services with the label that listen on the port, at their addresses from outside', () => {
  const rig = serviceModelRig();
  const door = (name: string, portNumber: number, labels: Record<string, string>) =>
    kubernetesService(
      name,
      {
        type: 'LoadBalancer',
        ports: [port('tls', { port: portNumber })],
        loadBalancerIngress: [{ ip: `192.0.2.${portNumber % 100}` }, { hostname: 'lb.example.com' }],
      },
      { labels: { 'topology.istio.io/network': 'n1', ...labels } },
    );
  rig.apply(
    door('east-west', 15443, {}),
    door('other-port', 443, { 'networking.istio.io/gatewayPort': '443' }),
    door('deaf', 80, {}),
  );
  deepStrictEqual(
    rig.model.networkGateways.get('mesh')?.gateways.map(({ address, port: at }) => `${address}:${at}`),
    ['192.0.2.43:443', '192.0.2.43:15443'],
  );
});

test('a gateway that is named by host stands at each address of the name, once DNS has answered', () => {
  const rig = serviceModelRig();
  const gateways = () =>
    rig.model.networkGateways.get('mesh')?.gateways.map(({ address, network }) => `${network} ${address}`);
  rig.meshNetworks.set('mesh', {
    networks: {
      n1: { gateways: [{ address: 'door.example.com', port: 15443 }] },
      n2: {
        gateways: [
          { address: '192.0.2.1', port: 15443 },
          { address: 'door.example.com', port: 1 },
        ],
      },
    },
  });
  rig.apply();
  deepStrictEqual([...rig.model.gatewayNames.all().keys()], ['door.example.com']);
  deepStrictEqual(gateways(), ['n2 192.0.2.1']);
  rig.resolvedNames.set('door.example.com', { addresses: ['192.0.2.9', '2001:db8::1'] });
  rig.apply();
  deepStrictEqual(gateways(), [
    'n2 192.0.2.1',
    'n2 192.0.2.9',
    'n1 192.0.2.9',
    'n2 2001:db8::1',
    'n1 2001:db8::1',
  ]);
  rig.meshNetworks.set('mesh', {});
  rig.apply();
  deepStrictEqual([...rig.model.gatewayNames.all().keys()], []);
  deepStrictEqual(gateways(), []);
});

test('of a Service that mesh networks name and that has a label, the label counts', () => {
  const rig = serviceModelRig();
  rig.meshNetworks.set('mesh', NETWORKS);
  const ports = [port('tls', { port: 15443 })];
  const door = { type: 'LoadBalancer' as const, ports, loadBalancerIngress: [{ ip: '192.0.2.5' }] };
  const networks = () => rig.model.networkGateways.get('mesh')?.gateways.map(({ network }) => network);
  rig.apply(kubernetesService('door', door));
  deepStrictEqual(networks(), ['far', 'near']);
  rig.apply(kubernetesService('door', door, { labels: { 'topology.istio.io/network': 'labelled' } }));
  deepStrictEqual(networks(), ['far', 'labelled']);
});

test('blocks of networks stand in the order of their addresses and lengths, whatever network they are of', () => {
  const endpoints = (...blocks: readonly string[]) => ({
    endpoints: [...blocks.map((fromCidr) => ({ fromCidr })), { fromRegistry: 'x' }],
  });
  const networks = {
    b: endpoints('10.4.0.0/16', 'fd00::/8', 'nonsense'),
    a: endpoints('9.0.0.0/8', '10.4.0.0/14', '192.0.2.1'),
  };
  deepStrictEqual(
    networkBlocks({ networks }).map(({ address, prefixLength }) => `${address}/${prefixLength}`),
    ['9.0.0.0/8', '10.4.0.0/14', '10.4.0.0/16', '192.0.2.1/32', 'fd00::/8'],
  );
});

test('gateways of a Service of type NodePort stand on the nodes that its annotation selects', () => {
  const rig = serviceModelRig();
  const node = (name: string, address: string, zone: string, type = 'ExternalIP') =>
    object('Node', name, { addresses: [{ type, address }] }, { namespace: '', labels: { zone } });
  const door = (selector: string, externalIPs: readonly string[] = []) =>
    kubernetesService(
      'door',
      { type: 'NodePort', externalIPs, ports: [port('tls', { port: 15443, nodePort: 31443 })] },
      {
        labels: { 'topology.istio.io/network': 'n1' },
        annotations: { 'traffic.istio.io/nodeSelector': selector },
      },
    );
  const gateways = () =>
    rig.model.networkGateways.get('mesh')?.gateways.map(({ address, port: at }) => `${address}:${at}`);
  rig.apply(
    node('one', '192.0.2.1', 'a'),
    node('two', '192.0.2.2', 'b'),
    node('inner', '10.0.0.9', 'a', 'InternalIP'),
    door('{"zone":"a"}'),
  );
  deepStrictEqual(gateways(), ['192.0.2.1:31443']);
  rig.apply(node('two', '192.0.2.2', 'a'));
  deepStrictEqual(gateways(), ['192.0.2.1:31443', '192.0.2.2:31443']);
  rig.apply(node('one', '192.0.2.1', 'b'), door('not JSON'));
  deepStrictEqual(gateways(), ['192.0.2.1:31443', '192.0.2.2:31443']);
  rig.apply(door('{"zone":"a"}', ['198.51.100.1']));
  deepStrictEqual(gateways(), ['198.51.100.1:31443']);
});

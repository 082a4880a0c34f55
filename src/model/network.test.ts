import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { MeshNetworks } from '#api/mesh-networks.ts';
import { networkFacts, networkOfAddress } from './network.ts';
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

import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import { createServiceTargets } from './service-target.ts';
import {
  kubernetesService,
  localWorkload,
  pod,
  port,
  proxy,
  READER,
  serviceEntry,
  type ServiceModelRig,
  serviceModelRig,
  slice,
  sliceEndpoint,
} from './service-model-rig.ts';

/** Look-ups must be made before the mesh is fed. */
function targetRig() {
  const rig: ServiceModelRig = serviceModelRig();
  const { engine, model } = rig;
  const { services, endpoints } = model;
  const find = createServiceTargets({ engine, services, endpoints, workloadModel: model });
  const at = (...addresses: readonly string[]) => find(READER, proxy('a', { addresses }));
  const ports = (...addresses: readonly string[]) =>
    at(...addresses).targets.map(({ service, port: { number }, targetPort }) => [
      service.hostname,
      number,
      targetPort,
    ]);
  return { ...rig, at, ports };
}

it('finds every service port that leads to an address, whatever made the endpoint', () => {
  const { apply, ports } = targetRig();
  apply(
    pod('a-1', '10.0.0.9', { app: 'a' }),
    pod('a-2', '10.0.0.8', { app: 'a' }),
    pod('b-1', '10.0.0.7', { app: 'b' }),
    kubernetesService('a', { ports: [port('http', { port: 80, targetPort: 8080 })] }),
    slice('a', [sliceEndpoint('10.0.0.9', 'a-1'), sliceEndpoint('10.0.0.8', 'a-2')], 8080),
    kubernetesService('elsewhere'),
    slice('elsewhere', [sliceEndpoint('10.0.0.7', 'b-1')]),
    serviceEntry('entry', {
      hosts: ['x.example.com'],
      resolution: 'STATIC',
      endpoints: [{ address: '10.0.0.9', ports: { http: 9090 } }],
    }),
  );
  deepStrictEqual(ports('10.0.0.9'), [
    ['a.default.svc.cluster.local', 80, 8080],
    ['x.example.com', 80, 9090],
  ]);
  deepStrictEqual(ports('10.0.0.1', '10.0.0.8'), [['a.default.svc.cluster.local', 80, 8080]]);
  deepStrictEqual(ports('10.0.0.1'), []);
});

it('tells where the application of a replica listens', () => {
  const { apply, localReplicas, engine, at } = targetRig();
  const ports = [{ name: 'http', port: 80, appPort: 18080, protocol: 'TCP' as const }];
  apply(kubernetesService('a'), localWorkload('a', { app: 'a' }, { ports }));
  localReplicas.set('default/a-0', {
    namespace: 'default',
    workload: 'a',
    replica: 0,
    address: '127.4.0.2',
    appAddress: '127.4.0.3',
    ready: true,
  });
  engine.settle();
  const { appAddress, appPorts, targets } = at('127.4.0.2');
  deepStrictEqual(
    { appAddress, appPorts: { ...appPorts }, targets: targets.length },
    { appAddress: '127.4.0.3', appPorts: { 80: 18080 }, targets: 1 },
  );
  deepStrictEqual(at('127.4.0.9'), { targets: [], appAddress: '', appPorts: {} });
});

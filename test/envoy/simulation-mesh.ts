/**
 * The fixed part of the simulator's test meshes: a few services with pods on loopback addresses, and the two proxies that calls
 * go through. Random objects are laid over it.
 */
import type { ProxyFacts } from '../support/mesh-fixture.ts';
import type { SimulationApp } from './simulation-app.ts';

/** A Kubernetes object as a user writes it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/** Tests that run at the same time listen on addresses of their own. */
export const BLOCK: number = 1 + (process.pid % 250);

/** A service port with the name that says what it speaks. */
export interface ServedPort {
  readonly name: string;
  readonly port: number;
  readonly targetPort: number;
}

export const PORTS: readonly ServedPort[] = [
  { name: 'http', port: 8080, targetPort: 7001 },
  { name: 'grpc', port: 8081, targetPort: 7004 },
  { name: 'tcp', port: 9000, targetPort: 7002 },
  { name: 'unnamed', port: 9100, targetPort: 7003 },
  { name: 'tls', port: 9443, targetPort: 7002 },
];

/** Hosts of services, with their cluster addresses. */
export const SERVICES: readonly {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  readonly pods: readonly string[];
}[] = [
  { name: 'a', namespace: 'default', address: '127.88.0.1', pods: [podAddress(1), podAddress(2)] },
  { name: 'b', namespace: 'default', address: '127.88.0.2', pods: [podAddress(3)] },
  { name: 'c', namespace: 'default', address: '127.88.0.3', pods: [] },
  { name: 'd', namespace: 'shop', address: '127.88.0.4', pods: [podAddress(4)] },
];

export const ENTRY_ADDRESS = '127.88.0.9';
export const ENTRY_POD: string = podAddress(5);
/** Belongs to no service; something listens there at the ports of services. */
export const UNKNOWN_ADDRESS: string = `127.99.${BLOCK}.1`;
export const WORKLOAD_ADDRESS: string = podAddress(9);
export const GATEWAY_ADDRESS = '127.77.8.8';
/** A port of the workload that no service names. */
export const UNSERVED_PORT = 7009;

export const WORKLOAD: ProxyFacts = {
  name: 'client',
  ip: WORKLOAD_ADDRESS,
  labels: { app: 'client', version: 'v1' },
};
export const GATEWAY: ProxyFacts = {
  name: 'gw',
  ip: GATEWAY_ADDRESS,
  type: 'router',
  labels: { istio: 'gw' },
};

function podAddress(last: number): string {
  return `127.77.${BLOCK}.${last}`;
}

/** Namespaces, services, slices and pods. */
export function fixedManifests(): readonly Manifest[] {
  const workload = {
    name: 'client',
    namespace: 'default',
    address: '127.88.0.7',
    pods: [WORKLOAD_ADDRESS],
  };
  return [...SERVICES, workload].flatMap(({ name, namespace, address, pods }) => [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { clusterIP: address, selector: { app: name }, ports: PORTS.map((port) => ({ ...port })) },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${name}-1`, namespace, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: PORTS.map((port) => ({ name: port.name, port: port.targetPort })),
      endpoints: pods.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
    },
    ...pods.map((ip, i) => pod(name, namespace, ip, i)),
  ]);
}

function pod(app: string, namespace: string, ip: string, index: number): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `${app}-${index}`, namespace, labels: { app, version: `v${index + 1}` } },
    spec: { serviceAccountName: 'default', containers: [] },
    status: { podIP: ip, podIPs: [{ ip }], phase: 'Running' },
  };
}

/** The application at every address that a cluster may lead to. */
export async function listenEverywhere(app: SimulationApp): Promise<void> {
  const targets = new Set(PORTS.map(({ targetPort }) => targetPort));
  const pods = [...SERVICES.flatMap(({ pods: own }) => own), ENTRY_POD, WORKLOAD_ADDRESS];
  for (const address of pods) for (const port of targets) await app.listen(address, port);
  await app.listen(WORKLOAD_ADDRESS, UNSERVED_PORT);
  for (const { port } of PORTS) await app.listen(UNKNOWN_ADDRESS, port);
}

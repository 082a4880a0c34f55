/**
 * A synthetic mesh for benchmarks: S services of E endpoints in S/50 namespaces, a VirtualService and a DestinationRule
 * of two subsets for every fourth, one AuthorizationPolicy per namespace. The same shape as the peer's figures have.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import { decodeObject } from '#api/decode-object.ts';

export interface MeshSize {
  readonly services: number;
  readonly endpoints: number;
  readonly proxies: number;
}

export const HTTP_PORT = 8080;

export function namespaceOf(size: MeshSize, i: number): string {
  return `ns-${i % Math.max(1, Math.floor(size.services / 50))}`;
}

function object(apiVersion: string, kind: string, namespace: string, name: string, spec: object): MeshObject {
  const { object: decoded, diagnostics } = decodeObject(
    { apiVersion, kind, metadata: { name, namespace }, spec },
    { defaultNamespace: 'default' },
  );
  if (decoded === undefined) throw new Error(`bench object refused: ${JSON.stringify(diagnostics)}`);
  return decoded;
}

function host(size: MeshSize, i: number): string {
  return `svc-${i}.${namespaceOf(size, i)}.svc.cluster.local`;
}

/** `shift` moves the last endpoint's address, which is what an endpoint change is. */
export function service(size: MeshSize, i: number, shift = 0): MeshObject {
  const endpoints = Array.from({ length: size.endpoints }, (_, e) => {
    const n = i * size.endpoints + e + 1 + (e === size.endpoints - 1 ? shift * 4_000_000 : 0);
    return {
      address: `10.${(n >> 16) & 127}.${(n >> 8) & 255}.${n & 255}`,
      labels: { app: `svc-${i}`, version: `v${(e % 2) + 1}` },
      serviceAccount: `sa-${i}`,
      locality: `region-1/zone-${(e % 3) + 1}`,
    };
  });
  return object('networking.istio.io/v1', 'ServiceEntry', namespaceOf(size, i), `svc-${i}`, {
    hosts: [host(size, i)],
    addresses: [`10.${128 + ((i + 1) >> 16)}.${((i + 1) >> 8) & 255}.${(i + 1) & 255}`],
    ports: [{ number: HTTP_PORT, name: 'http', protocol: 'HTTP' }],
    location: 'MESH_INTERNAL',
    resolution: 'STATIC',
    endpoints,
  });
}

export function destinationRule(size: MeshSize, i: number): MeshObject {
  return object('networking.istio.io/v1', 'DestinationRule', namespaceOf(size, i), `svc-${i}`, {
    host: host(size, i),
    trafficPolicy: { outlierDetection: { consecutive5xxErrors: 5, interval: '10s' } },
    subsets: [
      { name: 'v1', labels: { version: 'v1' } },
      { name: 'v2', labels: { version: 'v2' } },
    ],
  });
}

export function virtualService(size: MeshSize, i: number, weight: number): MeshObject {
  const to = (subset: string, share: number) => ({
    destination: { host: host(size, i), subset },
    weight: share,
  });
  return object('networking.istio.io/v1', 'VirtualService', namespaceOf(size, i), `svc-${i}`, {
    hosts: [host(size, i)],
    http: [
      { match: [{ headers: { 'x-canary': { exact: 'true' } } }], route: [to('v2', 100)] },
      { route: [to('v1', weight), to('v2', 100 - weight)], timeout: '5s' },
    ],
  });
}

export function policy(namespace: string, path: string): MeshObject {
  return object('security.istio.io/v1', 'AuthorizationPolicy', namespace, 'deny', {
    action: 'DENY',
    rules: [{ to: [{ operation: { paths: [path], ports: ['8080'] } }] }],
  });
}

/** The whole mesh. */
export function meshObjects(size: MeshSize): MeshObject[] {
  const namespaces = new Set(Array.from({ length: size.services }, (_, i) => namespaceOf(size, i)));
  return [
    policy('istio-system', '/load-marker'),
    ...[...namespaces].map((namespace) => policy(namespace, '/admin/*')),
    ...Array.from({ length: size.services }, (_, i) => service(size, i)),
    ...Array.from({ length: Math.floor(size.services / 4) }, (_, i) => [
      destinationRule(size, i),
      virtualService(size, i, 90),
    ]).flat(),
  ];
}

/** The xDS node of the n-th sidecar. */
export function clientNode(
  size: MeshSize,
  n: number,
): { id: string; metadata: Record<string, string>; route: string } {
  const namespace = namespaceOf(size, n % size.services);
  const index = (n % size.services) * size.endpoints + 1;
  const address = `10.${(index >> 16) & 127}.${(index >> 8) & 255}.${index & 255}`;
  return {
    id: `sidecar~${address}~app-${n}.${namespace}~${namespace}.svc.cluster.local`,
    metadata: {
      NAME: `app-${n}`,
      NAMESPACE: namespace,
      INSTANCE_IPS: address,
      INTERCEPTION_MODE: 'REDIRECT',
      LATEEN_ENVIRONMENT: 'true',
    },
    route: String(HTTP_PORT),
  };
}

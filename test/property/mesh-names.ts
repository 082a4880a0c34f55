/** The few names that random meshes are made of: small pools, so that objects meet each other. */
import { decodeObject } from '#api/decode-object.ts';
import fc from 'fast-check';

/** A Kubernetes object as a user writes it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly creationTimestamp?: string;
  };
  readonly [field: string]: unknown;
}

export const NAMESPACES = ['default', 'shop', 'istio-system'] as const;
export const NAMES = ['a', 'b', 'c'] as const;
export const ADDRESSES = ['10.9.0.1', '10.9.0.2', '10.9.0.3', '127.4.0.2', 'fd00::5'] as const;
/** Numbers of service ports, with the name that says what is spoken there. */
export const PORTS: readonly (readonly [number, string])[] = [
  [80, 'http'],
  [80, 'http2'],
  [7070, 'grpc'],
  [3306, 'tcp-db'],
  [443, 'https'],
  [9443, 'tls-raw'],
  [9000, 'plain'],
];

/** Most objects lie together, where they meet. */
export const namespace: fc.Arbitrary<string> = fc.constantFrom(
  'default',
  'default',
  'default',
  ...NAMESPACES,
);
export const name: fc.Arbitrary<string> = fc.constantFrom(...NAMES);
export const address: fc.Arbitrary<string> = fc.constantFrom(...ADDRESSES);
export const portNumber: fc.Arbitrary<number> = fc.constantFrom(80, 7070, 3306, 443, 9000);

/** Full, short and wildcard host names; the services' own names among them. */
export const host: fc.Arbitrary<string> = fc.constantFrom(
  'a',
  'b.shop',
  'a.default.svc.cluster.local',
  'b.default.svc.cluster.local',
  'c.shop.svc.cluster.local',
  'x.example.com',
  'y.example.com',
  '*.example.com',
  '*.default.svc.cluster.local',
);
export const plainHost: fc.Arbitrary<string> = host.filter((text) => !text.includes('*'));
/** Hosts that objects other than Services may define. */
export const entryHost: fc.Arbitrary<string> = fc.constantFrom(
  'x.example.com',
  'y.example.com',
  '*.example.com',
  'a.default.svc.cluster.local',
);

export const labels: fc.Arbitrary<Readonly<Record<string, string>>> = fc.constantFrom(
  { app: 'a' },
  { app: 'a', version: 'v1' },
  { app: 'a', version: 'v2', 'istio-locality': 'r1.z1.s1' },
  { app: 'b', 'security.istio.io/tlsMode': 'istio' },
  { app: 'b', version: 'v1', 'security.istio.io/tlsMode': 'istio' },
  { app: 'c', 'topology.istio.io/network': 'n1' },
  { app: 'a', version: 'v1', 'istio.io/draining': 'true' },
);
export const selector: fc.Arbitrary<Readonly<Record<string, string>>> = fc.constantFrom(
  { app: 'a' },
  { app: 'b' },
  { app: 'a', version: 'v1' },
);
export const exportTo: fc.Arbitrary<readonly string[]> = fc.constantFrom([], ['*'], ['.'], ['shop']);

/** An object with some of the listed fields; each may be absent. */
export function some<T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> {
  return fc.record(fields, { requiredKeys: [], noNullPrototype: true }) as fc.Arbitrary<Partial<T>>;
}

/** An object with all of the listed fields. */
export function all<T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

/** One to `max` different items. */
export function few<T>(item: fc.Arbitrary<T>, max = 2): fc.Arbitrary<T[]> {
  return fc.uniqueArray(item, { minLength: 1, maxLength: max, selector: (value) => JSON.stringify(value) });
}

const creationTimestamp = fc.constantFrom('2024-01-01T00:00:00Z', '2024-01-02T00:00:00Z');

/** Manifests of one kind under the names of the pools. */
export function manifests(
  apiVersion: string,
  kind: string,
  fields: fc.Arbitrary<Readonly<Record<string, unknown>>>,
  metadata: fc.Arbitrary<Partial<Manifest['metadata']>> = fc.constant({}),
): fc.Arbitrary<Manifest> {
  const place = fc.record({ name, namespace, creationTimestamp }, { noNullPrototype: true });
  return fc
    .tuple(place, metadata, fields)
    .map(([own, more, rest]) => ({ apiVersion, kind, metadata: { ...own, ...more }, ...rest }));
}

/** Manifests of one of Istio's kinds; the few that break a rule between fields (hosts that overlap) are drawn again. */
export function istioManifests(
  group: string,
  kind: string,
  spec: fc.Arbitrary<object>,
  metadata?: fc.Arbitrary<Partial<Manifest['metadata']>>,
): fc.Arbitrary<Manifest> {
  return manifests(
    `${group}.istio.io/v1`,
    kind,
    spec.map((value) => ({ spec: value })),
    metadata,
  ).filter((manifest) => decodeObject(manifest, { defaultNamespace: 'default' }).object !== undefined);
}

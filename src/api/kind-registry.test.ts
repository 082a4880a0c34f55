/** Kinds are found by every name that people use, and one that is misspelled has a suggestion. */
import { deepStrictEqual, strictEqual, throws } from 'node:assert';
import { test } from 'node:test';
import { createEngine } from '#collections/engine.ts';
import { decodeObject } from './decode-object.ts';
import { fieldPath, parseFieldPath } from './field-path.ts';
import { findKind, KINDS, suggestKind } from './kind-registry.ts';
import { ObjectCollections } from './object-collections.ts';
import { referenceWarnings } from './reference-check.ts';
import { suggest } from './suggestion.ts';
import { parseDocuments } from './yaml-documents.ts';

test('a kind is found by kind, plural, singular, short name and with its group', () => {
  const names = [
    'VirtualService',
    'virtualservices',
    'VS',
    'vs',
    'lw',
    'svc',
    'gateways.networking.istio.io',
    'pods',
    'nope',
  ];
  deepStrictEqual(
    names.map((name) => findKind(name)?.kind),
    [
      'VirtualService',
      'VirtualService',
      'VirtualService',
      'VirtualService',
      'LocalWorkload',
      'Service',
      'Gateway',
      'Pod',
      undefined,
    ],
  );
});

test('no name stands for two kinds', () => {
  const names = KINDS.flatMap(({ kind, plural, singular, shortNames }) => [
    ...new Set([kind.toLowerCase(), plural, singular, ...shortNames]),
  ]);
  deepStrictEqual(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  );
});

test('misspelled words have the nearest known one as suggestion, or none', () => {
  deepStrictEqual(['VirtualServce', 'destinationrul', 'gatway', 'qqqq'].map(suggestKind), [
    'VirtualService',
    'DestinationRule',
    'Gateway',
    undefined,
  ]);
  deepStrictEqual(
    [
      suggest('hsot', ['host', 'port']),
      suggest('x', ['y', 'zz']),
      suggest('timeOut', ['timeout']),
      suggest('', ['a']),
    ],
    ['host', 'y', 'timeout', undefined],
  );
});

test('field paths can be taken apart again', () => {
  const path = fieldPath(fieldPath('spec.http[3]', 'headers'), 'x "y".z');
  deepStrictEqual(
    [path, parseFieldPath(path)],
    ['spec.http[3].headers["x \\"y\\".z"]', ['spec', 'http', 3, 'headers', 'x "y".z']],
  );
});

function decodeAll(yaml: string): readonly ReturnType<typeof decodeObject>[] {
  return parseDocuments(yaml, 'f').map((document) =>
    decodeObject(document.value, { defaultNamespace: 'default' }),
  );
}

const MESH = `
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {ports: [{port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, subsets: [{name: v1}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ext}
spec: {hosts: ["*.example.com"], ports: [{number: 443, name: tls, protocol: TLS}]}
`;

test('collections hold objects by kind and namespace/name', () => {
  const engine = createEngine();
  const collections = new ObjectCollections(engine);
  const set = decodeAll(MESH).flatMap(({ object }) => (object === undefined ? [] : [object]));
  collections.apply({ set, remove: [] });
  engine.settle();
  strictEqual(collections.of('Service').get('default/reviews')?.spec.ports[0]?.port, 80);
  collections.apply({ set: [], remove: [{ kind: 'Service', namespace: 'default', name: 'reviews' }] });
  engine.settle();
  deepStrictEqual(
    [...collections.all()].map((object) => object.kind),
    ['DestinationRule', 'ServiceEntry'],
  );
  throws(() => collections.of('Deployment'), /no kind Deployment/);
});

test('names that lead nowhere are warnings with a suggestion', () => {
  const extra = `${MESH}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v}
spec:
  hosts: [reviews]
  gateways: [gw, mesh]
  http:
  - route:
    - destination: {host: reviews, subset: v2}
    - destination: {host: review}
      weight: 1
    - destination: {host: www.example.com}
    - destination: {host: reviews.default.svc.cluster.local, subset: v1}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: d}
spec: {host: ratings}
`;
  const objects = decodeAll(extra).flatMap(({ object }) => (object === undefined ? [] : [object]));
  deepStrictEqual(
    referenceWarnings(objects).map(({ code, severity, path, args }) => [
      code,
      severity,
      path,
      args['refval'] ?? args['host'],
      args['suggestion'],
    ]),
    [
      ['IST0101', 'warning', 'spec.gateways[0]', 'default/gw', ''],
      ['IST0101', 'warning', 'spec.http[0].route[0].destination.subset', 'reviews+v2', 'v1'],
      ['IST0101', 'warning', 'spec.http[0].route[1].destination.host', 'review', 'reviews'],
      ['IST0174', 'warning', 'spec.host', 'ratings', ''],
    ],
  );
});

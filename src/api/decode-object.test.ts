/** From a document to an object: metadata, kinds, schema, normal form, hash. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { type DecodedObject, decodeObject, decodeObjects } from './decode-object.ts';
import { parseDocuments } from './yaml-documents.ts';

const OPTIONS = { defaultNamespace: 'default' };

function decodeYaml(yaml: string): DecodedObject {
  return decodeObject(parseDocuments(yaml, 'f')[0]?.value, OPTIONS);
}

function codesOf(yaml: string): readonly string[] {
  return decodeYaml(yaml).diagnostics.map(({ code, path }) => `${code} ${path}`.trim());
}

const VS = 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\n';
const ROUTE = 'route: [{destination: {host: a}}]';

const DOCUMENTS: readonly (readonly [name: string, yaml: string, ...findings: string[]])[] = [
  ['a list is no object', '[1]', 'LTN1101'],
  ['kind is needed', 'apiVersion: v1', 'LTN1012'],
  ['apiVersion is needed', 'kind: Service', 'LTN1012'],
  ['a kind nobody knows', 'apiVersion: x/v1\nkind: Foo', 'LTN1103 kind'],
  [
    'a kind of a cluster is noted',
    'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}',
    'LTN1104 kind',
  ],
  [
    'a Gateway of the other API is noted',
    'apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: d}',
    'LTN1104 kind',
  ],
  [
    'a version that is not served',
    'apiVersion: networking.istio.io/v2\nkind: Sidecar\nmetadata: {name: d}\nspec: {egress: [{hosts: ["./*"]}]}',
    'LTN1105 apiVersion',
  ],
  ['metadata is needed', 'apiVersion: v1\nkind: Namespace', 'LTN1012'],
  ['a name is needed', 'apiVersion: v1\nkind: Namespace\nmetadata: {labels: {a: b}}', 'LTN1012 metadata'],
  [
    'a name has no capitals',
    'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: A}',
    'LTN1106 metadata.name',
  ],
  [
    'a field of metadata is misspelled',
    'apiVersion: v1\nkind: Namespace\nmetadata: {name: a, label: {}}',
    'LTN1002 metadata.label',
  ],
  [
    'a label value',
    'apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {x: "a b"}}',
    'LTN1108 metadata.labels.x',
  ],
  [
    'a namespace where there is none',
    'apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: b}',
    'LTN1110 metadata.namespace',
  ],
  ['a root field is misspelled', `${VS}specs: {}`, 'LTN1002 specs'],
  [
    'an unknown field far down',
    `${VS}spec: {hosts: [a], http: [{${ROUTE}, timout: 1s}]}`,
    'LTN1002 spec.http[0].timout',
  ],
  ['a wrong type', `${VS}spec: {hosts: a, http: [{${ROUTE}}]}`, 'LTN1003 spec.hosts'],
  ['a number where a text belongs', `${VS}spec: {hosts: [1], http: [{${ROUTE}}]}`, 'LTN1003 spec.hosts[0]'],
  [
    'a number in quotes is taken with a warning',
    `${VS}spec: {hosts: [a], http: [{route: [{destination: {host: a}, weight: "5"}]}]}`,
    'LTN1008 spec.http[0].route[0].weight',
  ],
  [
    'a number that does not fit',
    `${VS}spec: {hosts: [a], http: [{route: [{destination: {host: a}, weight: 9999999999}]}]}`,
    'LTN1007 spec.http[0].route[0].weight',
  ],
  [
    'two members of one choice',
    `${VS}spec: {hosts: [a], http: [{match: [{uri: {exact: /a, prefix: /b}}], ${ROUTE}}]}`,
    'LTN1005 spec.http[0].match[0].uri.prefix',
  ],
  [
    'two spellings of one field',
    `${VS}spec: {hosts: [a], export_to: ["*"], exportTo: ["*"], http: [{${ROUTE}}]}`,
    'LTN1011 spec.exportTo',
  ],
  ['a duration', `${VS}spec: {hosts: [a], http: [{${ROUTE}, timeout: 5}]}`, 'LTN1003 spec.http[0].timeout'],
  [
    'a duration without unit',
    `${VS}spec: {hosts: [a], http: [{${ROUTE}, timeout: "5"}]}`,
    'LTN1006 spec.http[0].timeout',
  ],
  [
    'all problems, not the first',
    `${VS}spec: {hots: [a], http: [{rout: 1}, {match: 2}]}`,
    'LTN1002 spec.hots',
    'LTN1002 spec.http[0].rout',
    'LTN1003 spec.http[1].match',
  ],
  [
    'an annotation that Istio keeps for itself',
    'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, annotations: {internal.istio.io/parents: x}}\nspec: {hosts: [a], http: [{route: [{destination: {host: a}}]}]}',
    'LTN1111 metadata.annotations["internal.istio.io/parents"]',
  ],
];

for (const [name, yaml, ...expected] of DOCUMENTS) {
  test(name, () => {
    deepStrictEqual(codesOf(yaml), expected);
  });
}

test('from an API server an unknown field is told and left out, and the rest is checked as ever', () => {
  const read = (spec: object) =>
    decodeObject(
      { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'v' }, spec },
      { defaultNamespace: 'default', dropsUnknownFields: true },
    );
  const http = [{ route: [{ destination: { host: 'a' } }], newer: 1 }];
  const kept = read({ hosts: ['a'], http });
  deepStrictEqual(
    [kept.object?.spec, kept.diagnostics.map(({ code }) => code)],
    [{ hosts: ['a'], http: [{ route: [{ destination: { host: 'a' } }] }] }, ['LTN1002']],
  );
  strictEqual(read({ hosts: ['a b'], http }).object, undefined);
});

test('an unknown field names the nearest known one, also one level down', () => {
  const { diagnostics } = decodeYaml(
    `${VS}spec: {hosts: [a], http: [{route: [{subset: v1, destinaton: {host: a}}]}]}`,
  );
  deepStrictEqual(
    diagnostics.map((diagnostic) => diagnostic.args['suggestion']),
    ['destination.subset', 'destination'],
  );
});

test('a spec is brought to normal form', () => {
  const yaml = `${VS}spec:
  hosts: [a]
  export_to: ["*"]
  http:
  - timeout: 1m0.5s
    corsPolicy: {allow_credentials: true, maxAge: 24h}
    match: [{port: 80.0, headers: {__proto__: {exact: x}, b: null}}]
    route: [{destination: {host: a}}]
    redirect: null
`;
  const { object, refused } = decodeYaml(yaml);
  const spec = (object ?? refused)?.spec as { http: { match: { headers: object }[] }[] };
  strictEqual(
    JSON.stringify(spec),
    '{"exportTo":["*"],"hosts":["a"],"http":[{"corsPolicy":{"allowCredentials":true,"maxAge":"86400s"},"match":[{"headers":{"__proto__":{"exact":"x"}},"port":80}],"route":[{"destination":{"host":"a"}}],"timeout":"60.500s"}]}',
  );
  strictEqual(Object.getPrototypeOf(spec.http[0]?.match[0]?.headers), null);
});

test('enums may be numbers, and large numbers stay exact', () => {
  const yaml = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: d}
spec: {host: a, trafficPolicy: {loadBalancer: {simple: 3}, tls: {mode: 1}}, subsets: [{name: s, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}}}]}`;
  strictEqual(
    JSON.stringify(decodeYaml(yaml).object?.spec),
    '{"host":"a","subsets":[{"name":"s","trafficPolicy":{"loadBalancer":{"consistentHash":{"maglev":{"tableSize":"65537"},"useSourceIp":true}}}}],"trafficPolicy":{"loadBalancer":{"simple":"PASSTHROUGH"},"tls":{"mode":"SIMPLE"}}}',
  );
});

test('equal objects have equal hashes however they are written, and different ones differ', () => {
  const one = decodeYaml(`${VS}spec: {hosts: [a], http: [{${ROUTE}, timeout: 60s}]}`).object;
  const same = decodeYaml(`${VS}spec: {http: [{timeout: 1m, ${ROUTE}}], hosts: [a]}`).object;
  const other = decodeYaml(`${VS}spec: {hosts: [b], http: [{${ROUTE}, timeout: 60s}]}`).object;
  ok(one !== undefined && same !== undefined && other !== undefined);
  strictEqual(one.hash, same.hash);
  ok(one.hash !== other.hash);
});

test('a refused object is told apart and keeps its name', () => {
  const { object, refused, ref } = decodeYaml(`${VS}spec: {hosts: [a]}`);
  deepStrictEqual(
    [object, refused?.name, ref],
    [undefined, 'v', { kind: 'VirtualService', namespace: 'default', name: 'v' }],
  );
});

test('metadata is projected: creation in milliseconds, no copy of the object', () => {
  const { object } = decodeYaml(
    'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, creationTimestamp: "2024-01-01T00:00:00Z", uid: x, annotations: {a: b, kubectl.kubernetes.io/last-applied-configuration: "{}"}}',
  );
  deepStrictEqual(
    [object?.createdAtMs, Object.entries(object?.annotations ?? {})],
    [1704067200000, [['a', 'b']]],
  );
});

test('a List gives its items, with paths that begin at the item', () => {
  const [document] = parseDocuments(
    'apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Namespace, metadata: {name: a}}, {kind: x}]',
    'f',
  );
  deepStrictEqual(
    decodeObjects(document?.value, OPTIONS).map(({ object, diagnostics }) => [
      object?.name,
      diagnostics.map((d) => d.path),
    ]),
    [
      ['a', []],
      [undefined, ['items[1]']],
    ],
  );
});

test('depth and size are bounded', () => {
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = { a: deep };
  const filter = {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name: 'f' },
    spec: { configPatches: [{ applyTo: 'CLUSTER', patch: { operation: 'MERGE', value: deep } }] },
  };
  deepStrictEqual(
    decodeObject(filter, OPTIONS)
      .diagnostics.map((d) => d.code)
      .slice(0, 1),
    ['LTN1009'],
  );
  const hosts = Array.from({ length: 300_000 }, () => 'a');
  const wide = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'v' },
    spec: { hosts },
  };
  ok(decodeObject(wide, OPTIONS).diagnostics.some((d) => d.code === 'LTN1009'));
  const many = { ...wide, spec: Object.fromEntries(hosts.slice(0, 5000).map((_host, i) => [`f${i}`, 1])) };
  strictEqual(decodeObject(many, OPTIONS).diagnostics.length, 201);
});

/** Objects print as kubectl prints them, and what is printed can be applied again. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { decodeObject } from './decode-object.ts';
import type { MeshObject } from './mesh-object.ts';
import { printObject, printObjects } from './print-object.ts';
import { parseDocuments } from './yaml-documents.ts';

function decodeYaml(yaml: string): MeshObject {
  const { object, diagnostics } = decodeObject(parseDocuments(yaml, 'f')[0]?.value, {
    defaultNamespace: 'default',
  });
  if (object === undefined) throw new Error(JSON.stringify(diagnostics));
  return object;
}

const OBJECTS: readonly string[] = [
  'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, labels: {a: "true", b: "012", c: "1.0"}}\nspec: {hosts: ["*.a.com"], gateways: [g], http: [{name: "yes", timeout: 1m, match: [{uri: {prefix: /}}], route: [{destination: {host: a}, weight: 0}]}]}',
  'apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {sessionAffinity: ClientIP, ports: [{name: http, port: 80, targetPort: web}]}\nstatus: {loadBalancer: {ingress: [{hostname: a}]}}',
  'apiVersion: lateen.dev/v1alpha1\nkind: LocalWorkload\nmetadata: {name: w, labels: {app: w}}\nspec: {command: [sh, -c, "a\\nb: c"], replicas: 0, env: [{name: A, value: "no"}], readiness: {tcp: {port: 1}}}',
  'apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e}\naddressType: IPv6\nendpoints: [{addresses: ["fd00::1"], conditions: {ready: false}}]\nports: [{port: 80}]',
  'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c}]}\nstatus: {podIP: 1.2.3.4, phase: Running}',
  'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {mesh: "a: b\\nc: d\\n", empty: ""}',
];

for (const yaml of OBJECTS) {
  const object = decodeYaml(yaml);
  test(`${object.kind} survives printing as YAML and JSON`, () => {
    const again = (['yaml', 'json'] as const).map((format) => decodeYaml(printObject(object, format)));
    deepStrictEqual(
      again.map(({ kind, namespace, name, spec, labels }) =>
        JSON.stringify([kind, namespace, name, spec, labels]),
      ),
      Array.from({ length: 2 }, () =>
        JSON.stringify([object.kind, object.namespace, object.name, object.spec, object.labels]),
      ),
    );
  });
}

test('keys are sorted and lists stand under their key', () => {
  const yaml =
    'kind: VirtualService\nspec: {http: [{route: [{destination: {host: a}}]}], hosts: [a]}\nmetadata: {name: v, creationTimestamp: "2024-01-01T00:00:00Z"}\napiVersion: networking.istio.io/v1';
  strictEqual(
    printObject(decodeYaml(yaml), 'yaml'),
    `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  creationTimestamp: "2024-01-01T00:00:00Z"
  name: v
  namespace: default
spec:
  hosts:
  - a
  http:
  - route:
    - destination:
        host: a
`,
  );
});

test('several objects are a List', () => {
  const object = decodeYaml('apiVersion: v1\nkind: Namespace\nmetadata: {name: n1}');
  strictEqual(
    printObjects([object], 'yaml'),
    'apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: n1\nkind: List\nmetadata:\n  resourceVersion: ""\n',
  );
});

test('what the mesh reads of a status is printed, and read again', () => {
  for (const yaml of [
    'apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: w}\nspec: {address: 10.0.0.1}\nstatus: {conditions: [{type: Healthy, status: "False"}]}',
    'apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: s}\nspec: {hosts: [a.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}\nstatus: {addresses: [{host: a.com, value: 240.240.0.1}]}',
  ]) {
    const object = decodeYaml(yaml);
    deepStrictEqual(decodeYaml(printObject(object, 'yaml')).status, object.status);
  }
});

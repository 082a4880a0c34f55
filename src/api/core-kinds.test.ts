/** Core kinds and LocalWorkload: projections with defaults, strict where a user writes them, loose where Kubernetes does. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { decodeObject } from './decode-object.ts';
import { printObject } from './print-object.ts';
import { parseDocuments } from './yaml-documents.ts';

function decodeYaml(yaml: string): ReturnType<typeof decodeObject> {
  return decodeObject(parseDocuments(yaml, 'f')[0]?.value, { defaultNamespace: 'default' });
}

/** Plain data without prototypes, as JSON sees it. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null));
}

function specOf(yaml: string): unknown {
  const { object, diagnostics } = decodeYaml(yaml);
  return object === undefined ? diagnostics : plain(object.spec);
}

function codesOf(yaml: string): readonly string[] {
  return decodeYaml(yaml).diagnostics.map(({ code, path }) => `${code} ${path}`.trim());
}

const SERVICE = 'apiVersion: v1\nkind: Service\nmetadata: {name: s}\n';
const LOCAL =
  'apiVersion: lateen.dev/v1alpha1\nkind: LocalWorkload\nmetadata: {name: w, labels: {app: w}, annotations: {a: b}}\n';

test('a Service gets the defaults of the API server', () => {
  deepStrictEqual(
    specOf(
      `${SERVICE}spec: {selector: {app: a}, ports: [{port: 80}, {name: b, port: 81, targetPort: web, nodePort: 30000}]}`.replace(
        '{port: 80}',
        '{name: a, port: 80}',
      ),
    ),
    {
      type: 'ClusterIP',
      ports: [
        { name: 'a', port: 80, targetPort: 80, protocol: 'TCP', appProtocol: '', nodePort: 0 },
        { name: 'b', port: 81, targetPort: 'web', protocol: 'TCP', appProtocol: '', nodePort: 30000 },
      ],
      selector: { app: 'a' },
      externalIPs: [],
      externalName: '',
      ipFamilies: [],
      publishNotReadyAddresses: false,
      sessionAffinity: 'None',
      internalTrafficPolicy: 'Cluster',
      externalTrafficPolicy: '',
      trafficDistribution: '',
      clusterIP: '',
      clusterIPs: [],
      sessionAffinityTimeoutSeconds: 0,
      loadBalancerIngress: [],
    },
  );
});

test('a Service keeps addresses, affinity and the load balancer', () => {
  const yaml = `${SERVICE}spec: {clusterIP: None, type: LoadBalancer, sessionAffinity: ClientIP, ports: [{port: 80}], allocateLoadBalancerNodePorts: true}\nstatus: {loadBalancer: {ingress: [{ip: 1.2.3.4, ports: []}]}}`;
  const spec = specOf(yaml) as Record<string, unknown>;
  deepStrictEqual(
    [
      spec['clusterIP'],
      spec['clusterIPs'],
      spec['sessionAffinityTimeoutSeconds'],
      spec['loadBalancerIngress'],
    ],
    ['None', ['None'], 10800, [{ ip: '1.2.3.4' }]],
  );
});

const SERVICES: readonly (readonly [name: string, spec: string, ...findings: string[]])[] = [
  ['several ports need names', '{ports: [{port: 80}, {port: 81, name: b}]}', 'LTN3001 spec.ports[0]'],
  [
    'port names and numbers are unique',
    '{ports: [{port: 80, name: a}, {port: 80, name: a}]}',
    'LTN2014 spec.ports[1].name',
    'LTN2014 spec.ports[1].port',
  ],
  [
    'one number may serve two protocols',
    '{ports: [{port: 53, name: a}, {port: 53, name: b, protocol: UDP}]}',
  ],
  ['a port is needed in a port', '{ports: [{name: a}]}', 'LTN1012 spec.ports[0]'],
  [
    'a port is within range',
    '{ports: [{port: 70000}]}',
    'LTN1007 spec.ports[0].port',
    'LTN1012 spec.ports[0]',
  ],
  ['ports are needed', '{selector: {a: b}}', 'LTN3003 spec'],
  ['a headless service may have none', '{clusterIP: None}'],
  ['an external name is needed', '{type: ExternalName}', 'LTN3002 spec'],
  ['a field is misspelled', '{ports: [{port: 80}], selecter: {a: b}}', 'LTN1002 spec.selecter'],
  ['a protocol is misspelled', '{ports: [{port: 80, protocol: TPC}]}', 'LTN1004 spec.ports[0].protocol'],
  ['a target port', '{ports: [{port: 80, targetPort: "80"}]}', 'LTN3004 spec.ports[0].targetPort'],
];

for (const [name, spec, ...expected] of SERVICES) {
  test(`Service: ${name}`, () => {
    deepStrictEqual(codesOf(`${SERVICE}spec: ${spec}`), expected);
  });
}

test('a LocalWorkload gets its defaults, and labels from its metadata', () => {
  const yaml = `${LOCAL}spec: {command: [node, a.js], ports: [{name: http, port: 80}, {port: 81, appPort: 9081}], readiness: {http: {port: 9080}, period: 500ms}}`;
  deepStrictEqual(specOf(yaml), {
    type: 'app',
    labels: { app: 'w' },
    annotations: { a: 'b' },
    serviceAccount: 'default',
    command: ['node', 'a.js'],
    args: [],
    env: [],
    workingDir: '',
    ports: [
      { name: 'http', port: 80, appPort: 80, protocol: 'TCP' },
      { name: '', port: 81, appPort: 9081, protocol: 'TCP' },
    ],
    replicas: 1,
    bind: '',
    readiness: { http: { path: '/', port: 9080 }, periodMs: 500, timeoutMs: 1000, failureThreshold: 3 },
  });
});

const LOCALS: readonly (readonly [name: string, spec: string, ...findings: string[]])[] = [
  ['a command is needed', '{}', 'LTN3101 spec'],
  ['a gateway is an Envoy alone', '{type: gateway, labels: {istio: ingressgateway}}'],
  ['a gateway runs nothing', '{type: gateway, command: [a], replicas: 2}', 'LTN3102 spec.command'],
  ['a gateway binds an address', '{type: gateway, bind: localhost}', 'LTN2007 spec.bind'],
  ['only a gateway binds', '{command: [a], bind: 127.0.0.1}', 'LTN2037 spec.bind'],
  ['replicas are bounded', '{command: [a], replicas: 51}', 'LTN1007 spec.replicas'],
  ['no replica is fine', '{command: [a], replicas: 0}'],
  ['a probe is http or tcp', '{command: [a], readiness: {}}', 'LTN3103 spec.readiness'],
  [
    'a probe path',
    '{command: [a], readiness: {http: {path: x, port: 1}}}',
    'LTN3106 spec.readiness.http.path',
  ],
  [
    'a period is written once',
    '{command: [a], readiness: {tcp: {port: 1}, period: 1s, periodMs: 1000}}',
    'LTN1005 spec.readiness.period',
  ],
  [
    'a period is a duration',
    '{command: [a], readiness: {tcp: {port: 1}, period: soon}}',
    'LTN1006 spec.readiness.period',
  ],
  ['names of variables', '{command: [a], env: [{name: 1A, value: b}]}', 'LTN3104 spec.env[0].name'],
  [
    'values of variables are texts',
    '{command: [a], env: [{name: A, value: 1}]}',
    'LTN1003 spec.env[0].value',
  ],
  ['a field is misspelled', '{comand: [a]}', 'LTN1002 spec.comand'],
  ['ports are unique', '{command: [a], ports: [{port: 1}, {port: 1}]}', 'LTN2014 spec.ports[1].port'],
  ['labels are labels', '{command: [a], labels: {app: "a b"}}', 'LTN1108 spec.labels.app'],
  ['no labels', '{command: [a], labels: {}}', 'LTN3105 metadata'],
];

for (const [name, spec, ...expected] of LOCALS) {
  test(`LocalWorkload: ${name}`, () => {
    deepStrictEqual(codesOf(`${LOCAL}spec: ${spec}`), expected);
  });
}

test('a Pod is read loosely: unknown fields mean nothing to the mesh', () => {
  const yaml = `apiVersion: v1
kind: Pod
metadata: {name: p, uid: u1, deletionTimestamp: "2024-01-01T00:00:00Z", ownerReferences: [{kind: ReplicaSet, name: r, controller: true}]}
spec: {serviceAccountName: sa, nodeName: n1, volumes: [], containers: [{name: c, image: i, resources: {}, ports: [{containerPort: 80}]}]}
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}], hostIP: 1.1.1.1, conditions: [{type: Ready, status: "True"}]}`;
  deepStrictEqual(specOf(yaml), {
    serviceAccountName: 'sa',
    nodeName: 'n1',
    hostNetwork: false,
    hostname: '',
    subdomain: '',
    containers: [{ name: 'c', image: 'i', ports: [{ name: '', containerPort: 80, protocol: 'TCP' }] }],
    initContainers: [],
    podIPs: ['10.0.0.1', 'fd00::1'],
    hostIP: '1.1.1.1',
    phase: 'Running',
    ready: true,
    deleting: true,
    owners: [{ apiVersion: '', kind: 'ReplicaSet', name: 'r', controller: true }],
    uid: 'u1',
  });
});

test('conditions of an EndpointSlice have the meaning of absent ones filled in', () => {
  const yaml = `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: e, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], conditions: {ready: false, serving: true, terminating: true}, targetRef: {kind: Pod, name: p, namespace: d, uid: u}}]
ports: [{name: http, port: 80}]`;
  const { endpoints } = specOf(yaml) as { endpoints: unknown };
  const rest = { hostname: '', nodeName: '', zone: '' };
  deepStrictEqual(endpoints, [
    { addresses: ['10.0.0.1'], ...rest, ready: true, serving: true, terminating: false },
    {
      addresses: ['10.0.0.2'],
      ...rest,
      targetRef: { kind: 'Pod', namespace: 'd', name: 'p' },
      ready: false,
      serving: true,
      terminating: true,
    },
  ]);
});

test('a Secret holds base64, and shows it to nobody', () => {
  const yaml =
    'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: kubernetes.io/tls\ndata: {tls.crt: YWJj}\nstringData: {tls.key: geheim}';
  const { object } = decodeYaml(yaml);
  deepStrictEqual(plain(object?.spec), {
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': 'YWJj', 'tls.key': 'Z2VoZWlt' },
  });
  const printed = object === undefined ? '' : printObject(object, 'yaml') + printObject(object, 'json');
  deepStrictEqual([/YWJj|Z2Vo|geheim/.test(printed), printed.includes('[redacted]')], [false, true]);
  const wrong = decodeYaml(
    'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: "***"}\nstringData: {b: 12345}',
  );
  deepStrictEqual(
    wrong.diagnostics.map((d) => [d.code, JSON.stringify(d).includes('12345')]),
    [
      ['LTN1010', false],
      ['LTN1003', false],
    ],
  );
});

test('Namespace, ServiceAccount, ConfigMap, Node and Endpoints are read', () => {
  const yamls = [
    'apiVersion: v1\nkind: Namespace\nmetadata: {name: n1}\nspec: {finalizers: [kubernetes]}',
    'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: n1}\nsecrets: []',
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: n1}\ndata: {mesh: "a: b"}',
    'apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {addresses: [{type: InternalIP, address: 1.2.3.4}], capacity: {}}',
    'apiVersion: v1\nkind: Endpoints\nmetadata: {name: n1}\nsubsets: [{addresses: [{ip: 1.2.3.4}], ports: [{port: 80}]}]',
  ];
  deepStrictEqual(yamls.map(specOf), [
    {},
    {},
    { data: { mesh: 'a: b' }, binaryData: {} },
    { addresses: [{ type: 'InternalIP', address: '1.2.3.4' }] },
    {
      subsets: [
        {
          addresses: [{ ip: '1.2.3.4', hostname: '', nodeName: '' }],
          notReadyAddresses: [],
          ports: [{ name: '', port: 80, protocol: 'TCP' }],
        },
      ],
    },
  ]);
});

test('objects of cluster-scoped kinds have no namespace', () => {
  strictEqual(decodeYaml('apiVersion: v1\nkind: Node\nmetadata: {name: n1}').object?.namespace, '');
});

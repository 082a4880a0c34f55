/** Findings that only the whole mesh shows: who is told of what, and that they go with their reason. */
import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { type MeshFixture, meshFixture, type ProxyFacts } from '../support/mesh-fixture.ts';

const GATEWAY: ProxyFacts = {
  name: 'gw',
  type: 'router',
  ip: '10.0.0.1',
  namespace: 'istio-system',
  labels: { istio: 'ingressgateway' },
  serviceAccount: 'gateway',
  identity: 'spiffe://cluster.local/ns/istio-system/sa/gateway',
};

function server(port: number, tls: string): string {
  return `{port: {number: ${port}, name: https-${port}, protocol: HTTPS}, hosts: [a.test], tls: ${tls}}`;
}

function gateway(name: string, ...servers: readonly string[]): string {
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, servers: [${servers.join(', ')}]}
`;
}

/** \`object: code path args\`. */
function found(mesh: MeshFixture): readonly string[] {
  mesh.settle();
  return [...mesh.mesh.graph.findings.all()].flatMap(([key, findings]) =>
    findings.map(({ code, path, args }) =>
      [`${key}:`, code, path, ...Object.values(args)].filter((part) => part !== '').join(' '),
    ),
  );
}

test('servers that clash are told to their Gateway, once for all gateways, until the other one goes', () => {
  const mesh = meshFixture();
  mesh.apply(gateway('first', server(443, '{mode: PASSTHROUGH}')));
  mesh.apply(gateway('second', server(443, '{mode: PASSTHROUGH}')));
  deepStrictEqual(found(mesh), []);
  mesh.connect(GATEWAY);
  mesh.connect({ ...GATEWAY, name: 'gw-2', ip: '10.0.0.2' });
  mesh.connect({
    ...GATEWAY,
    name: 'gw-3',
    ip: '10.0.0.3',
    labels: { istio: 'ingressgateway', of: 'another view' },
  });
  deepStrictEqual(found(mesh), ['Gateway/istio-system/second: LTN5012 spec.servers[0] 443 a.test']);
  mesh.remove({ kind: 'Gateway', namespace: 'istio-system', name: 'first' });
  deepStrictEqual(found(mesh), []);
});

test('credentials that lead nowhere are told to the server or rule that names them', () => {
  const mesh = meshFixture();
  mesh.connect(GATEWAY);
  mesh.apply(
    gateway(
      'g',
      server(443, '{mode: SIMPLE, credentialName: none}'),
      server(444, '{mode: MUTUAL, credentialName: web}'),
      server(445, '{mode: SIMPLE, credentialName: "kubernetes://shop/web"}'),
    ),
  );
  mesh.apply(`
apiVersion: v1
kind: Secret
metadata: {name: web, namespace: istio-system}
stringData: {cert: a, key: b}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ext, namespace: istio-system}
spec: {hosts: [ext.test], ports: [{number: 443, name: https, protocol: HTTPS}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ext, namespace: istio-system}
spec: {host: ext.test, trafficPolicy: {tls: {mode: SIMPLE, credentialName: roots}}}
`);
  deepStrictEqual(found(mesh), [
    'DestinationRule/istio-system/ext: IST0101 credentialName istio-system/roots-cacert',
    'Gateway/istio-system/g: IST0101 spec.servers[0].tls credentialName istio-system/none',
    'Gateway/istio-system/g: LTN5020 spec.servers[1].tls istio-system/web-cacert CA certificate ca.crt or cacert',
    'Gateway/istio-system/g: LTN5021 spec.servers[2].tls shop/web istio-system gateway',
  ]);
});

test('what VirtualServices get wrong among others is there too', () => {
  const mesh = meshFixture();
  mesh.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root, namespace: default}
spec: {hosts: [a.test], http: [{delegate: {name: gone}}]}
`);
  deepStrictEqual(
    found(mesh).map((line) => line.split(' ').slice(0, 2).join(' ')),
    ['VirtualService/default/root: IST0101'],
  );
});

const SERVED = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: tcp, port: 90}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web, version: v1, security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: web, containers: []}
status: {podIP: 10.0.0.9, podIPs: [{ip: 10.0.0.9}], phase: Running}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: tcp, port: 9090}]
endpoints: [{addresses: [10.0.0.9], targetRef: {kind: Pod, name: web-1, namespace: shop}}]
`;

function rule(name: string, host: string, spec: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}, namespace: default}
spec: {host: "${host}", ${spec}}
`;
}

function peers(namespace: string, spec: string): string {
  return `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: ${namespace}}
spec: ${spec}
`;
}

const WEB = 'web.shop.svc.cluster.local';
const TLS_CASES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  [
    'plain text to what takes mutual TLS only',
    [rule('r', WEB, 'trafficPolicy: {tls: {mode: DISABLE}}'), peers('shop', '{mtls: {mode: STRICT}}')],
    [
      `r: LTN5030 spec.trafficPolicy.tls ${WEB}:80 DISABLE PeerAuthentication shop/default`,
      `r: LTN5030 spec.trafficPolicy.tls ${WEB}:90 DISABLE PeerAuthentication shop/default`,
    ],
  ],
  [
    'mutual TLS to what takes none',
    [rule('r', WEB, 'trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}'), peers('shop', '{mtls: {mode: DISABLE}}')],
    [
      `r: LTN5031 spec.trafficPolicy.tls ${WEB}:80 ISTIO_MUTUAL PeerAuthentication shop/default`,
      `r: LTN5031 spec.trafficPolicy.tls ${WEB}:90 ISTIO_MUTUAL PeerAuthentication shop/default`,
    ],
  ],
  [
    'TLS of one port, and its port of the workload',
    [
      rule(
        'r',
        WEB,
        'trafficPolicy: {portLevelSettings: [{port: {number: 80}, outlierDetection: {}}, {port: {number: 90}, tls: {mode: SIMPLE}}]}',
      ),
      peers(
        'shop',
        '{selector: {matchLabels: {app: web}}, portLevelMtls: {9090: {mode: STRICT}, 8080: {mode: DISABLE}}}',
      ),
    ],
    [
      `r: LTN5030 spec.trafficPolicy.portLevelSettings[1].tls ${WEB}:90 SIMPLE PeerAuthentication shop/default`,
    ],
  ],
  [
    'TLS of a subset that has the workload, not of one that has not',
    [
      rule(
        'r',
        WEB,
        'subsets: [{name: v2, labels: {version: v2}, trafficPolicy: {tls: {mode: DISABLE}}}, ' +
          '{name: v1, labels: {version: v1}, trafficPolicy: {portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]}}]',
      ),
      peers('shop', '{mtls: {mode: STRICT}}'),
    ],
    [
      `r: LTN5030 spec.subsets[1].trafficPolicy.portLevelSettings[0].tls ${WEB}:80 DISABLE PeerAuthentication shop/default`,
    ],
  ],
  [
    'a wildcard of the namespace, unless a rule for the host overrules it',
    [
      rule('wide', '*.shop.svc.cluster.local', 'trafficPolicy: {tls: {mode: DISABLE}}'),
      rule('r', WEB, 'trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}'),
      peers('shop', '{mtls: {mode: STRICT}}'),
    ],
    [],
  ],
  [
    'a wildcard of the mesh, against the mode of the mesh',
    [
      rule('wide', '*.local', 'trafficPolicy: {tls: {mode: DISABLE}}'),
      peers('istio-system', '{mtls: {mode: STRICT}}'),
    ],
    ['wide: LTN5030 spec.trafficPolicy.tls *.local DISABLE PeerAuthentication istio-system/default'],
  ],
  ['nothing where both may be', [rule('r', WEB, 'trafficPolicy: {tls: {mode: DISABLE}}')], []],
];
for (const [what, texts, expected] of TLS_CASES) {
  test(`DestinationRules and PeerAuthentications that contradict each other: ${what}`, () => {
    const mesh = meshFixture();
    for (const text of [SERVED, ...texts]) mesh.apply(text);
    deepStrictEqual(
      found(mesh).map((line) => line.replace('DestinationRule/default/', '')),
      expected,
    );
    mesh.remove({ kind: 'PeerAuthentication', namespace: 'shop', name: 'default' });
    mesh.remove({ kind: 'PeerAuthentication', namespace: 'istio-system', name: 'default' });
    deepStrictEqual(found(mesh), []);
  });
}

/** Rules of Istio's kinds, one row each: a spec in YAML, and the codes with paths that validation gives. */
import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { decodeObject } from './decode-object.ts';
import { kindInfo } from './kind-registry.ts';
import { parseDocuments } from './yaml-documents.ts';

type Row = readonly [name: string, spec: string, ...findings: string[]];

/** Findings as `CODE path`, the path without `spec.`. */
function findingsOf(kind: string, spec: string): readonly string[] {
  const info = kindInfo(kind);
  const apiVersion = info?.group === '' ? 'v1' : `${info?.group}/${info?.versions[0]}`;
  const [document] = parseDocuments(spec, 'spec.yaml');
  const json = { apiVersion, kind, metadata: { name: 'x', labels: { app: 'x' } }, spec: document?.value };
  const { diagnostics } = decodeObject(json, { defaultNamespace: 'default' });
  return diagnostics.map((diagnostic) =>
    `${diagnostic.code} ${(diagnostic.path ?? '').replace(/^spec\.?/, '')}`.trim(),
  );
}

const ROWS: Readonly<Record<string, readonly Row[]>> = {
  DestinationRule: [
    ['subsets with labels are fine', 'host: a\nsubsets: [{name: v1, labels: {version: v1}}]'],
    ['a host is needed', 'subsets: [{name: v1}]', 'LTN1012'],
    ['subset names are unique', 'host: a\nsubsets: [{name: v1}, {name: v1}]', 'LTN2014 subsets[1].name'],
    ['an empty policy', 'host: a\ntrafficPolicy: {}', 'LTN2039 trafficPolicy'],
    ['an empty pool', 'host: a\ntrafficPolicy: {connectionPool: {}}', 'LTN2039 trafficPolicy.connectionPool'],
    [
      'negative limits',
      'host: a\ntrafficPolicy: {connectionPool: {tcp: {maxConnections: -1}, http: {maxRetries: -2}}}',
      'LTN2033 trafficPolicy.connectionPool.http.maxRetries',
      'LTN2033 trafficPolicy.connectionPool.tcp.maxConnections',
    ],
    [
      'an idle timeout of 0 switches it off',
      'host: a\ntrafficPolicy: {connectionPool: {tcp: {idleTimeout: 0s}}}',
    ],
    [
      'percentages of outlier detection',
      'host: a\ntrafficPolicy: {outlierDetection: {maxEjectionPercent: 101}}',
      'LTN2032 trafficPolicy.outlierDetection.maxEjectionPercent',
    ],
    [
      'mutual TLS needs certificates',
      'host: a\ntrafficPolicy: {tls: {mode: MUTUAL}}',
      'LTN1012 trafficPolicy.tls',
      'LTN1012 trafficPolicy.tls',
    ],
    ['mutual TLS by credential is fine', 'host: a\ntrafficPolicy: {tls: {mode: MUTUAL, credentialName: c}}'],
    [
      'a Maglev table is prime',
      'host: a\ntrafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 10}}}}',
      'LTN2034 trafficPolicy.loadBalancer.consistentHash.maglev.tableSize',
    ],
    [
      'weights of localities add up to 100',
      'host: a\ntrafficPolicy: {outlierDetection: {}, loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 40, c: 50}}]}}}',
      'LTN2202 trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to',
    ],
    [
      'failover without outlier detection',
      'host: a\ntrafficPolicy: {loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}}',
      'LTN2042 trafficPolicy.loadBalancer.localityLbSetting',
    ],
    [
      'an empty list of port policies is no policy',
      'host: a\ntrafficPolicy: {portLevelSettings: []}',
      'LTN2039 trafficPolicy',
    ],
    [
      'a port policy needs a port',
      'host: a\ntrafficPolicy: {portLevelSettings: [{tls: {mode: SIMPLE}}]}',
      'LTN1012 trafficPolicy.portLevelSettings[0]',
    ],
    [
      'a selector keeps the rule in its namespace',
      'host: a\nworkloadSelector: {matchLabels: {app: a}}\nexportTo: ["*"]',
      'LTN2016 exportTo',
    ],
  ],
  Gateway: [
    ['an HTTP server is fine', 'servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]'],
    ['servers are needed', 'selector: {istio: gw}', 'LTN1012'],
    ['a server needs hosts and a port', 'servers: [{}]', 'LTN1012 servers[0]', 'LTN1012 servers[0]'],
    [
      'a short name',
      'servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [a]}]',
      'LTN2003 servers[0].hosts[0]',
    ],
    [
      'HTTPS needs TLS settings',
      'servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"]}]',
      'LTN2301 servers[0]',
    ],
    [
      'HTTP cannot terminate TLS',
      'servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: c}}]',
      'LTN2302 servers[0].tls',
    ],
    [
      'HTTP may redirect',
      'servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"], tls: {httpsRedirect: true}}]',
    ],
    [
      'what is HTTPS already has nothing to redirect',
      'servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: c, httpsRedirect: true}}]',
      'LTN2041 servers[0].tls.httpsRedirect',
    ],
    [
      'SIMPLE needs a certificate',
      'servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE}}]',
      'LTN1012 servers[0].tls',
      'LTN1012 servers[0].tls',
    ],
    [
      'port names are unique, protocols known',
      'servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ["*"]}, {port: {number: 81, name: a, protocol: HTPP}, hosts: ["*"]}]',
      'LTN2013 servers[1].port.protocol',
      'LTN2014 servers[1].port.name',
    ],
    [
      'unknown and repeated cipher suites',
      'servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: c, cipherSuites: [X, AES128-SHA, AES128-SHA]}}]',
      'LTN2304 servers[0].tls.cipherSuites[0]',
      'LTN2304 servers[0].tls.cipherSuites[2]',
    ],
  ],
  ServiceEntry: [
    [
      'an external host is fine',
      'hosts: [api.example.com]\nports: [{number: 443, name: tls, protocol: TLS}]\nresolution: DNS',
    ],
    ['hosts are needed', 'ports: [{number: 443, name: tls, protocol: TLS}]', 'LTN1012'],
    ['not every host', 'hosts: ["*"]\nports: [{number: 80, name: http, protocol: HTTP}]', 'LTN2001 hosts[0]'],
    [
      'endpoints or a selector',
      'hosts: [a.com]\nresolution: STATIC\nports: [{number: 80, name: http, protocol: HTTP}]\nendpoints: [{address: 1.2.3.4}]\nworkloadSelector: {labels: {a: b}}',
      'LTN2038',
    ],
    [
      'NONE has no endpoints',
      'hosts: [a.com]\nports: [{number: 80, name: http, protocol: HTTP}]\nendpoints: [{address: 1.2.3.4}]',
      'LTN2037 endpoints',
    ],
    [
      'STATIC endpoints are addresses, with ports of the service',
      'hosts: [a.com]\nresolution: STATIC\nports: [{number: 80, name: http, protocol: HTTP}]\nendpoints: [{address: b.com, ports: {htp: 80}}]',
      'LTN2007 endpoints[0].address',
      'LTN2034 endpoints[0].ports.htp',
    ],
    [
      'DNS looks up hosts, not wildcards',
      'hosts: ["*.a.com"]\nresolution: DNS\nports: [{number: 80, name: http, protocol: HTTP}]',
      'LTN2001 hosts[0]',
    ],
    [
      'ranges of addresses need NONE or STATIC',
      'hosts: [a.com]\naddresses: [10.0.0.0/8]\nresolution: DNS\nports: [{number: 80, name: http, protocol: HTTP}]',
      'LTN2034 addresses[0]',
    ],
    [
      'several hosts cannot share a TCP port',
      'hosts: [a.com, b.com]\nresolution: DNS\nports: [{number: 80, name: tcp, protocol: TCP}]',
      'LTN2401 ports[0]',
    ],
    [
      'ports are unique',
      'hosts: [a.com]\nresolution: DNS\nports: [{number: 80, name: a, protocol: HTTP}, {number: 80, name: a, protocol: HTTP}]',
      'LTN2014 ports[1].name',
      'LTN2014 ports[1].number',
    ],
    [
      'DYNAMIC_DNS has wildcard hosts and HTTP or TLS ports',
      'hosts: [a.com]\nresolution: DYNAMIC_DNS\nports: [{number: 80, name: a, protocol: TCP}]',
      'LTN2002 hosts[0]',
      'LTN2034 ports[0].protocol',
    ],
  ],
  WorkloadEntry: [
    ['an address is fine', 'address: 10.1.2.3'],
    ['an address is needed', '{}', 'LTN1012'],
    ['without address beside a network', 'network: net-1', 'LTN2042'],
    ['a Unix socket has no ports', 'address: unix:///a/b\nports: {http: 80}', 'LTN2037 ports'],
    ['an address is an IP or a name', 'address: a:80', 'LTN2009 address'],
  ],
  PeerAuthentication: [
    ['a mode is fine', 'mtls: {mode: STRICT}'],
    ['ports need a selector', 'portLevelMtls: {8080: {mode: DISABLE}}', 'LTN2037 portLevelMtls'],
    [
      'ports within range',
      'selector: {matchLabels: {a: b}}\nportLevelMtls: {0: {}}',
      'LTN2011 portLevelMtls["0"]',
    ],
    ['an empty selector', 'selector: {}', 'LTN2022 selector'],
    ['an unknown mode', 'mtls: {mode: STRICKT}', 'LTN1004 mtls.mode'],
  ],
  AuthorizationPolicy: [
    ['an empty spec denies by allowing nothing', '{}'],
    ['DENY needs rules', 'action: DENY', 'LTN1012'],
    ['CUSTOM needs a provider', 'action: CUSTOM\nrules: [{}]', 'LTN1012'],
    ['only CUSTOM has a provider', 'provider: {name: p}\nrules: [{}]', 'LTN2037 provider'],
    ['an empty source', 'rules: [{from: [{source: {}}]}]', 'LTN2035 rules[0].from[0].source'],
    [
      'an address',
      'rules: [{from: [{source: {ipBlocks: [1.2.3]}}]}]',
      'LTN2008 rules[0].from[0].source.ipBlocks[0]',
    ],
    ['a port', 'rules: [{to: [{operation: {ports: ["80a"]}}]}]', 'LTN2034 rules[0].to[0].operation.ports[0]'],
    [
      'a path template',
      'rules: [{to: [{operation: {paths: ["/a/{**}/{*}"]}}]}]',
      'LTN2034 rules[0].to[0].operation.paths[0]',
    ],
    [
      'an unknown key',
      'rules: [{when: [{key: source.ips, values: [1.2.3.4]}]}]',
      'LTN2502 rules[0].when[0].key',
    ],
    ['a key needs values', 'rules: [{when: [{key: source.ip}]}]', 'LTN2039 rules[0].when[0]'],
    [
      'accounts and namespaces exclude each other',
      'rules: [{from: [{source: {serviceAccounts: [a], namespaces: [b]}}]}]',
      'LTN2038 rules[0].from[0].source',
    ],
    [
      'DENY with HTTP attributes denies all TCP',
      'action: DENY\nrules: [{to: [{operation: {methods: [GET]}}]}]',
      'LTN2501 rules[0]',
    ],
    [
      'selector and targetRefs exclude each other',
      'selector: {matchLabels: {a: b}}\ntargetRefs: [{kind: Service, name: s}]\nrules: [{}]',
      'LTN2023',
    ],
  ],
  RequestAuthentication: [
    ['an issuer is fine', 'jwtRules: [{issuer: a, jwksUri: "https://a/keys"}]'],
    ['issuer or keys', 'jwtRules: [{}]', 'LTN2039 jwtRules[0]'],
    ['a URI', 'jwtRules: [{issuer: a, jwksUri: "ftp://a"}]', 'LTN2034 jwtRules[0].jwksUri'],
    ['keys are JSON', 'jwtRules: [{issuer: a, jwks: "{"}]', 'LTN2034 jwtRules[0].jwks'],
    [
      'private keys',
      `jwtRules: [{issuer: a, jwks: '{"keys":[{"kty":"oct","k":"x"}]}'}]`,
      'LTN2041 jwtRules[0].jwks',
    ],
  ],
  WorkloadGroup: [
    ['a template is needed', '{}', 'LTN1012'],
    ['a probe needs a method', 'template: {}\nprobe: {}', 'LTN2039 probe'],
  ],
  Sidecar: [
    ['an egress listener is fine', 'egress: [{hosts: ["./*", "istio-system/*"]}]'],
    ['something is needed', '{}', 'LTN2039'],
    ['hosts have a namespace', 'egress: [{hosts: [a.com]}]', 'LTN2001 egress[0].hosts[0]'],
    [
      'an endpoint is local',
      'ingress: [{port: {number: 80, protocol: HTTP, name: http}, defaultEndpoint: "10.1.2.3:80"}]',
      'LTN2034 ingress[0].defaultEndpoint',
    ],
    [
      'the listener without port is last',
      'egress: [{hosts: ["./*"]}, {port: {number: 80, protocol: HTTP}, hosts: ["./*"]}]',
      'LTN1012 egress[0]',
    ],
  ],
  EnvoyFilter: [
    ['a patch is fine', 'configPatches: [{applyTo: CLUSTER, patch: {operation: MERGE, value: {name: x}}}]'],
    [
      'applyTo is needed',
      'configPatches: [{patch: {operation: MERGE, value: {}}}]',
      'LTN1012 configPatches[0]',
    ],
    [
      'the match fits applyTo',
      'configPatches: [{applyTo: CLUSTER, match: {listener: {}}, patch: {operation: REMOVE}}]',
      'LTN2602 configPatches[0].match.listener',
    ],
  ],
  ProxyConfig: [['negative concurrency', 'concurrency: -1', 'LTN2033 concurrency']],
  Telemetry: [
    ['a provider is fine', 'tracing: [{providers: [{name: zipkin}], randomSamplingPercentage: 10}]'],
    [
      'a sampling rate',
      'tracing: [{randomSamplingPercentage: 101}]',
      'LTN2032 tracing[0].randomSamplingPercentage',
    ],
    [
      'a tag needs a value',
      'metrics: [{overrides: [{tagOverrides: {a: {operation: UPSERT}}}]}]',
      'LTN1012 metrics[0].overrides[0].tagOverrides.a',
    ],
  ],
  WasmPlugin: [
    ['an image is fine', 'url: oci://example.com/filter:1'],
    ['a URL is needed', '{}', 'LTN1012'],
    ['a scheme', 'url: ftp://example.com/x', 'LTN2034 url'],
  ],
  TrafficExtension: [['wasm or lua', '{}', 'LTN2039']],
};

for (const [kind, rows] of Object.entries(ROWS)) {
  for (const [name, spec, ...expected] of rows) {
    test(`${kind}: ${name}`, () => {
      deepStrictEqual(findingsOf(kind, spec), expected);
    });
  }
}

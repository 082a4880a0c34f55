/**
 * What the simulator tells of a call, step by step and with the objects behind each step: through a client's sidecar, over mTLS, to
 * the server's.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import { type Call, type CallConnection, plainRequest } from '#simulation/call.ts';
import { type SimulationWorld, simulateCall } from '#simulation/simulate.ts';
import { isCertain } from '#simulation/simulated-call.ts';
import { meshFixture, type ProxyFacts } from '../support/mesh-fixture.ts';

const OBJECTS = `
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {clusterIP: 10.1.0.1, selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, namespace: default, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: 9080}]
endpoints: [{addresses: [10.2.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: reviews-v1, namespace: default}}]
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-v1, namespace: default, labels: {app: reviews, version: v1, security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: reviews, containers: []}
status: {podIP: 10.2.0.1, podIPs: [{ip: 10.2.0.1}], phase: Running}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http:
  - name: slow
    match: [{uri: {prefix: /slow}}]
    fault: {abort: {httpStatus: 503, percentage: {value: 25}}}
    route: [{destination: {host: reviews, subset: v1}}]
  - name: v1
    route: [{destination: {host: reviews, subset: v1}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-writers, namespace: default}
spec:
  selector: {matchLabels: {app: reviews}}
  action: DENY
  rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/client]}}], to: [{operation: {methods: [POST]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask-somebody, namespace: default}
spec:
  selector: {matchLabels: {app: reviews}}
  action: CUSTOM
  provider: {name: authorizer}
  rules: [{to: [{operation: {paths: [/asked]}}]}]
`;
const AUTHORIZER = {
  name: 'authorizer',
  envoyExtAuthzHttp: { service: 'reviews.default.svc.cluster.local', port: 9080 },
};
const CONNECTION: CallConnection = {
  sourceAddress: '10.2.0.9',
  sourcePort: 40_000,
  address: '10.1.0.1',
  port: 9080,
  protocol: 'http/1.1',
  tls: undefined,
};

function world(): SimulationWorld {
  const fixture = meshFixture();
  fixture.configure({ extensionProviders: [AUTHORIZER] });
  fixture.apply(OBJECTS);
  const connect = (facts: ProxyFacts, address: string) => {
    fixture.connect({ ...facts, ip: address });
    const spiffeId = `spiffe://cluster.local/ns/default/sa/${facts.name}`;
    return { name: facts.name, snapshot: fixture.entries(facts.name), spiffeId, addresses: [address] };
  };
  const proxies = [
    connect({ name: 'client' }, '10.2.0.9'),
    connect({ name: 'reviews', labels: { app: 'reviews', version: 'v1' } }, '10.2.0.1'),
  ];
  return {
    proxy: (name) => proxies.find((proxy) => proxy.name === name),
    proxyAt: (address) => proxies.find(({ addresses }) => addresses.includes(address)),
  };
}

/** Steps as lines; causes at their ends. */
function told(method: string, path: string): readonly string[] {
  const request = { ...plainRequest('reviews:9080', path), method };
  const call: Call = { source: { kind: 'workload', proxy: 'client' }, connection: CONNECTION, request };
  return simulateCall(world(), call).outcomes.flatMap((outcome) => {
    const steps = outcome.steps.map(({ proxy, stage, subject, result, causes }) => {
      const names = causes.map(({ kind, name, path: field }) => ` <${kind} ${name}${field && ` ${field}`}>`);
      return `${proxy} ${stage} ${subject}: ${result}${names.join('')}`;
    });
    const { probability, proxy, verdict } = outcome;
    return [`${probability} ${verdict.kind} at ${proxy}${isCertain(outcome) ? '' : ', perhaps'}`, ...steps];
  });
}

const TLS_NAME = 'outbound_.9080_.v1_.reviews.default.svc.cluster.local';
const CLUSTER = 'outbound|9080|v1|reviews.default.svc.cluster.local';
const ON_THE_WAY = [
  'client listener 0.0.0.0_9080: takes 10.1.0.1:9080 <Service reviews>',
  'client filter-chain 0.0.0.0_9080: chosen for plain text speaking http/1.1',
  'client virtual-host reviews:9080: virtual host reviews.default.svc.cluster.local:9080 in 9080',
  'client route v1: route 2 of 2 takes it <VirtualService reviews>',
  `client cluster ${CLUSTER}: one endpoint <Service reviews> <DestinationRule reviews> <DestinationRule reviews spec.subsets[0]>`,
  'client endpoint 10.2.0.1:9080: is behind reviews',
  'reviews listener virtualInbound: takes 10.2.0.1:9080 <Service reviews> <AuthorizationPolicy ask-somebody spec> <AuthorizationPolicy no-writers spec>',
  `reviews filter-chain 0.0.0.0_9080: chosen for TLS to ${TLS_NAME} speaking istio-http/1.1, istio, http/1.1`,
  `reviews tls ${TLS_NAME}: TLS with spiffe://cluster.local/ns/default/sa/client`,
  'reviews virtual-host reviews:9080: virtual host inbound|http|9080 in inbound|9080||',
  'reviews route default: route 1 of 1 takes it',
];
const NOT_DENIED = 'reviews http-filter envoy.filters.http.rbac: no policy matches: goes on';
const ARRIVES = 'reviews cluster inbound|9080||: one endpoint <Service reviews>';

it('a call that arrives', () => {
  deepStrictEqual(told('GET', '/'), ['1 routed at reviews', ...ON_THE_WAY, NOT_DENIED, ARRIVES]);
});

it('a call that a policy of the server denies', () => {
  deepStrictEqual(told('POST', '/'), [
    '1 denied at reviews',
    ...ON_THE_WAY,
    'reviews http-filter envoy.filters.http.rbac: policy ns[default]-policy[no-writers]-rule[0] matches: denied <AuthorizationPolicy no-writers spec.rules[0]>',
  ]);
});

it('where somebody else is asked, the answer is not known', () => {
  deepStrictEqual(told('GET', '/asked'), [
    '1 routed at reviews, perhaps',
    ...ON_THE_WAY,
    'reviews http-filter envoy.filters.http.ext_authz: not evaluated: what the external authorizer answers',
    NOT_DENIED,
    ARRIVES,
  ]);
});

it('chance has its share', () => {
  deepStrictEqual(
    told('GET', '/slow').filter((line) => /^[0-9]|filters.http.fault/.test(line)),
    [
      '0.25 fault-abort at client',
      'client http-filter envoy.filters.http.fault: aborts with 503 <VirtualService reviews>',
      '0.75 routed at reviews',
    ],
  );
});

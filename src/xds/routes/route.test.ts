import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { type JsonObject, toJson } from '@bufbuild/protobuf';
import type { HttpMatch, HttpRoute } from '#api/virtual-service.ts';
import { RouteSchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';
import { isCatchAll } from './match.ts';
import { buildRoute, type RouteInput } from './route.ts';

const CLUSTER = 'outbound|80||a.default.svc.cluster.local';

function input(http: HttpRoute, overrides: Partial<RouteInput> = {}): RouteInput {
  return {
    http,
    match: undefined,
    virtualService: { namespace: 'default', name: 'vs' },
    targets: (http.route ?? []).map((_entry, i) => ({
      cluster: i === 0 ? CLUSTER : `cluster-${i}`,
      hash: undefined,
    })),
    mirrors: { single: 'mirror', several: (http.mirrors ?? []).map((_entry, i) => `mirror-${i}`) },
    defaultRetries: { attempts: 0 },
    appendForwardedHost: false,
    shadowSuffix: false,
    semantics: 'text',
    notFoundIs500: false,
    listenPort: 80,
    isTls: false,
    session: undefined,
    ...overrides,
  };
}

function built(http: HttpRoute, overrides: Partial<RouteInput> = {}): JsonObject {
  return toJson(RouteSchema, buildRoute(input(http, overrides)), { registry: envoyRegistry() }) as JsonObject;
}

const TO_A: HttpRoute = { route: [{ destination: { host: 'a' } }] };
const PLAIN_ACTION = { cluster: CLUSTER, timeout: '0s', maxGrpcTimeout: '0s' };

const MATCHES: readonly (readonly [string, HttpMatch, JsonObject])[] = [
  ['an exact path', { uri: { exact: '/a' } }, { path: '/a', caseSensitive: true }],
  [
    'a prefix without regard to case',
    { uri: { prefix: '/a' }, ignoreUriCase: true },
    { prefix: '/a', caseSensitive: false },
  ],
  ['a regex', { uri: { regex: '/[ab]' } }, { safeRegex: { regex: '/[ab]' }, caseSensitive: true }],
  [
    'method, authority and scheme, behind named headers',
    {
      headers: { z: { exact: '1' } },
      method: { exact: 'GET' },
      authority: { prefix: 'a' },
      scheme: { exact: 'https' },
    },
    {
      prefix: '/',
      caseSensitive: true,
      headers: [
        { name: 'z', stringMatch: { exact: '1' } },
        { name: ':method', stringMatch: { exact: 'GET' } },
        { name: ':authority', stringMatch: { prefix: 'a' } },
        { name: ':scheme', stringMatch: { exact: 'https' } },
      ],
    },
  ],
  [
    'headers sorted by name, and presence for an empty match',
    { headers: { b: {}, a: { regex: 'x' } } },
    {
      prefix: '/',
      caseSensitive: true,
      headers: [
        { name: 'a', stringMatch: { safeRegex: { regex: 'x' } } },
        { name: 'b', presentMatch: true },
      ],
    },
  ],
  [
    'absent values, which also an absent header has, and absent headers',
    { withoutHeaders: { a: { exact: 'x' }, b: { regex: '*' } } },
    {
      prefix: '/',
      caseSensitive: true,
      headers: [
        { name: 'a', stringMatch: { exact: 'x' }, invertMatch: true, treatMissingHeaderAsEmpty: true },
        { name: 'b', presentMatch: true, invertMatch: true },
      ],
    },
  ],
  [
    'query parameters',
    { queryParams: { q: { exact: '1' }, p: {} } },
    {
      prefix: '/',
      caseSensitive: true,
      queryParameters: [
        { name: 'p', presentMatch: true },
        { name: 'q', stringMatch: { exact: '1' } },
      ],
    },
  ],
  [
    'a claim of a token',
    { headers: { '@request.auth.claims[group][id]': { exact: 'x' } } },
    {
      prefix: '/',
      caseSensitive: true,
      dynamicMetadata: [
        {
          filter: 'envoy.filters.http.jwt_authn',
          path: [{ key: 'payload' }, { key: 'group' }, { key: 'id' }],
          value: {
            orMatch: {
              valueMatchers: [
                { listMatch: { oneOf: { stringMatch: { exact: 'x' } } } },
                { stringMatch: { exact: 'x' } },
              ],
            },
          },
        },
      ],
    },
  ],
];
for (const [title, match, expected] of MATCHES) {
  test(`matches ${title}`, () => {
    deepStrictEqual(built(TO_A, { match })['match'], expected);
  });
}

test('a route without match takes everything and says so by no case rule', () => {
  deepStrictEqual(built(TO_A)['match'], { prefix: '/' });
});

test('Gateway API prefixes match whole path elements', () => {
  const match = { uri: { prefix: '/a/' } };
  deepStrictEqual(built(TO_A, { match, semantics: 'element' })['match'], {
    pathSeparatedPrefix: '/a',
    caseSensitive: true,
  });
});

const CATCH_ALLS: readonly (readonly [HttpMatch | undefined, boolean])[] = [
  [undefined, true],
  [{ uri: { prefix: '/' } }, true],
  [{ uri: { regex: '.*' } }, true],
  [{ uri: { prefix: '/a' } }, false],
  [{ headers: { a: {} } }, false],
  [{ headers: { '@request.auth.claims.a': { exact: 'x' } } }, false],
  [{ queryParams: { a: {} } }, false],
];
for (const [match, expected] of CATCH_ALLS) {
  test(`${JSON.stringify(match) ?? 'no match'} ${expected ? 'takes everything' : 'leaves something over'}`, () => {
    deepStrictEqual(isCatchAll(buildRoute(input(TO_A, { match }))), expected);
  });
}

const weights: HttpRoute = {
  route: [
    { destination: { host: 'a' }, weight: 90, headers: { request: { set: { Host: 'x', b: '1' } } } },
    { destination: { host: 'b' }, weight: 10 },
    { destination: { host: 'c' }, weight: 0 },
  ],
};
const ACTIONS: readonly (readonly [string, HttpRoute, JsonObject])[] = [
  ['one destination', TO_A, { route: PLAIN_ACTION }],
  [
    'weights, without those of zero, and header operations of one destination',
    weights,
    {
      route: {
        timeout: '0s',
        maxGrpcTimeout: '0s',
        weightedClusters: {
          clusters: [
            {
              name: CLUSTER,
              weight: 90,
              requestHeadersToAdd: [
                { header: { key: 'b', value: '1' }, appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' },
              ],
              hostRewriteLiteral: 'x',
            },
            { name: 'cluster-1', weight: 10 },
          ],
        },
      },
    },
  ],
  [
    'a timeout, which also bounds grpc-timeout',
    { ...TO_A, timeout: '1.5s' },
    { route: { ...PLAIN_ACTION, timeout: '1.500s', maxGrpcTimeout: '1.500s' } },
  ],
  [
    'rewrites of path and authority',
    { ...TO_A, rewrite: { uri: '/b', authority: 'b.com' } },
    { route: { ...PLAIN_ACTION, prefixRewrite: '/b', hostRewriteLiteral: 'b.com' } },
  ],
  [
    'a rewrite by regex',
    { ...TO_A, rewrite: { uriRegexRewrite: { match: '/(.*)', rewrite: '/x/\\1' } } },
    { route: { ...PLAIN_ACTION, regexRewrite: { pattern: { regex: '/(.*)' }, substitution: '/x/\\1' } } },
  ],
  [
    'an authority at the route before one at its destination',
    {
      route: [{ destination: {}, headers: { request: { set: { host: 'inner' } } } }],
      headers: { request: { set: { ':authority': 'outer' } } },
    },
    { route: { ...PLAIN_ACTION, hostRewriteLiteral: 'outer' } },
  ],
  [
    'mirrors: all, by percentage, none at zero',
    {
      ...TO_A,
      mirror: { host: 'm' },
      mirrors: [
        { destination: {}, percentage: { value: 12.5 } },
        { destination: {}, percentage: { value: 0 } },
      ],
    },
    {
      route: {
        ...PLAIN_ACTION,
        requestMirrorPolicies: [
          {
            cluster: 'mirror',
            runtimeFraction: { defaultValue: { numerator: 100 } },
            traceSampled: false,
            disableShadowHostSuffixAppend: true,
          },
          {
            cluster: 'mirror-0',
            runtimeFraction: { defaultValue: { numerator: 125000, denominator: 'MILLION' } },
            traceSampled: false,
            disableShadowHostSuffixAppend: true,
          },
        ],
      },
    },
  ],
  [
    'a redirect with the default code and without the port of its scheme',
    { redirect: { uri: '/x', authority: 'b.com', derivePort: 'FROM_REQUEST_PORT' } },
    { redirect: { hostRedirect: 'b.com', pathRedirect: '/x' } },
  ],
  [
    'a redirect to another scheme, port and prefix',
    { redirect: { scheme: 'https', port: 8443, prefixRewrite: '/y', redirectCode: 308 } },
    {
      redirect: {
        schemeRedirect: 'https',
        portRedirect: 8443,
        prefixRewrite: '/y',
        responseCode: 'PERMANENT_REDIRECT',
      },
    },
  ],
  [
    'a redirect with a code that Envoy lacks has no action',
    { redirect: { uri: '/x', redirectCode: 304 } },
    {},
  ],
  [
    'a fixed answer',
    { directResponse: { status: 418, body: { string: 'tea' } } },
    { directResponse: { status: 418, body: { inlineString: 'tea' } } },
  ],
  [
    'a fixed answer of bytes',
    { directResponse: { status: 200, body: { bytes: 'aGk=' } } },
    { directResponse: { status: 200, body: { inlineBytes: 'aGk=' } } },
  ],
];
for (const [title, http, expected] of ACTIONS) {
  test(`acts: ${title}`, () => {
    const { route, redirect, directResponse } = built(http);
    const actual = { route, redirect, directResponse };
    deepStrictEqual(JSON.parse(JSON.stringify(actual)), JSON.parse(JSON.stringify(expected)));
  });
}

const FILTERS: readonly (readonly [string, HttpRoute, JsonObject | undefined])[] = [
  [
    'a delay and an abort by percentage',
    {
      ...TO_A,
      fault: {
        delay: { fixedDelay: '2s', percentage: { value: 0.1 } },
        abort: { httpStatus: 503, percentage: { value: 100 } },
      },
    },
    {
      'envoy.filters.http.fault': {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault',
        delay: { fixedDelay: '2s', percentage: { numerator: 1000, denominator: 'MILLION' } },
        abort: { httpStatus: 503, percentage: { numerator: 1000000, denominator: 'MILLION' } },
      },
    },
  ],
  [
    'a gRPC status by name',
    { ...TO_A, fault: { abort: { grpcStatus: 'UNAVAILABLE', percentage: { value: 1 } } } },
    {
      'envoy.filters.http.fault': {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault',
        abort: { grpcStatus: 14, percentage: { numerator: 10000, denominator: 'MILLION' } },
      },
    },
  ],
  [
    'nothing for a fault without effect',
    { ...TO_A, fault: { delay: { exponentialDelay: '1s' } } },
    undefined,
  ],
  [
    'cross-origin rules before faults',
    {
      ...TO_A,
      corsPolicy: {
        allowOrigins: [{ exact: 'https://a' }],
        allowMethods: ['GET', 'POST'],
        maxAge: '24h0m0s',
        unmatchedPreflights: 'IGNORE',
      },
    },
    {
      'envoy.filters.http.cors': {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy',
        allowOriginStringMatch: [{ exact: 'https://a' }],
        allowMethods: 'GET,POST',
        maxAge: '86400',
        filterEnabled: { defaultValue: { numerator: 100 } },
        forwardNotMatchingPreflights: false,
      },
    },
  ],
];
for (const [title, http, expected] of FILTERS) {
  test(`configures filters: ${title}`, () => {
    deepStrictEqual(built(http)['typedPerFilterConfig'], expected);
  });
}

test('header operations: set before add, sorted by name, without what Envoy may not change', () => {
  const headers = {
    request: { set: { b: '1', a: '2', ':path': 'x' }, add: { c: '3' }, remove: ['d', 'Host'] },
    response: { add: { e: '4' } },
  };
  const { requestHeadersToAdd, requestHeadersToRemove, responseHeadersToAdd } = built({ ...TO_A, headers });
  deepStrictEqual(
    { requestHeadersToAdd, requestHeadersToRemove, responseHeadersToAdd },
    {
      requestHeadersToAdd: [
        { header: { key: 'a', value: '2' }, appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' },
        { header: { key: 'b', value: '1' }, appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' },
        { header: { key: 'c', value: '3' } },
      ],
      requestHeadersToRemove: ['d'],
      responseHeadersToAdd: [{ header: { key: 'e', value: '4' } }],
    },
  );
});

test('a route is named after its rule and match, and names its VirtualService', () => {
  const { name, metadata, decorator } = built(
    { ...TO_A, name: 'rule' },
    { match: { name: 'match', uri: { exact: '/a' } } },
  );
  deepStrictEqual(
    { name, metadata, decorator },
    {
      name: 'rule.match',
      metadata: {
        filterMetadata: {
          istio: { config: '/apis/networking.istio.io/v1/namespaces/default/virtual-service/vs' },
        },
      },
      decorator: { operation: 'a.default.svc.cluster.local:80/a' },
    },
  );
});

test('a Gateway API rewrite to "/" cuts the matched prefix off and leaves one slash', () => {
  const route = built(
    { ...TO_A, rewrite: { uri: '/' } },
    { match: { uri: { prefix: '/a.b' } }, semantics: 'element' },
  )['route'] as JsonObject;
  deepStrictEqual(route['regexRewrite'], { pattern: { regex: '^/a\\.b(/?)(.*)' }, substitution: '/\\2' });
});

test('mirrors get the suffix of Envoy where that is asked for', () => {
  const { route } = built({ ...TO_A, mirror: { host: 'm' } }, { shadowSuffix: true });
  const [mirror] = (route as JsonObject)['requestMirrorPolicies'] as readonly JsonObject[];
  deepStrictEqual(mirror?.['disableShadowHostSuffixAppend'] ?? false, false);
});

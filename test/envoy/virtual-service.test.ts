/** Matches, destinations and what is done to requests on their way: VirtualServices in, requests through a real Envoy, outcome out. */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Call, type RouteRig, startRouteRig, virtualService } from './route-rig.ts';

let rig: RouteRig;
before(async () => {
  rig = await startRouteRig();
});
after(() => rig[Symbol.asyncDispose]());

const TO_V1 = 'route: [{ destination: { host: app.test, subset: v1 } }]';

/** One rule per match that answers with its own name. */
function namedRules(matches: readonly (readonly [name: string, match: string])[]): string {
  const rules = matches.map(
    ([name, match]) =>
      `    - { match: [${match}], directResponse: { status: 200, body: { string: ${name} } } }`,
  );
  return virtualService(
    `\n${rules.join('\n')}\n    - { directResponse: { status: 200, body: { string: none } } }`,
  );
}

const MATCHES: readonly (readonly [string, string])[] = [
  ['exact', '{ uri: { exact: /exact } }'],
  ['prefix', '{ uri: { prefix: /prefix } }'],
  ['regex', '{ uri: { regex: "/re[0-9]+/x" } }'],
  ['folded', '{ uri: { prefix: /Fold }, ignoreUriCase: true }'],
  ['method', '{ uri: { exact: /m }, method: { exact: PUT } }'],
  ['authority', '{ uri: { exact: /a }, authority: { prefix: app.test } }'],
  ['scheme', '{ uri: { exact: /s }, scheme: { exact: http } }'],
  ['header', '{ uri: { exact: /h }, headers: { x-user: { regex: "j.*n" } } }'],
  ['present', '{ uri: { exact: /h }, headers: { x-any: {} } }'],
  ['without', '{ uri: { exact: /w }, withoutHeaders: { x-user: { exact: jason } } }'],
  ['absent', '{ uri: { exact: /wa }, withoutHeaders: { x-any: {} } }'],
  ['query', '{ uri: { exact: /q }, queryParams: { a: { exact: "1" }, b: { prefix: x } } }'],
  ['anyquery', '{ uri: { exact: /q }, queryParams: { c: {} } }'],
  ['port', '{ uri: { exact: /p }, port: 80 }'],
  ['otherport', '{ uri: { exact: /po }, port: 81 }'],
  ['labels', '{ uri: { exact: /l }, sourceLabels: { app: client, version: v1 } }'],
  ['otherlabels', '{ uri: { exact: /lo }, sourceLabels: { app: client, version: v2 } }'],
  ['namespace', '{ uri: { exact: /n }, sourceNamespace: default }'],
  ['othernamespace', '{ uri: { exact: /no }, sourceNamespace: shop }'],
  ['gateways', '{ uri: { exact: /g }, gateways: [mesh] }'],
];

const HITS: readonly (readonly [path: string, name: string, call?: Call])[] = [
  ['/exact', 'exact'],
  ['/exact?a=b', 'exact'],
  ['/exactly', 'none'],
  ['/prefixed', 'prefix'],
  ['/re42/x', 'regex'],
  ['/re/x', 'none'],
  ['/re42/xy', 'none'],
  ['/fOLDer', 'folded'],
  ['/m', 'none'],
  ['/m', 'method', { method: 'PUT' }],
  ['/a', 'authority'],
  ['/s', 'scheme'],
  ['/h', 'header', { headers: { 'x-user': 'jaon' } }],
  ['/h', 'none', { headers: { 'x-user': 'jaonx' } }],
  ['/h', 'present', { headers: { 'x-any': 'y' } }],
  ['/w', 'without'],
  ['/w', 'without', { headers: { 'x-user': 'else' } }],
  ['/w', 'none', { headers: { 'x-user': 'jason' } }],
  ['/wa', 'absent'],
  ['/wa', 'none', { headers: { 'x-any': '1' } }],
  ['/q?a=1&b=xyz', 'query'],
  ['/q?a=1', 'none'],
  ['/q?c=', 'anyquery'],
  ['/p', 'port'],
  ['/po', 'none'],
  ['/l', 'labels'],
  ['/lo', 'none'],
  ['/n', 'namespace'],
  ['/no', 'none'],
  ['/g', 'gateways'],
];

test('each kind of match takes what it describes, and nothing else', async () => {
  await rig.apply(namedRules(MATCHES));
  const got: string[] = [];
  for (const [path, , call] of HITS)
    got.push(`${path} ${JSON.stringify(call)}: ${(await rig.call(path, call)).body}`);
  deepStrictEqual(
    got,
    HITS.map(([path, name, call]) => `${path} ${JSON.stringify(call)}: ${name}`),
  );
});

test('weights divide the requests', async () => {
  await rig.apply(
    virtualService(`
    - route:
      - { destination: { host: app.test, subset: v1 }, weight: 80 }
      - { destination: { host: app.test, subset: v2 }, weight: 20 }
      - { destination: { host: far.test }, weight: 0 }`),
  );
  const answers = await rig.calls(500, '/');
  const counts = ['v1', 'v2', 'far'].map((name) => answers.filter(({ body }) => body === name).length);
  deepStrictEqual([counts[0]! + counts[1]!, counts[2]], [500, 0]);
  // Five standard deviations.
  ok(counts[1]! > 55 && counts[1]! < 145, counts.join());
});

test('headers are set, added and removed for the route and for the destination, as the app and the client see', async () => {
  await rig.apply(
    virtualService(`
    - headers:
        request: { set: { x-set: route, x-both: route }, add: { x-add: more }, remove: [x-gone] }
        response: { set: { x-answer: route }, remove: [x-app] }
      route:
      - destination: { host: app.test, subset: v1 }
        headers:
          request: { set: { x-both: destination } }
          response: { add: { x-answer: destination } }`),
  );
  rig.behave('v1', (_request, response) => {
    response.setHeader('x-app', '1');
    response.end();
  });
  const headers = { 'x-set': 'client', 'x-add': 'client', 'x-gone': 'client' };
  const answer = await rig.call('/', { headers });
  const seen = rig.seen('v1')[0]?.headers ?? {};
  deepStrictEqual(
    [seen['x-set'], seen['x-both'], seen['x-add'], seen['x-gone']],
    ['route', 'destination', 'client, more', undefined],
  );
  deepStrictEqual([answer.headers['x-answer'], answer.headers['x-app']], ['route, destination', undefined]);
});

test('headers of one of several destinations concern that one only', async () => {
  await rig.apply(
    virtualService(`
    - route:
      - { destination: { host: app.test, subset: v1 }, weight: 50, headers: { request: { set: { x-to: one, host: one.example } } } }
      - { destination: { host: app.test, subset: v2 }, weight: 50 }`),
  );
  await rig.calls(40, '/');
  const told = (app: 'v1' | 'v2'): readonly string[] => [
    ...new Set(rig.seen(app).map(({ headers }) => `${headers['x-to']} ${headers.host}`)),
  ];
  deepStrictEqual([told('v1'), told('v2')], [['one one.example'], ['undefined app.test']]);
});

test('paths and authority are rewritten before the app sees them', async () => {
  await rig.apply(
    virtualService(`
    - { match: [{ uri: { prefix: /old } }], rewrite: { uri: /new, authority: other.example }, ${TO_V1} }
    - { match: [{ uri: { exact: /one } }], rewrite: { uri: /two }, ${TO_V1} }
    - match: [{ uri: { regex: "/v[0-9]+/.*" } }]
      rewrite: { uriRegexRewrite: { match: "/v([0-9]+)/(.*)", rewrite: "/\\\\2/\\\\1" } }
      ${TO_V1}
    - { headers: { request: { set: { ":authority": set.example } } }, ${TO_V1} }`),
  );
  for (const path of ['/old/deep?q=1', '/one', '/v7/books/x', '/rest']) await rig.call(path);
  deepStrictEqual(
    rig.seen('v1').map(({ path, headers }) => `${headers.host} ${path}`),
    ['other.example /new/deep?q=1', 'app.test /two', 'app.test /books/x/7', 'set.example /rest'],
  );
});

test('redirects name code, scheme, authority, port and path as asked for', async () => {
  await rig.apply(
    virtualService(`
    - { match: [{ uri: { prefix: /plain } }], redirect: { uri: /there } }
    - { match: [{ uri: { prefix: /all } }], redirect: { authority: else.test, scheme: https, port: 8443, redirectCode: 308 } }
    - { match: [{ uri: { prefix: /pre } }], redirect: { prefixRewrite: /post, redirectCode: 307 } }
    - { match: [{ uri: { prefix: /derived } }], redirect: { authority: else.test, derivePort: FROM_REQUEST_PORT, redirectCode: 302 } }`),
  );
  const got: string[] = [];
  for (const path of ['/plain', '/all/x?q=1', '/pre/x', '/derived']) {
    const { status, headers } = await rig.call(path);
    got.push(`${status} ${headers.location}`);
  }
  deepStrictEqual(got, [
    '301 http://app.test/there',
    '308 https://else.test:8443/all/x?q=1',
    '307 http://app.test/post/x',
    '302 http://else.test/derived',
  ]);
});

test('direct answers come without any app, as text and as bytes', async () => {
  await rig.apply(
    virtualService(`
    - { match: [{ uri: { exact: /text } }], directResponse: { status: 418, body: { string: short } }, headers: { response: { set: { x-kind: tea } } } }
    - { match: [{ uri: { exact: /bytes } }], directResponse: { status: 503, body: { bytes: aGVsbG8= } } }
    - { directResponse: { status: 204 } }`),
  );
  const text = await rig.call('/text');
  const bytes = await rig.call('/bytes');
  const empty = await rig.call('/');
  deepStrictEqual(
    [text.status, text.body, text.headers['x-kind'], bytes.status, bytes.body, empty.status, empty.body],
    [418, 'short', 'tea', 503, 'hello', 204, ''],
  );
  deepStrictEqual([...rig.seen('v1'), ...rig.seen('v2')], []);
});

test('delegates bring their rules, narrowed by the match of the root', async () => {
  await rig.apply(`${virtualService(`
    - { match: [{ uri: { prefix: /shop } }], delegate: { name: shop } }
    - { match: [{ uri: { prefix: /lost } }], delegate: { name: nowhere } }
    - { directResponse: { status: 200, body: { string: root } } }`)}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  http:
  - { match: [{ uri: { prefix: /shop/cart } }], directResponse: { status: 200, body: { string: cart } } }
  - { match: [{ uri: { prefix: /other } }], directResponse: { status: 200, body: { string: never } } }
  - { directResponse: { status: 200, body: { string: shop } } }
`);
  const got: string[] = [];
  for (const path of ['/shop/cart/1', '/shop/x', '/other', '/lost', '/'])
    got.push((await rig.call(path)).body);
  deepStrictEqual(got, ['cart', 'shop', 'root', 'root', 'root']);
});

test('of several VirtualServices a client obeys one: of those that it may see the one for the longest name, then the first', async () => {
  const named = (name: string, host: string, more = '', namespace = 'default'): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  hosts: [${host}]
  http: [{ directResponse: { status: 200, body: { string: ${name} } } }]
  ${more}
`;
  const answers = async (...rules: readonly string[]): Promise<readonly string[]> => {
    await rig.apply(rules.join('---'));
    const hosts = ['far.test', 'mirror.test'].map((host) => rig.call('/', { host }));
    return (await Promise.all(hosts)).map(({ body }) => body);
  };
  deepStrictEqual(
    [
      await answers(named('wide', '"*.test"'), named('exact', 'far.test')),
      await answers(named('b', 'far.test'), named('a', 'far.test')),
      await answers(
        named('private', 'far.test', 'exportTo: [.]', 'shop'),
        named('given', 'mirror.test', 'exportTo: [default]', 'shop'),
      ),
      await answers(named('of-gateway', 'far.test', 'gateways: [edge]')),
    ],
    [
      ['exact', 'wide'],
      ['a', 'mirror'],
      ['far', 'given'],
      ['far', 'mirror'],
    ],
  );
});

test("a route's statistics have the prefix that it asks for", async () => {
  await rig.apply(
    virtualService(
      `\n    - { match: [{ uri: { prefix: /counted }, statPrefix: mine }], ${TO_V1} }\n    - { ${TO_V1} }`,
    ),
  );
  await rig.calls(3, '/counted');
  await rig.call('/');
  deepStrictEqual(await rig.stat('route.mine.upstream_rq_completed'), 3);
});

/** Retries, timeouts, faults, mirrors and CORS of VirtualServices: seen through a real Envoy, counted at the apps. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Behaviour, type RouteRig, startRouteRig, virtualService } from './route-rig.ts';

let rig: RouteRig;
before(async () => {
  rig = await startRouteRig();
});
after(() => rig[Symbol.asyncDispose]());

const TO_V1 = 'route: [{ destination: { host: app.test, subset: v1 } }]';
const EVEN = `route:
      - { destination: { host: app.test, subset: v1 }, weight: 50 }
      - { destination: { host: app.test, subset: v2 }, weight: 50 }`;

function failing(status: number, headers: Readonly<Record<string, string>> = {}): Behaviour {
  return (_request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    response.statusCode = status;
    response.end();
  };
}

/** Five standard deviations around the share of `total`. */
function isAbout(count: number, total: number, share: number): boolean {
  const spread = 5 * Math.sqrt(total * share * (1 - share));
  return Math.abs(count - total * share) <= spread;
}

const RETRIES: readonly (readonly [
  what: string,
  retries: string,
  status: number,
  tries: number,
  grpc?: string,
])[] = [
  ['none asked for: a failure of the app is passed on', '', 500, 1],
  ['none asked for: 503 is not in the default list, unavailable of gRPC is', '', 200, 3, '14'],
  ['three attempts for 5xx', 'retries: { attempts: 3, retryOn: 5xx }', 500, 4],
  ['attempts of 0 are none', 'retries: { attempts: 0 }', 200, 1, '14'],
  ['a status that is not in the list', 'retries: { attempts: 3, retryOn: gateway-error }', 500, 1],
  ['a status by its number', 'retries: { attempts: 2, retryOn: "418" }', 418, 3],
  ['with a back-off of its own', 'retries: { attempts: 2, retryOn: 5xx, backoff: 10ms }', 500, 3],
];

for (const [what, retries, status, tries, grpcStatus] of RETRIES) {
  test(`retries, counted at the app: ${what}`, async () => {
    await rig.apply(virtualService(`\n    - { ${TO_V1}${retries === '' ? '' : `, ${retries}`} }`));
    rig.behave('v1', failing(status, grpcStatus === undefined ? {} : { 'grpc-status': grpcStatus }));
    const grpc = { method: 'POST', headers: { 'content-type': 'application/grpc', te: 'trailers' } };
    const answer = await rig.call('/', grpcStatus === undefined ? {} : grpc);
    deepStrictEqual([answer.status, rig.seen('v1').length], [status, tries]);
  });
}

test('a try that takes too long is tried again, until the whole request has taken too long', async () => {
  await rig.apply(
    virtualService(
      `\n    - { ${TO_V1}, timeout: 0.5s, retries: { attempts: 9, perTryTimeout: 0.1s, retryOn: 5xx, backoff: 1ms } }`,
    ),
  );
  rig.behave('v1', () => {});
  const { status, tookMs } = await rig.call('/');
  strictEqual(status, 504);
  ok(tookMs >= 450 && tookMs < 2000, String(tookMs));
  ok(rig.seen('v1').length >= 3, String(rig.seen('v1').length));
});

test('a retry goes to another endpoint, unless it may go to the same', async () => {
  const retried = async (more: string): Promise<number> => {
    await rig.apply(
      virtualService(
        `\n    - { route: [{ destination: { host: app.test } }], retries: { attempts: 1, retryOn: 5xx${more} } }`,
      ),
    );
    rig.behave('v1', failing(500));
    return (await rig.calls(200, '/')).filter(({ status }) => status !== 200).length;
  };
  // Envoy looks five times for another endpoint, then takes what it gets: of two equal ones, one time in sixty.
  const [other, any] = [await retried(''), await retried(', retryIgnorePreviousHosts: false')];
  ok(other <= 20 && any >= 30, `${other} and ${any} of 200`);
});

test('retries in other localities, where they are asked for', async () => {
  const failover = `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: zones }
spec:
  host: zones.test
  trafficPolicy:
    outlierDetection: { consecutive5xxErrors: 100000, consecutiveGatewayErrors: 100000 }
`;
  const failed = async (remote: boolean): Promise<number> => {
    const retries = `retries: { attempts: 2, retryOn: 5xx, retryRemoteLocalities: ${remote} }`;
    const rule = `\n    - { route: [{ destination: { host: zones.test } }], ${retries} }`;
    await rig.apply(virtualService(rule, 'zones.test') + failover);
    rig.behave('v1', failing(503));
    return (await rig.calls(20, '/', { host: 'zones.test' })).filter(({ status }) => status !== 200).length;
  };
  deepStrictEqual([await failed(false), await failed(true)], [20, 0]);
});

test('a timeout ends the request, and none is set without it', async () => {
  await rig.apply(
    virtualService(
      `\n    - { match: [{ uri: { prefix: /short } }], ${TO_V1}, timeout: 0.2s }\n    - { ${TO_V1} }`,
    ),
  );
  rig.behave('v1', (_request, response) => void setTimeout(() => response.end('late'), 700));
  const [short, long] = await Promise.all([rig.call('/short'), rig.call('/')]);
  deepStrictEqual([short.status, long.body], [504, 'late']);
  ok(short.tookMs < 650, String(short.tookMs));
});

test('aborts take their share of the requests, before any app', async () => {
  await rig.apply(
    virtualService(`
    - { match: [{ uri: { exact: /half } }], fault: { abort: { httpStatus: 555, percentage: { value: 50 } } }, ${TO_V1} }
    - { match: [{ uri: { exact: /grpc } }], fault: { abort: { grpcStatus: RESOURCE_EXHAUSTED, percentage: { value: 100 } } }, ${TO_V1} }
    - { match: [{ uri: { exact: /rare } }], fault: { abort: { httpStatus: 500, percentage: { value: 0.0001 } } }, ${TO_V1} }`),
  );
  const half = await rig.calls(400, '/half');
  const aborted = half.filter(({ status }) => status === 555).length;
  ok(isAbout(aborted, 400, 0.5), String(aborted));
  strictEqual(rig.seen('v1').length, 400 - aborted);
  const headers = { 'content-type': 'application/grpc', te: 'trailers' };
  const grpc = await rig.call('/grpc', { method: 'POST', headers });
  deepStrictEqual([grpc.status, grpc.headers['grpc-status']], [200, '8']);
  const rare = await rig.calls(100, '/rare');
  deepStrictEqual(
    rare.filter(({ status }) => status !== 200),
    [],
  );
});

test('delays take their share of the requests, and the time that is asked for', async () => {
  await rig.apply(
    virtualService(`
    - { match: [{ uri: { exact: /all } }], fault: { delay: { fixedDelay: 0.3s, percentage: { value: 100 } } }, ${TO_V1} }
    - { match: [{ uri: { exact: /half } }], fault: { delay: { fixedDelay: 0.2s, percentage: { value: 50 } } }, ${TO_V1} }`),
  );
  const { tookMs, status } = await rig.call('/all');
  deepStrictEqual([status, tookMs >= 290 && tookMs < 1500], [200, true], String(tookMs));
  const delayed = (await rig.calls(100, '/half')).filter((answer) => answer.tookMs >= 190).length;
  ok(isAbout(delayed, 100, 0.5), String(delayed));
});

test('mirrors get copies in their share, and the client never hears of them', async () => {
  await rig.apply(
    virtualService(`
    - match: [{ uri: { exact: /old } }]
      mirror: { host: mirror.test }
      mirrorPercentage: { value: 50 }
      ${TO_V1}
    - match: [{ uri: { exact: /all } }]
      mirrors:
      - { destination: { host: mirror.test } }
      - { destination: { host: far.test }, percentage: { value: 0 } }
      ${TO_V1}`),
  );
  rig.behave('mirror', failing(500));
  const answers = [...(await rig.calls(200, '/old')), ...(await rig.calls(100, '/all'))];
  deepStrictEqual([...new Set(answers.map(({ body }) => body))], ['v1']);
  const copies = (path: string): number => rig.seen('mirror').filter((seen) => seen.path === path).length;
  ok(isAbout(copies('/old'), 200, 0.5), String(copies('/old')));
  deepStrictEqual([copies('/all'), rig.seen('far').length, rig.seen('v1').length], [100, 0, 300]);
  // Istio leaves the name as it is, where Envoy alone would add -shadow.
  deepStrictEqual([...new Set(rig.seen('mirror').map(({ headers }) => headers.host))], ['app.test']);
});

test('CORS: preflights of allowed origins are answered, others go to the app or are ignored', async () => {
  const policy = (more: string): string =>
    `{ allowOrigins: [{ exact: "https://a.example" }, { regex: "https://[a-z]+[.]b[.]example" }], allowMethods: [GET, PUT], allowHeaders: [x-one], exposeHeaders: [x-two], maxAge: 2m, allowCredentials: true${more} }`;
  await rig.apply(
    virtualService(`
    - { match: [{ uri: { exact: /forward } }], corsPolicy: ${policy('')}, ${TO_V1} }
    - { match: [{ uri: { exact: /ignore } }], corsPolicy: ${policy(', unmatchedPreflights: IGNORE')}, ${TO_V1} }`),
  );
  const preflight = (origin: string) => ({
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'PUT' },
  });
  const good = await rig.call('/forward', preflight('https://x.b.example'));
  deepStrictEqual(
    [
      good.status,
      ...['origin', 'methods', 'headers', 'credentials'].map(
        (part) => good.headers[`access-control-allow-${part}`],
      ),
      good.headers['access-control-max-age'],
      rig.seen('v1').length,
    ],
    [200, 'https://x.b.example', 'GET,PUT', 'x-one', 'true', '120', 0],
  );
  const forwarded = await rig.call('/forward', preflight('https://evil.example'));
  deepStrictEqual([forwarded.body, forwarded.headers['access-control-allow-origin']], ['v1', undefined]);
  const ignored = await rig.call('/ignore', preflight('https://evil.example'));
  deepStrictEqual([ignored.status, ignored.body, rig.seen('v1').length], [200, '', 1]);
  const plain = await rig.call('/forward', { headers: { origin: 'https://a.example' } });
  deepStrictEqual(
    [
      plain.body,
      plain.headers['access-control-allow-origin'],
      plain.headers['access-control-expose-headers'],
    ],
    ['v1', 'https://a.example', 'x-two'],
  );
});

test('weights, faults and header operations of one rule work together', async () => {
  await rig.apply(
    virtualService(`
    - fault: { delay: { fixedDelay: 0.05s, percentage: { value: 100 } } }
      headers: { request: { set: { x-seen: both } } }
      timeout: 2s
      ${EVEN}`),
  );
  const answers = await rig.calls(60, '/');
  ok(answers.every(({ status, tookMs }) => status === 200 && tookMs >= 45));
  deepStrictEqual(
    (['v1', 'v2'] as const).map((app) => isAbout(rig.seen(app).length, 60, 0.5)),
    [true, true],
  );
  ok([...rig.seen('v1'), ...rig.seen('v2')].every(({ headers }) => headers['x-seen'] === 'both'));
});

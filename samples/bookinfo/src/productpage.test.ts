/** The product page: what it shows, what it says when a service fails, whom it tells who is signed in, escaping. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { type AppRequest, jsonAnswer } from '../../http-app.ts';
import {
  deadUrl,
  getJson,
  getText,
  type ServiceName,
  signIn,
  standIn,
  startBookinfo,
  startOnLoopback,
} from './bookinfo-fixture.ts';

const noDetails = 'Sorry, product details are currently unavailable for this book.';
const noReviews = 'Sorry, product reviews are currently unavailable for this book.';
const noRatings = 'Sorry, product ratings are currently unavailable for this book.';
const failures = [
  'Error fetching product details!',
  noDetails,
  'Error fetching product reviews!',
  noReviews,
  'Ratings service is currently unavailable',
];

function linesOf(page: string): readonly string[] {
  return page.split('\n').map((line) => line.trim());
}

test('the page shows details, reviews, the stars of the version and who served', async (t) => {
  const cases = [
    { version: 'v1', stars: [] },
    { version: 'v2', stars: ['color: black">★★★★★', 'color: black">★★★★☆'] },
    { version: 'v3', stars: ['color: red">★★★★★', 'color: red">★★★★☆'] },
  ];
  for (const { version, stars } of cases) {
    const env = { SERVICE_VERSION: version, HOSTNAME: `reviews-${version}` };
    const { productpage } = await startBookinfo(t, env);
    const page = await getText(`${productpage}/productpage`);
    const shown = page.matchAll(/(color: \w+)" title="[^"]*(">[★☆]+)/g);
    assert.deepEqual(
      [...shown].map(([, color, row]) => `${color}${row}`),
      stars,
    );
    const lines = [
      '<title>Simple Bookstore App</title>',
      '<h1>The Comedy of Errors</h1>',
      '<div><dt>Publisher</dt><dd>PublisherA</dd></div>',
      `<p class="served">Reviews served by: <b>reviews-${version}</b>`,
      '<p class="reviewer">Reviewer2</p>',
    ];
    assert.deepEqual(
      lines.filter((line) => !linesOf(page).includes(line)),
      [],
    );
    assert.deepEqual(
      failures.filter((text) => page.includes(text)),
      [],
    );
  }
});

test('the page names the service that fails and shows the rest', async (t) => {
  const dead = await deadUrl();
  const cases: { standIns: Partial<Record<ServiceName, string>>; says: string[] }[] = [
    { standIns: {}, says: [] },
    { standIns: { details: dead }, says: failures.slice(0, 2) },
    { standIns: { reviews: dead }, says: failures.slice(2, 4) },
    { standIns: { ratings: dead }, says: failures.slice(4) },
    { standIns: { details: dead, reviews: dead }, says: failures.slice(0, 4) },
  ];
  for (const { standIns, says } of cases) {
    const { productpage } = await startBookinfo(t, { SERVICE_VERSION: 'v2' }, standIns);
    const page = await getText(`${productpage}/productpage`);
    assert.deepEqual(
      failures.filter((text) => page.includes(text)),
      says,
      JSON.stringify(standIns),
    );
  }
});

test('late ratings fail the reviews of v2, whose limit is longer than the page waits, and only the stars of v3', async (t) => {
  const late = standIn(({ signal }) => once(signal, 'abort').then(() => jsonAnswer(200, {})));
  const ratings = await startOnLoopback(t, late);
  const cases = [
    { version: 'v1', pageTimeoutMs: 60_000, ratingsTimeoutMs: 100, says: [] },
    { version: 'v2', pageTimeoutMs: 500, ratingsTimeoutMs: 60_000, says: failures.slice(2, 4) },
    { version: 'v3', pageTimeoutMs: 60_000, ratingsTimeoutMs: 100, says: failures.slice(4) },
  ];
  for (const { version, pageTimeoutMs, ratingsTimeoutMs, says } of cases) {
    const env = {
      SERVICE_VERSION: version,
      RATINGS_TIMEOUT_MS: String(ratingsTimeoutMs),
      UPSTREAM_TIMEOUT_MS: String(pageTimeoutMs),
    };
    const { productpage } = await startBookinfo(t, env, { ratings });
    const page = await getText(`${productpage}/productpage`);
    assert.deepEqual(
      failures.filter((text) => page.includes(text)),
      says,
      version,
    );
  }
});

test('the page asks twice for reviews and once for details', async (t) => {
  const calls = new Map<string, number>();
  const failing = standIn((request) => {
    calls.set(request.url.pathname, (calls.get(request.url.pathname) ?? 0) + 1);
    return jsonAnswer(503, {});
  });
  const url = await startOnLoopback(t, failing);
  const { productpage } = await startBookinfo(t, {}, { reviews: url, details: url });
  await getText(`${productpage}/productpage`);
  assert.deepEqual(Object.fromEntries(calls), { '/details/0': 1, '/reviews/0': 2 });
});

test('the API relays what the services say, their status too', async (t) => {
  const failing = await startOnLoopback(
    t,
    standIn(() => jsonAnswer(503, { secret: true })),
  );
  const dead = await deadUrl();
  const works = await startBookinfo(t);
  const fails = await startBookinfo(t, {}, { details: failing, reviews: dead, ratings: failing });
  const products = '/api/v1/products';
  const { body } = await getJson(works.productpage + products);
  const [product, ...others] = body as Record<string, unknown>[];
  assert.deepEqual([product?.['id'], product?.['title'], others], [0, 'The Comedy of Errors', []]);
  const cases = [
    {
      path: '/0/ratings',
      answer: { status: 200, body: { id: 0, ratings: { Reviewer1: 5, Reviewer2: 4 } } },
      failure: { status: 503, body: { error: noRatings } },
    },
    {
      path: '/0',
      answer: await getJson(`${works.details}/details/0`),
      failure: { status: 503, body: { error: noDetails } },
    },
    {
      path: '/0/reviews',
      answer: await getJson(`${works.reviews}/reviews/0`),
      failure: { status: 500, body: { error: noReviews } },
    },
  ];
  for (const { path, answer, failure } of cases) {
    assert.deepEqual(await getJson(works.productpage + products + path), answer, path);
    assert.deepEqual(await getJson(fails.productpage + products + path), failure, path);
  }
});

test('the signed-in user goes on as end-user, as far as ratings; a header or cookie made up does not', async (t) => {
  const seen: unknown[] = [];
  const ratings = standIn(({ headers }) => {
    seen.push(headers['end-user']);
    return jsonAnswer(200, {});
  });
  const { productpage } = await startBookinfo(
    t,
    { SERVICE_VERSION: 'v2' },
    { ratings: await startOnLoopback(t, ratings) },
  );
  const cookie = await signIn(productpage, 'jason');
  const signOut = await fetch(`${productpage}/logout`, { redirect: 'manual' });
  const cases: { headers: Record<string, string>; endUser: string | undefined }[] = [
    { headers: {}, endUser: undefined },
    { headers: { cookie }, endUser: 'jason' },
    { headers: { cookie: `theme=dark; ${cookie}` }, endUser: 'jason' },
    { headers: { 'end-user': 'jason' }, endUser: undefined },
    { headers: { cookie: 'session=amFzb24' }, endUser: undefined },
    { headers: { cookie: cookie.replace('amFzb24', 'cm9vdA') }, endUser: undefined },
    { headers: { cookie: signOut.headers.get('set-cookie') ?? '' }, endUser: undefined },
    { headers: { cookie: await signIn(productpage, ' j\r\nx: 1 ') }, endUser: 'jx: 1' },
    {
      headers: { cookie: await signIn(productpage, 'Jürgen €') },
      endUser: Buffer.from('Jürgen €').toString('latin1'),
    },
    { headers: { cookie: await signIn(productpage, ' ') }, endUser: undefined },
  ];
  for (const { headers } of cases) await getText(`${productpage}/productpage`, headers);
  assert.deepEqual(
    seen,
    cases.map(({ endUser }) => endUser),
  );
});

test('trace, session and client headers travel through the page and reviews; others do not', async (t) => {
  let seen: AppRequest['headers'] = {};
  const ratings = standIn(({ headers }) => {
    seen = headers;
    return jsonAnswer(200, {});
  });
  const { productpage } = await startBookinfo(
    t,
    { SERVICE_VERSION: 'v2' },
    { ratings: await startOnLoopback(t, ratings) },
  );
  const travelling: Record<string, string> = {
    'x-request-id': 'req-1',
    'x-ot-span-context': 'ot',
    'x-datadog-trace-id': '1',
    'x-datadog-parent-id': '2',
    'x-datadog-sampling-priority': '3',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    tracestate: 'vendor=1',
    'x-cloud-trace-context': 'cloud',
    'grpc-trace-bin': 'AAA',
    'x-b3-traceid': '80f198ee56343ba8',
    'x-b3-spanid': 'e457b5a2e4d86bd1',
    'x-b3-parentspanid': '05e3ac9a4f6e3b90',
    'x-b3-sampled': '1',
    'x-b3-flags': '0',
    sw8: 'sw',
    'user-agent': 'test',
    cookie: 'a=b',
    authorization: 'Bearer x',
    jwt: 'y',
  };
  await getText(`${productpage}/productpage`, { ...travelling, 'x-other': '1', baggage: 'k=v' });
  const arrived = Object.keys(travelling).map((name) => [name, seen[name]]);
  assert.deepEqual(Object.fromEntries(arrived), travelling);
  assert.deepEqual([seen['x-other'], seen['baggage']], [undefined, undefined]);
});

test('signing in shows the name, on the page one is sent back to', async (t) => {
  const { productpage } = await startBookinfo(t);
  const response = await fetch(`${productpage}/login`, {
    method: 'POST',
    body: new URLSearchParams({ username: 'jason', passwd: 'any' }),
    redirect: 'manual',
  });
  assert.equal(response.status, 302);
  assert.equal(response.headers.get('location'), 'productpage');
  assert.match(
    response.headers.get('set-cookie') ?? '',
    /^session=[\w-]+\.[\w-]+; Path=\/; HttpOnly; SameSite=Lax$/,
  );
  const cookie = await signIn(productpage, 'jason');
  const page = await getText(`${productpage}/productpage`, { cookie });
  assert.ok(linesOf(page).includes('<span>Signed in as <b>jason</b></span>'));
});

test('nothing that users or services say becomes markup', async (t) => {
  const hostile = `"><script>alert('1')</script>&`;
  const details = standIn(() => jsonAnswer(200, { author: hostile, publisher: hostile }));
  const reviews = standIn(() =>
    jsonAnswer(200, {
      podname: hostile,
      clustername: hostile,
      reviews: [
        { reviewer: hostile, text: hostile, rating: { stars: 1e9, color: 'red; background: url(//x)' } },
        { reviewer: hostile, text: hostile, rating: { stars: -1, color: hostile } },
        { reviewer: hostile, text: hostile, rating: { error: hostile } },
        null,
      ],
    }),
  );
  const { productpage } = await startBookinfo(
    t,
    {},
    { details: await startOnLoopback(t, details), reviews: await startOnLoopback(t, reviews) },
  );
  const response = await fetch(`${productpage}/productpage`, {
    headers: { cookie: await signIn(productpage, hostile) },
  });
  const page = await response.text();
  const escaped = '&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;';
  assert.deepEqual(
    {
      raw: page.includes('<script'),
      escaped: page.split(escaped).length - 1,
      styles: [...page.matchAll(/style="([^"]*)"/g)].map(([, style]) => style),
      stars: [...page.matchAll(/[★☆]+/g)].map(([row]) => row),
      scripts: response.headers.get('content-security-policy')?.startsWith("default-src 'none';"),
    },
    { raw: false, escaped: 13, styles: ['', ''], stars: ['★★★★★', '☆☆☆☆☆'], scripts: true },
  );
});

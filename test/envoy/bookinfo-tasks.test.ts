/**
 * Bookinfo's tasks as Istio's documentation tells them, on one mesh of real Envoys: each applies its files with the command line
 * and looks at the page as a browser would. In order, since each builds on the objects before it, as the documentation does.
 */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type BookinfoMesh, type Page, type PageRequest, startBookinfo } from './bookinfo-fixture.ts';

const REVIEWS_GONE = 'Sorry, product reviews are currently unavailable for this book.';
const RATINGS_GONE = 'Ratings service is currently unavailable';
const DETAILS_GONE = 'Sorry, product details are currently unavailable for this book.';
/** More than the connections that the gateway and the product page keep. */
const MAX_LATE = 40;

let mesh: BookinfoMesh;

before(async () => {
  mesh = await startBookinfo();
  await mesh.apply('networking/destination-rule-all.yaml');
});

// Undefined when it did not start.
after(async () => deepStrictEqual(await (mesh as BookinfoMesh | undefined)?.stop(), []));

type Stars = 'none' | 'black' | 'red';

function starsOf({ status, body }: Page): Stars | string {
  if (status !== 200 || body.includes('unavailable')) return `status ${status}: ${body.slice(-400)}`;
  const colors = new Set(
    [...body.matchAll(/class="stars" style="color: ([a-z]+)"/g)].map(([, color]) => color),
  );
  return colors.size === 0 ? 'none' : [...colors].sort().join(' and ');
}

/** How often each colour came in 100 page loads. */
async function hundredPages(headers: Readonly<Record<string, string>> = {}): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const load = async (): Promise<void> => {
    const stars = starsOf(await mesh.page({ headers }));
    counts[stars] = (counts[stars] ?? 0) + 1;
  };
  for (let round = 0; round < 25; round++) await Promise.all([load(), load(), load(), load()]);
  return counts;
}

describe('request routing', () => {
  test('without rules, each version of reviews answers', async () => {
    const counts = await hundredPages();
    deepStrictEqual(Object.keys(counts).sort(), ['black', 'none', 'red']);
  });

  test('all to v1: no stars in 100 of 100', async () => {
    await mesh.apply('networking/virtual-service-all-v1.yaml');
    deepStrictEqual(await hundredPages(), { none: 100 });
  });

  test('half to v3: red stars in 35 to 65 of 100, never black ones', async (context) => {
    await mesh.apply('networking/virtual-service-reviews-50-v3.yaml');
    const { red = 0, none = 0, ...others } = await hundredPages();
    context.diagnostic(`red in ${red} of 100`);
    deepStrictEqual(others, {});
    ok(red >= 35 && red <= 65 && red + none === 100, `${red} red, ${none} without`);
  });

  test('by user: jason sees black stars, everybody else none', async () => {
    await mesh.apply('networking/virtual-service-reviews-test-v2.yaml');
    const [jason, mary] = [await mesh.signIn('jason'), await mesh.signIn('mary')];
    deepStrictEqual(await hundredPages(jason), { black: 100 });
    deepStrictEqual(await hundredPages(mary), { none: 100 });
    match((await mesh.page({ headers: jason })).body, /Signed in as <b>jason</);
  });

  test('by user between two new versions: jason v2, others v3', async () => {
    await mesh.apply('networking/virtual-service-reviews-jason-v2-v3.yaml');
    const jason = await mesh.signIn('jason');
    deepStrictEqual(
      [starsOf(await mesh.page({ headers: jason })), starsOf(await mesh.page())],
      ['black', 'red'],
    );
  });
});

describe('fault injection', () => {
  test('a delay of 7 s that jason alone gets: his page gives up on reviews after 6 s', async (context) => {
    await mesh.apply('networking/virtual-service-reviews-test-v2.yaml');
    await mesh.apply('networking/virtual-service-ratings-test-delay.yaml');
    const jason = await mesh.signIn('jason');
    const slow = mesh.page({ headers: jason });
    const others = await Promise.all([mesh.page(), mesh.page(), mesh.page()]);
    deepStrictEqual(others.map(starsOf), ['none', 'none', 'none']);
    ok(
      others.every(({ tookMs }) => tookMs < 3000),
      others.map(({ tookMs }) => tookMs).join(),
    );
    const { body, tookMs } = await slow;
    context.diagnostic(`jason waited ${(tookMs / 1000).toFixed(2)} s`);
    ok(body.includes(REVIEWS_GONE));
    ok(tookMs >= 6000 && tookMs < 8000, `${tookMs} ms`);
  });

  test('an error that jason alone gets: his page has reviews without ratings', async () => {
    await mesh.apply('networking/virtual-service-ratings-test-abort.yaml');
    const jason = await mesh.page({ headers: await mesh.signIn('jason') });
    const other = await mesh.page();
    ok(jason.body.includes(RATINGS_GONE) && !jason.body.includes(REVIEWS_GONE), jason.body);
    strictEqual(starsOf(other), 'none');
  });

  test('an error for all who ask for details: the page without them', async () => {
    await mesh.apply('networking/fault-injection-details-v1.yaml');
    const { status, body } = await mesh.page();
    strictEqual(status, 200);
    ok(body.includes(DETAILS_GONE));
    await mesh.apply('networking/destination-rule-all.yaml', 'networking/virtual-service-all-v1.yaml');
    strictEqual(starsOf(await mesh.page()), 'none');
  });
});

/**
 * Asks until the page is as wanted. A policy is part of a listener: a connection that was open before it changed serves one
 * more request by the old one and closes (Envoy's drain, as in Istio), so a few pages may come late.
 */
async function pageUntil(wanted: (page: Page) => boolean, what?: PageRequest): Promise<Page> {
  let page = await mesh.page(what);
  for (let late = 0; late < MAX_LATE && !wanted(page); late++) page = await mesh.page(what);
  return page;
}

describe('authorization', () => {
  const login: PageRequest = { method: 'POST', path: '/login', body: 'username=jason' };
  const isDenied = ({ status }: Page): boolean => status === 403;

  test('nobody may sign in: 403 in words, and the sidecar says which policy it was', async () => {
    await mesh.apply('policy/productpage-deny-login.yaml');
    const answer = await pageUntil(isDenied, login);
    deepStrictEqual([answer.status, answer.body], [403, 'RBAC: access denied']);
    strictEqual(starsOf(await mesh.page()), 'none');
    const policy = 'ns[default]-policy[productpage-deny-login]-rule[0]';
    await logLine('productpage-v1', `rbac_access_denied_matched_policy[${policy}]`);
    await mesh.run(['delete', '--wait', 'authorizationpolicy', 'productpage-deny-login']);
    strictEqual((await pageUntil(({ status }) => status === 302, login)).status, 302);
  });

  test('nothing is allowed, then one part of the page after the other', async () => {
    const missing = ({ body }: Page): string =>
      [DETAILS_GONE, REVIEWS_GONE, RATINGS_GONE].filter((text) => body.includes(text)).join();
    const pageWithout = async (...texts: readonly string[]): Promise<Page> => {
      const page = await pageUntil((one) => one.status === 200 && missing(one) === texts.join());
      deepStrictEqual([page.status, missing(page)], [200, texts.join()]);
      return page;
    };
    await mesh.apply('networking/virtual-service-reviews-v3.yaml', 'policy/allow-nothing.yaml');
    const denied = await pageUntil(isDenied);
    deepStrictEqual([denied.status, denied.body], [403, 'RBAC: access denied']);
    await logLine('productpage-v1', 'rbac_access_denied_matched_policy[none]');
    await mesh.apply('policy/productpage-viewer.yaml');
    await pageWithout(DETAILS_GONE, REVIEWS_GONE);
    await mesh.apply('policy/details-viewer.yaml');
    await pageWithout(REVIEWS_GONE);
    await mesh.apply('policy/reviews-viewer.yaml');
    await pageWithout(RATINGS_GONE);
    await mesh.apply('policy/ratings-viewer.yaml');
    strictEqual(starsOf(await pageWithout()), 'red');
  });
});

/** Waits for a line in the log of a workload's proxy, which Envoy writes once a second. */
async function logLine(workload: string, text: string): Promise<void> {
  const until = performance.now() + 15_000;
  for (;;) {
    const log = await mesh.run(['logs', workload, '-c', 'istio-proxy', '--tail', '100']);
    if (log.includes(text)) return;
    if (performance.now() > until) throw new Error(`no ${text} in the log of ${workload}:\n${log}`);
  }
}

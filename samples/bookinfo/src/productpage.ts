/**
 * Bookinfo's front page: calls details and reviews, and shows what they answer or that they don't.
 * It waits 3 s for each call and asks reviews twice, so reviews must answer within 3 s: the limit that the fault
 * injection task runs into. The signed-in user goes on to the other services as the `end-user` header, and is taken
 * from the signed session only, never from the request's own header.
 */
import { randomBytes } from 'node:crypto';
import {
  addressFromEnv,
  type Answer,
  type App,
  type AppRequest,
  type Env,
  jsonAnswer,
  numberFromEnv,
  type Route,
  runApp,
} from '../../http-app.ts';
import { indexPage, type Product, productPage } from './product-view.ts';
import { cleanUserName, findUser, signInCookie, signOutCookie } from './session-cookie.ts';
import { fetchJson, forwardedHeaders, serviceUrl, type UpstreamAnswer } from './upstream.ts';

interface PageSettings {
  readonly detailsUrl: string;
  readonly reviewsUrl: string;
  readonly ratingsUrl: string;
  readonly timeoutMs: number;
  readonly sessionKey: string;
}

type Fetched = 'details' | 'reviews' | 'ratings';

const product: Product = {
  id: 0,
  title: 'The Comedy of Errors',
  descriptionHtml:
    '<a href="https://en.wikipedia.org/wiki/The_Comedy_of_Errors">An early play</a> by <b>William Shakespeare</b>: two pairs ' +
    'of twins, parted at birth, meet in one town on one day, and everybody takes everybody for somebody else.',
};
const reviewsAttempts = 2;
const noScripts =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

export function productpageApp(env: Env): App {
  const settings: PageSettings = {
    detailsUrl: serviceUrl(env, 'details'),
    reviewsUrl: serviceUrl(env, 'reviews'),
    ratingsUrl: serviceUrl(env, 'ratings'),
    timeoutMs: numberFromEnv(env, 'UPSTREAM_TIMEOUT_MS', 3000, 600_000),
    // Replicas that share sessions, or sessions that outlive a restart, need the same key in SESSION_KEY.
    sessionKey: env['SESSION_KEY'] || randomBytes(32).toString('hex'),
  };
  return {
    name: `productpage-${env['SERVICE_VERSION'] || 'v1'}`,
    ...addressFromEnv(env, 9080),
    routes: [...pageRoutes(settings), ...apiRoutes(settings)],
  };
}

function pageRoutes(settings: PageSettings): readonly Route[] {
  const index = (): Answer =>
    pageAnswer(indexPage(settings.detailsUrl, settings.reviewsUrl, settings.ratingsUrl));
  return [
    { method: 'GET', path: '/', answer: index },
    { method: 'GET', path: '/index.html', answer: index },
    { method: 'GET', path: '/health', answer: () => pageAnswer('Product page is healthy') },
    { method: 'GET', path: '/productpage', answer: (request) => answerProductPage(settings, request) },
    { method: 'POST', path: '/login', answer: (request) => signIn(settings, request) },
    { method: 'GET', path: '/logout', answer: () => toProductPage(signOutCookie()) },
  ];
}

function apiRoutes(settings: PageSettings): readonly Route[] {
  const relay =
    (what: Fetched) =>
    async (request: AppRequest, id: string): Promise<Answer> => {
      const { status, body } = await fetchFor(settings, request, what, id);
      const error = `Sorry, product ${what} are currently unavailable for this book.`;
      return jsonAnswer(status, status === 200 ? body : { error });
    };
  const products = '/api/v1/products';
  return [
    { method: 'GET', path: products, answer: () => jsonAnswer(200, [product]) },
    { method: 'GET', path: `${products}/:id`, answer: relay('details') },
    { method: 'GET', path: `${products}/:id/reviews`, answer: relay('reviews') },
    { method: 'GET', path: `${products}/:id/ratings`, answer: relay('ratings') },
  ];
}

async function answerProductPage(settings: PageSettings, request: AppRequest): Promise<Answer> {
  const id = String(product.id);
  const [details, reviews] = await Promise.all([
    fetchFor(settings, request, 'details', id),
    fetchFor(settings, request, 'reviews', id),
  ]);
  const user = findUser(request.headers.cookie, settings.sessionKey);
  return pageAnswer(productPage(product, user, details, reviews));
}

async function fetchFor(
  settings: PageSettings,
  request: AppRequest,
  what: Fetched,
  id: string,
): Promise<UpstreamAnswer> {
  const url = `${settings[`${what}Url`]}/${encodeURIComponent(id)}`;
  const headers = outgoingHeaders(settings, request);
  const attempts = what === 'reviews' ? reviewsAttempts : 1;
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetchJson(url, headers, settings.timeoutMs, request.signal);
    if (answer.status === 200 || attempt >= attempts) return answer;
  }
}

function outgoingHeaders(settings: PageSettings, request: AppRequest): Record<string, string> {
  const headers = forwardedHeaders(request.headers);
  const user = findUser(request.headers.cookie, settings.sessionKey);
  // A header value is bytes: a name beyond ASCII travels as UTF-8, which fetch takes as one character per byte.
  if (user !== undefined) headers['end-user'] = Buffer.from(user).toString('latin1');
  return headers;
}

function signIn(settings: PageSettings, request: AppRequest): Answer {
  const user = cleanUserName(new URLSearchParams(request.body.toString()).get('username') ?? '');
  return toProductPage(user === '' ? signOutCookie() : signInCookie(user, settings.sessionKey));
}

/** Relative, so that it also works behind a path prefix. */
function toProductPage(cookie: string): Answer {
  return { status: 302, headers: { location: 'productpage', 'set-cookie': cookie }, body: '' };
}

function pageAnswer(body: string): Answer {
  const headers = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': noScripts };
  return { status: 200, headers, body };
}

if (import.meta.main) await runApp(productpageApp(process.env));

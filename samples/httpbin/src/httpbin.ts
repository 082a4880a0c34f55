/**
 * An httpbin: tells the caller what it received (headers, arguments, body), and answers as the path asks.
 * Keys and shapes follow the httpbin that Istio's samples run: header and argument values are arrays, header names
 * are written Like-This. Randomness and delays are bounded: 100 KiB, 100 lines, 10 s.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  addressFromEnv,
  type Answer,
  type App,
  type AppRequest,
  type Env,
  jsonAnswer,
  type Route,
  runApp,
} from '../../http-app.ts';

type Lists = Readonly<Record<string, readonly string[]>>;

const maxDelaySeconds = 10;
const maxBytes = 100 * 1024;
const maxLines = 100;
const maxRedirects = 100;
/** A wrong value in one of these would garble the connection for whoever shares it. */
const framingHeaders = new Set(['connection', 'content-length', 'trailer', 'transfer-encoding', 'upgrade']);

export function httpbinApp(env: Env): App {
  return {
    name: 'httpbin',
    ...addressFromEnv(env, 8080),
    routes: [...inspectionRoutes(env['HOSTNAME'] || ''), ...behaviourRoutes()],
  };
}

function inspectionRoutes(hostname: string): readonly Route[] {
  return [
    { method: 'GET', path: '/get', answer: (request) => jsonAnswer(200, describeRequest(request)) },
    ...['POST', 'PUT', 'PATCH', 'DELETE'].map((method) => ({
      method,
      path: `/${method.toLowerCase()}`,
      answer: echo,
    })),
    { method: '*', path: '/anything', answer: echo },
    { method: '*', path: '/anything/*', answer: echo },
    {
      method: 'GET',
      path: '/headers',
      answer: (request) => jsonAnswer(200, { headers: headerLists(request) }),
    },
    { method: 'GET', path: '/ip', answer: (request) => jsonAnswer(200, { origin: originOf(request) }) },
    {
      method: 'GET',
      path: '/user-agent',
      answer: (request) => jsonAnswer(200, { 'user-agent': request.headers['user-agent'] ?? '' }),
    },
    { method: 'GET', path: '/health', answer: () => jsonAnswer(200, { status: 'httpbin is healthy' }) },
    { method: 'GET', path: '/hostname', answer: () => jsonAnswer(200, { hostname }) },
    { method: 'GET', path: '/cookies', answer: (request) => jsonAnswer(200, cookiesOf(request)) },
  ];
}

function behaviourRoutes(): readonly Route[] {
  return [
    { method: '*', path: '/status/:code', answer: (_, code) => answerStatus(code) },
    { method: '*', path: '/delay/:seconds', answer: answerLate },
    { method: 'GET', path: '/bytes/:n', answer: (_, n) => answerBytes(n) },
    { method: 'GET', path: '/stream/:n', answer: answerStream },
    { method: 'GET', path: '/uuid', answer: () => jsonAnswer(200, { uuid: randomUUID() }) },
    { method: 'GET', path: '/cookies/set', answer: setCookies },
    { method: 'GET', path: '/redirect/:n', answer: (_, n) => answerRedirect(n) },
    { method: 'GET', path: '/basic-auth/:user/:password', answer: checkBasicAuth },
    { method: '*', path: '/response-headers', answer: answerWithHeaders },
  ];
}

function echo(request: AppRequest): Answer {
  const type = request.headers['content-type'] ?? '';
  const data = request.body.toString();
  return jsonAnswer(200, {
    ...describeRequest(request),
    data,
    files: {},
    form: type.startsWith('application/x-www-form-urlencoded') ? toLists(new URLSearchParams(data)) : {},
    json: type.includes('json') ? parseJson(data) : null,
  });
}

function describeRequest(request: AppRequest): object {
  const { host = '', 'x-forwarded-proto': scheme = 'http' } = request.headers;
  return {
    args: toLists(request.url.searchParams),
    headers: headerLists(request),
    method: request.method,
    origin: originOf(request),
    url: `${String(scheme)}://${host}${request.url.pathname}${request.url.search}`,
  };
}

/** The first address of X-Forwarded-For, else whoever holds the connection. */
function originOf(request: AppRequest): string {
  const forwarded = String(request.headers['x-forwarded-for'] ?? '');
  return forwarded.split(',')[0]?.trim() || request.remoteAddress;
}

function headerLists(request: AppRequest): Lists {
  const lists = Object.entries(request.headers).map(([name, value]) => {
    const shown = name.replaceAll(/(^|-)[a-z]/g, (start) => start.toUpperCase());
    return [shown, Array.isArray(value) ? value : [value ?? '']] as const;
  });
  return Object.fromEntries(lists);
}

function toLists(params: URLSearchParams): Lists {
  return Object.fromEntries([...new Set(params.keys())].map((name) => [name, params.getAll(name)]));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function cookiesOf(request: AppRequest): Readonly<Record<string, string>> {
  const pairs = (request.headers.cookie ?? '').split(';').map((pair) => {
    const [name = '', ...value] = pair.trim().split('=');
    return [name, value.join('=')] as const;
  });
  return Object.fromEntries(pairs.filter(([name]) => name !== ''));
}

function setCookies(request: AppRequest): Answer {
  const cookies = [...request.url.searchParams].map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}; Path=/; HttpOnly`,
  );
  return { status: 302, headers: { location: '/cookies', 'set-cookie': cookies }, body: '' };
}

function answerStatus(text: string): Answer {
  const code = wholeNumber(text, 599);
  if (code === undefined || code < 200) return badRequest('status must be from 200 to 599');
  return { status: code, headers: code >= 300 && code < 400 ? { location: '/redirect/1' } : {}, body: '' };
}

async function answerLate(request: AppRequest, text: string): Promise<Answer> {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(seconds)) return badRequest('delay must be a number of seconds');
  await sleep(Math.min(seconds, maxDelaySeconds) * 1000, undefined, { signal: request.signal });
  return echo(request);
}

function answerBytes(text: string): Answer {
  const count = wholeNumber(text, Number.MAX_SAFE_INTEGER);
  if (count === undefined) return badRequest('number of bytes must be a whole number');
  const body = randomBytes(Math.min(count, maxBytes));
  return { status: 200, headers: { 'content-type': 'application/octet-stream' }, body };
}

function answerStream(request: AppRequest, text: string): Answer {
  const count = wholeNumber(text, Number.MAX_SAFE_INTEGER);
  if (count === undefined) return badRequest('number of lines must be a whole number');
  const described = describeRequest(request);
  async function* lines(): AsyncGenerator<string> {
    for (let id = 0; id < Math.min(count ?? 0, maxLines); id += 1) {
      yield `${JSON.stringify({ id, ...described })}\n`;
    }
  }
  return { status: 200, headers: { 'content-type': 'application/json' }, body: lines() };
}

function answerRedirect(text: string): Answer {
  const count = wholeNumber(text, maxRedirects);
  if (count === undefined || count < 1) return badRequest(`redirects must be from 1 to ${maxRedirects}`);
  return { status: 302, headers: { location: count === 1 ? '/get' : `/redirect/${count - 1}` }, body: '' };
}

function checkBasicAuth(request: AppRequest, user: string, password: string): Answer {
  const encoded = (request.headers.authorization ?? '').replace(/^Basic /, '');
  const given = Buffer.from(encoded, 'base64').toString();
  if (given === `${user}:${password}`) return jsonAnswer(200, { authorized: true, user });
  const answer = jsonAnswer(401, { authorized: false, user: given.split(':', 1)[0] });
  return { ...answer, headers: { ...answer.headers, 'www-authenticate': 'Basic realm="httpbin"' } };
}

function answerWithHeaders(request: AppRequest): Answer {
  const lists = toLists(request.url.searchParams);
  try {
    for (const [name, values] of Object.entries(lists)) {
      if (framingHeaders.has(name.toLowerCase())) return badRequest(`${name} cannot be set`);
      validateHeaderName(name);
      for (const value of values) validateHeaderValue(name, value);
    }
  } catch {
    return badRequest('not a header name or value');
  }
  const answer = jsonAnswer(200, lists);
  return { ...answer, headers: { ...answer.headers, ...lists } };
}

function wholeNumber(text: string, max: number): number | undefined {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  return value !== undefined && value <= max ? value : undefined;
}

function badRequest(detail: string): Answer {
  return jsonAnswer(400, { status_code: 400, error: 'Bad Request', detail });
}

if (import.meta.main) await runApp(httpbinApp(process.env));

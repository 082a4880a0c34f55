/**
 * The HTTP server under the sample applications: routes, bounded bodies, one log line per request, a clean stop.
 * Promises: a handler that throws costs only its own request (500); stop() refuses new connections and lets requests
 * in flight finish. Cost: each request body is held in memory, 1 MiB at most. node:http only.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import { pipeline } from 'node:stream/promises';

export type Env = Readonly<Record<string, string | undefined>>;

export interface AppRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly remoteAddress: string;
  /** Aborted once the answer is sent, or the caller has gone without waiting for it. */
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: string | Uint8Array | AsyncIterable<string>;
}

/** `path` is matched by segments: `:name` takes one (passed on decoded, in order), a last `*` takes all that follow. */
export interface Route {
  readonly method: string;
  readonly path: string;
  readonly answer: (request: AppRequest, ...params: string[]) => Answer | Promise<Answer>;
}

export interface App {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly routes: readonly Route[];
}

export interface RunningApp {
  readonly port: number;
  readonly url: string;
  stop(): Promise<void>;
}

const maxBodyBytes = 1024 * 1024;
/** Asked for every second by readiness probes: answered like any path, but not logged. */
const probePath = '/health';
const stopGraceMs = 10_000;
/** Longer than the hour after which Envoy drops an idle connection, so that the proxy never reuses one we just closed. */
const keepAliveTimeoutMs = 65 * 60_000;

class RefusedRequest extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export function jsonAnswer(status: number, value: unknown): Answer {
  return { status, headers: { 'content-type': 'application/json' }, body: `${JSON.stringify(value)}\n` };
}

/** Reads a stream of bytes to its end; throws when it is longer than `maxBytes`. */
export async function readBounded(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxBytes) throw new RefusedRequest(413, `body is larger than ${maxBytes} bytes`);
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

/** Reads a whole number from the environment; throws when it is set but is not one from 0 to `max`. */
export function numberFromEnv(env: Env, name: string, fallback: number, max: number): number {
  const text = env[name] ?? '';
  if (text === '') return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new Error(`${name} must be a whole number from 0 to ${max}, not ${JSON.stringify(text)}`);
  }
  return value;
}

/** Where to listen: HOST (default 127.0.0.1) and PORT. */
export function addressFromEnv(
  env: Env,
  defaultPort: number,
): { readonly host: string; readonly port: number } {
  return { host: env['HOST'] || '127.0.0.1', port: numberFromEnv(env, 'PORT', defaultPort, 65_535) };
}

export async function startApp(app: App): Promise<RunningApp> {
  let stopping = false;
  const server = createServer({ keepAliveTimeout: keepAliveTimeoutMs }, (request, response) => {
    void serve(app, request, response, () => stopping);
  });
  server.listen(app.port, app.host);
  await new Promise<void>((resolve, reject) => server.once('listening', resolve).once('error', reject));
  const { port } = server.address() as AddressInfo;
  const url = `http://${isIPv6(app.host) ? `[${app.host}]` : app.host}:${port}`;
  console.log(`${app.name} listens on ${url}`);
  return {
    port,
    url,
    async stop() {
      stopping = true;
      const cutOff = setTimeout(() => server.closeAllConnections(), stopGraceMs);
      await new Promise<void>((resolve) => server.close(() => resolve()));
      clearTimeout(cutOff);
    },
  };
}

/** Runs the app as the whole process: stops cleanly on SIGTERM and SIGINT. */
export async function runApp(app: App): Promise<void> {
  const running = await startApp(app);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => void running.stop().then(() => process.exit(0)));
  }
}

async function serve(
  app: App,
  request: IncomingMessage,
  response: ServerResponse,
  isStopping: () => boolean,
): Promise<void> {
  const startMs = performance.now();
  const closed = new AbortController();
  response.once('close', () => {
    closed.abort();
    if (request.url === probePath) return;
    const tookMs = Math.round(performance.now() - startMs);
    const outcome = response.writableFinished ? response.statusCode : 'aborted';
    console.log(`${app.name} ${request.method} ${request.url} ${outcome} ${tookMs}ms`);
  });
  try {
    const answer = await findAnswer(app.routes, request, closed.signal);
    if (isStopping()) response.setHeader('connection', 'close');
    for (const [name, value] of Object.entries(answer.headers)) response.setHeader(name, value);
    response.statusCode = answer.status;
    if (typeof answer.body === 'string' || answer.body instanceof Uint8Array) response.end(answer.body);
    else await pipeline(answer.body, response);
  } catch (error) {
    refuse(app.name, response, error);
  }
}

function refuse(appName: string, response: ServerResponse, error: unknown): void {
  if (response.destroyed) return;
  const refused = error instanceof RefusedRequest;
  if (!refused) console.error(`${appName} failed`, error);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { status, headers, body } = refused
    ? jsonAnswer(error.status, { error: error.message })
    : jsonAnswer(500, { error: 'internal error' });
  response.writeHead(status, { ...headers, connection: 'close' }).end(body);
}

async function findAnswer(
  routes: readonly Route[],
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<Answer> {
  const url = parseTarget(request.url ?? '/');
  const method = request.method ?? 'GET';
  const allowed: string[] = [];
  for (const route of routes) {
    const params = matchPath(route.path, url.pathname);
    if (params === undefined) continue;
    if (!acceptsMethod(route.method, method)) {
      allowed.push(route.method);
      continue;
    }
    const body = await readBounded(request.iterator({ destroyOnReturn: false }), maxBodyBytes);
    const remoteAddress = request.socket.remoteAddress ?? '';
    return route.answer({ method, url, headers: request.headers, body, remoteAddress, signal }, ...params);
  }
  if (allowed.length === 0) return jsonAnswer(404, { error: 'not found' });
  const answer = jsonAnswer(405, { error: 'method not allowed' });
  return { ...answer, headers: { ...answer.headers, allow: allowed.join(', ') } };
}

function acceptsMethod(wanted: string, given: string): boolean {
  return wanted === '*' || wanted === given || (wanted === 'GET' && given === 'HEAD');
}

function parseTarget(target: string): URL {
  const url = URL.parse(target.startsWith('/') ? `http://app${target}` : target);
  if (url === null) throw new RefusedRequest(400, 'malformed request target');
  return url;
}

function matchPath(pattern: string, path: string): readonly string[] | undefined {
  const wanted = pattern.split('/');
  const given = path.split('/');
  const takesRest = wanted.at(-1) === '*';
  if (takesRest ? given.length < wanted.length : given.length !== wanted.length) return undefined;
  const params: string[] = [];
  for (const [index, segment] of wanted.entries()) {
    if (segment === '*') break;
    const value = given[index] ?? '';
    if (segment.startsWith(':')) params.push(decodeSegment(value));
    else if (segment !== value) return undefined;
  }
  return params;
}

function decodeSegment(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new RefusedRequest(400, 'malformed percent-encoding in path');
  }
}

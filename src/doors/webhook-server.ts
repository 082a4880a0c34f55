/**
 * The webhooks' HTTPS server: `/validate` for API servers, `/ready`. Anyone who reaches the port may ask, as with Istio: an
 * answer tells nothing but what is wrong with the caller's own object. Bodies, connections and time are bounded, and bodies are
 * judged in a thread of their own.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Logger } from '#base/logger.ts';
import type { ReviewVerdict } from './admission-review.ts';
import type { Readiness } from './health.ts';
import type { MetricRegistry } from './prometheus-text.ts';
import { ReviewThread } from './review-thread.ts';

/** The server's certificate with its chain, and its key, in PEM. */
export interface WebhookTls {
  readonly cert: string;
  readonly key: string;
}

export interface WebhookServerOptions {
  readonly tls: WebhookTls;
  readonly readiness: Readiness;
  readonly metrics: MetricRegistry;
  readonly log: Logger;
}

/** Two objects of 3 MiB, the API server's own limit, in one review. */
export const MAX_REVIEW_BYTES: number = 6 * 1024 * 1024;
const MAX_CONNECTIONS = 256;
/** Bodies that are read or judged at a time. */
const MAX_BODIES = 32;
const LIMITS: ServerOptions = {
  minVersion: 'TLSv1.2',
  maxHeaderSize: 16_384,
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  handshakeTimeout: 10_000,
  keepAliveTimeout: 60_000,
};

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
}

export class WebhookServer implements AsyncDisposable {
  readonly #options: WebhookServerOptions;
  readonly #server: Server;
  readonly #thread: ReviewThread;
  readonly #count: (verdict: ReviewVerdict | number) => void;
  #bodies = 0;

  constructor(options: WebhookServerOptions) {
    this.#options = options;
    this.#thread = new ReviewThread(options.log);
    this.#count = registerReviewMetrics(options.metrics);
    this.#server = createServer({ ...LIMITS, ...options.tls }, (request, response) => {
      void this.#serve(request, response);
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Returns the port. Errors: rejects with the system's error when the address is taken. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#options.log.error('the webhook server failed', { error }));
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** New connections get this certificate. */
  setTls(tls: WebhookTls): void {
    this.#server.setSecureContext({ minVersion: 'TLSv1.2', ...tls });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread[Symbol.asyncDispose]();
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = URL.parse(request.url ?? '/', 'https://door') ?? { pathname: '' };
    const isReview = pathname === '/validate' || pathname.startsWith('/validate/');
    const answer = isReview ? await this.#review(request) : this.#other(request, pathname);
    if (isReview && answer.status !== 200) this.#count(answer.status);
    // A body that was not read to its end would be taken for the next request.
    if (!request.complete) response.setHeader('connection', 'close');
    response.writeHead(answer.status, {
      'content-type': answer.contentType ?? 'text/plain; charset=utf-8',
      'content-length': Buffer.byteLength(answer.body),
      'x-content-type-options': 'nosniff',
    });
    response.end(answer.body);
  }

  #other({ method }: IncomingMessage, path: string): Answer {
    if (path !== '/ready') return { status: 404, body: 'not found\n' };
    if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'method not allowed\n' };
    const isReady = this.#options.readiness.missing().length === 0;
    return isReady ? { status: 200, body: 'ok\n' } : { status: 503, body: 'not ready\n' };
  }

  async #review(request: IncomingMessage): Promise<Answer> {
    if (request.method !== 'POST') return { status: 405, body: 'method not allowed\n' };
    if (request.headers['content-type'] !== 'application/json')
      return { status: 415, body: 'invalid Content-Type, want `application/json`\n' };
    if (this.#bodies >= MAX_BODIES) return { status: 503, body: 'too many reviews at a time\n' };
    this.#bodies++;
    try {
      const body = await readBody(request);
      if (body === undefined)
        return { status: 413, body: `a review has at most ${MAX_REVIEW_BYTES} bytes\n` };
      if (body === '') return { status: 400, body: 'no body found\n' };
      const answer = await this.#thread.answer(body);
      if (answer === undefined) return { status: 503, body: 'the review was not answered in time\n' };
      if (answer.status === 200) this.#count(answer.verdict);
      return { ...answer, contentType: answer.status === 200 ? 'application/json' : 'text/plain' };
    } catch {
      return { status: 400, body: 'the body did not come whole\n' };
    } finally {
      this.#bodies--;
    }
  }
}

/** undefined when it is too long. Errors: rejects when the caller goes away. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_REVIEW_BYTES) return undefined;
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  // Ending the loop must not end the connection: the answer goes by it.
  const parts: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
  for await (const chunk of parts) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_REVIEW_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** Counts reviews, or the status of what was none. Source: istio pkg/webhooks/validation/server/monitoring.go. */
function registerReviewMetrics(registry: MetricRegistry): (verdict: ReviewVerdict | number) => void {
  const resource = ['group', 'version', 'resource'];
  const counter = (name: string, help: string, labels: readonly string[]) =>
    registry.counter({ name: `galley_validation_${name}`, help, labels });
  const passed = counter('passed', 'Objects that the webhook let through.', resource);
  const failed = counter('failed', 'Objects that the webhook refused.', [...resource, 'reason']);
  const errors = counter('http_error', 'Requests to the webhook that were no reviews.', ['status']);
  return (verdict) => {
    if (typeof verdict === 'number') return errors.increment({ status: String(verdict) });
    if (verdict.isDryRun) return;
    const { group, version, resource: name, reason } = verdict;
    const labels = { group, version, resource: name };
    if (verdict.outcome === 'passed') passed.increment(labels);
    else failed.increment({ ...labels, reason });
  };
}

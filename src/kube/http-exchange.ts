/** A request to an API server and its answer, the same over HTTP/1.1 and HTTP/2. */
import type { Readable } from 'node:stream';

/** One request; `path` with query. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** An answer as soon as its head is there. Whoever gets it reads or destroys the body. */
export interface HttpResponse {
  readonly status: number;
  readonly retryAfter: string;
  readonly body: Readable;
}

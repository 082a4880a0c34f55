/**
 * Calls over plain HTTP to a neighbour on this machine (Envoy's admin, the application's metrics): a bounded small answer, or a
 * stream that the caller reads at its own pace. node:http and not fetch, which would cost the agent 10 MB.
 */
import { type IncomingMessage, request } from 'node:http';

/** What to call. */
export interface HttpTarget {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** No byte for so long ends the call. */
  readonly timeoutMs: number;
}

/** A small answer, read whole. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

const maxAnswerBytes = 64 * 1024 * 1024;

/** Starts a call and gives the answer once its head is there. Errors: rejects on refusal and on timeout. */
export function openHttp(target: HttpTarget): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { host, port, path, method = 'GET', headers = {}, timeoutMs } = target;
    const call = request({ host, port, path, method, headers, agent: false, timeout: timeoutMs });
    call.on('timeout', () =>
      call.destroy(new Error(`no answer from ${host}:${port} within ${timeoutMs} ms`)),
    );
    call.on('error', reject);
    call.on('response', resolve);
    call.end(target.body);
  });
}

/** Calls and reads the answer whole, up to 64 MiB. */
export async function callHttp(target: HttpTarget): Promise<HttpAnswer> {
  const response = await openHttp(target);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue;
    size += chunk.length;
    if (size > maxAnswerBytes) throw new Error(`the answer of ${target.host}:${target.port} is over 64 MiB`);
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') };
}

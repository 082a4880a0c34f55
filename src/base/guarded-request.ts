/**
 * GET of a URL that a user wrote: bounded in time, size and redirects, and never to an address that the guard refuses; the
 * address is judged in the resolver of the very connection, at each redirect anew.
 * Source of the limits: none in Istio for size; 1 MiB is far above any key set.
 */
import { lookup } from 'node:dns';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { type AddressGuard, refusalOf } from './address-guard.ts';
import { fail, ok, type Result } from './result.ts';

export interface GuardedRequest {
  readonly url: string;
  /** For everything, redirects included. */
  readonly timeoutMs: number;
  /** Of the body. */
  readonly maxBytes: number;
  readonly guard: AddressGuard;
  readonly headers?: Readonly<Record<string, string>>;
  /** Further authorities for https, PEM. */
  readonly ca?: string;
}

const MAX_REDIRECTS = 3;

/** The body of a 2xx answer. Errors: a text for people. */
export async function guardedGet(request: GuardedRequest): Promise<Result<Buffer, string>> {
  const signal = AbortSignal.timeout(request.timeoutMs);
  let url = request.url;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const answer = await getOnce({ ...request, url }, signal);
    if (!answer.ok) return answer;
    if (answer.value.location === undefined) return ok(answer.value.body);
    const next = URL.parse(answer.value.location, url);
    if (next === null) return fail('redirected to what is no URL');
    url = next.href;
  }
  return fail(`more than ${MAX_REDIRECTS} redirects`);
}

interface Answer {
  readonly body: Buffer;
  readonly location: string | undefined;
}

function getOnce(request: GuardedRequest, signal: AbortSignal): Promise<Result<Answer, string>> {
  const url = URL.parse(request.url);
  if (url === null || !/^https?:$/.test(url.protocol))
    return Promise.resolve(fail('not an http or https URL'));
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  // The resolver is not asked about what is an address already.
  const refusal = isIP(host) === 0 ? '' : refusalOf(host, request.guard);
  if (refusal !== '') return Promise.resolve(fail(`refused: ${refusal}`));
  const { promise, resolve } = Promise.withResolvers<Result<Answer, string>>();
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const outgoing = send(url, {
    signal,
    agent: false,
    headers: { accept: 'application/json, */*', ...request.headers },
    lookup: guardedLookup(request.guard),
    ...(request.ca === undefined ? {} : { ca: request.ca }),
  });
  outgoing.on('error', (error) => resolve(fail(signal.aborted ? 'no answer in time' : error.message)));
  outgoing.on('response', (incoming) => {
    void readAnswer(incoming, request.maxBytes, signal).then(resolve);
  });
  outgoing.end();
  return promise;
}

/** The system's resolver, which answers only if every address may be dialled. */
export function guardedLookup(guard: AddressGuard): LookupFunction {
  return (hostname, options, done) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      const refusal = (addresses ?? [])
        .map(({ address }) => refusalOf(address, guard))
        .find((one) => one !== '');
      const [first] = addresses ?? [];
      if (error !== null || first === undefined) {
        done(error ?? new Error(`${hostname} has no address`), '', 0);
      } else if (refusal !== undefined) {
        done(new Error(`refused: ${hostname} leads to ${refusal}`), '', 0);
      } else if (options.all === true) {
        done(null, addresses);
      } else {
        done(null, first.address, first.family);
      }
    });
  };
}

async function readAnswer(
  incoming: IncomingMessage,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Result<Answer, string>> {
  const { statusCode: status = 0, headers } = incoming;
  if (status >= 300 && status < 400 && headers.location !== undefined) {
    incoming.destroy();
    return ok({ body: Buffer.alloc(0), location: headers.location });
  }
  if (status < 200 || status >= 300) {
    incoming.destroy();
    return fail(`answered with status ${status}`);
  }
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) return fail(`the answer is larger than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    return fail(signal.aborted ? 'no answer in time' : String(error));
  }
  return ok({ body: Buffer.concat(chunks), location: undefined });
}

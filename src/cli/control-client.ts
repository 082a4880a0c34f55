/** Asks a running mesh over its control socket: JSON answers, or streams of text. What the mesh refuses becomes a CliError. */
import { type IncomingMessage, request } from 'node:http';
import { text as readText } from 'node:stream/consumers';
import type { ControlError } from '#doors/control-protocol.ts';
import { CliError } from './exit-code.ts';

/** Query parameters; undefined ones are left out. */
export type Query = Readonly<Record<string, string | undefined>>;

export class ControlClient {
  readonly #socket: string;
  readonly #dir: string;

  constructor(location: { readonly socket: string; readonly dir: string }) {
    this.#socket = location.socket;
    this.#dir = location.dir;
  }

  /** GET with a JSON answer. */
  async get<T>(path: string, query: Query = {}): Promise<T> {
    return JSON.parse(await readText(await this.#open('GET', path, query))) as T;
  }

  /** POST of JSON with a JSON answer. */
  async post<T>(path: string, body: unknown): Promise<T> {
    return JSON.parse(await readText(await this.#open('POST', path, {}, JSON.stringify(body)))) as T;
  }

  /** GET with a stream as answer, which goes on until either side ends it. */
  stream(path: string, query: Query = {}): Promise<IncomingMessage> {
    return this.#open('GET', path, query);
  }

  async #open(method: string, path: string, query: Query, body?: string): Promise<IncomingMessage> {
    const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const search = new URLSearchParams(given).toString();
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const call = request(
        {
          socketPath: this.#socket,
          method,
          path: search === '' ? path : `${path}?${search}`,
          headers: body === undefined ? {} : { 'content-type': 'application/json' },
          agent: false,
        },
        resolve,
      );
      call.on('error', (error) => reject(this.#unreachable(error)));
      call.end(body);
    });
    if (answer.statusCode === 200) return answer;
    throw new CliError(readError(await readText(answer)));
  }

  #unreachable(error: Error): CliError {
    return new CliError(`the mesh of ${this.#dir} does not answer (${error.message}); is it still running?`);
  }
}

function readError(body: string): string {
  try {
    return (JSON.parse(body) as ControlError).error;
  } catch {
    return body;
  }
}

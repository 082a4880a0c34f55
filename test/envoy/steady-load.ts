/** Requests at a steady rate over kept connections, whether the answers come or not, and a record of each that failed. */
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';

const TICK_MS = 10;
const LIMIT_MS = 15_000;
const MAX_CONNECTIONS = 16;

/** One kind of request. */
export interface LoadTarget {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly perSecond: number;
}

export interface LoadFailure {
  readonly target: string;
  /** Milliseconds since the load began. */
  readonly atMs: number;
  readonly what: string;
}

export interface LoadResult {
  readonly requests: number;
  readonly connections: number;
  readonly failures: readonly LoadFailure[];
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** A load that goes on until it is stopped. */
export interface SteadyLoad {
  readonly failures: readonly LoadFailure[];
  /** Requests that have ended so far, well or not. */
  readonly ended: number;
  /** Ends it when the last answer is there. */
  stop(): Promise<LoadResult>;
}

/** Starts sending to all targets. */
export function startLoad(targets: readonly LoadTarget[]): SteadyLoad {
  const load = new Load();
  const startedMs = performance.now();
  const sent = targets.map(() => 0);
  const timer = setInterval(() => {
    const elapsed = (performance.now() - startedMs) / 1000;
    for (const [index, target] of targets.entries()) {
      for (; (sent[index] ?? 0) < elapsed * target.perSecond; sent[index] = (sent[index] ?? 0) + 1)
        load.send(target);
    }
  }, TICK_MS);
  return {
    failures: load.failures,
    get ended() {
      return load.ended;
    },
    async stop() {
      clearInterval(timer);
      await load.lastAnswer();
      return load.result();
    },
  };
}

class Load {
  readonly failures: LoadFailure[] = [];
  readonly #agent: Agent = new Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
  readonly #startedMs: number = performance.now();
  readonly #open: Set<Promise<void>> = new Set();
  readonly #latencies: number[] = [];
  #connections = 0;

  send(target: LoadTarget): void {
    const one = this.#exchange(target).finally(() => this.#open.delete(one));
    this.#open.add(one);
  }

  get ended(): number {
    return this.#latencies.length;
  }

  async lastAnswer(): Promise<void> {
    await Promise.all(this.#open);
    this.#agent.destroy();
  }

  result(): LoadResult {
    const sorted = this.#latencies.toSorted((a, b) => a - b);
    const at = (part: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
    const { failures } = this;
    const seconds = (performance.now() - this.#startedMs) / 1000;
    const latency = { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
    return { requests: sorted.length, connections: this.#connections, failures, seconds, ...latency };
  }

  async #exchange(target: LoadTarget): Promise<void> {
    const startedMs = performance.now();
    const { host, port, path, headers = {} } = target;
    const what = await outcome(
      request({ agent: this.#agent, host, port, path, headers }).on('socket', (socket) => {
        if (socket.connecting) this.#connections++;
      }),
    );
    this.#latencies.push(performance.now() - startedMs);
    if (what !== '') this.failures.push({ target: target.name, atMs: startedMs - this.#startedMs, what });
  }
}

/** One request on a connection of its own; '' for an answer of 200. */
export function askOnce({ host, port, path, headers = {} }: LoadTarget): Promise<string> {
  return outcome(request({ agent: false, host, port, path, headers }));
}

/** '' for an answer of 200 that came whole. */
function outcome(call: ClientRequest): Promise<string> {
  return new Promise((resolve) => {
    call.setTimeout(LIMIT_MS, () => call.destroy(new Error(`no answer in ${LIMIT_MS} ms`)));
    call.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    call.on('response', (answer: IncomingMessage) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      answer.on('error', (error) => resolve(`cut off: ${error.message}`));
      answer.on('end', () =>
        resolve(answer.statusCode === 200 ? '' : `${answer.statusCode}: ${body.slice(0, 200)}`),
      );
    });
    call.end();
  });
}

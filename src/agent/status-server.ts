/**
 * The agent's HTTP doors: 15020 (readiness, merged metrics, drain, quit) and 15090 (Envoy's metrics with Istio's names, which
 * Envoy itself cannot print). Reading is open, as in Istio; whatever changes something wants POST, from this machine, not
 * from a browser, and quitting must be switched on.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import type { AgentGauges, AgentMetrics } from './agent-metrics.ts';
import type { SocketAddress } from './bootstrap-settings.ts';
import { type MetricsSource, writeScrape } from './metric-merge.ts';
import { checkReadiness, type Readiness } from './readiness.ts';

/** What the doors lead to. */
export interface StatusSettings {
  /** 15020. */
  readonly status: SocketAddress;
  /** 15090. */
  readonly prometheus: SocketAddress;
  readonly admin: SocketAddress;
  /** The application's metrics; undefined: none, or not to be merged. */
  readonly application: ApplicationMetrics | undefined;
  readonly isQuitEnabled: boolean;
  /** Metrics are shown to this machine only. */
  readonly hasLocalMetrics: boolean;
  /** Merged metrics have Envoy's in them. */
  readonly mergesEnvoy: boolean;
  /** The door for Envoy's metrics compresses them for whoever takes it. */
  readonly compresses: boolean;
}

/** Where the application serves metrics. */
export interface ApplicationMetrics extends SocketAddress {
  readonly path: string;
}

/** What the doors may do. */
export interface StatusActions {
  readonly gauges: () => AgentGauges;
  readonly becameReady: () => void;
  readonly drain: () => Promise<void>;
  readonly quit: () => void;
  /** Why the agent itself is not ready; undefined when it is. */
  readonly hindrance: () => string | undefined;
  readonly hasEnvoy: boolean;
  /** The names that DNS answers, with their addresses. */
  readonly names: () => Iterable<readonly [string, readonly string[]]>;
}

/** What the server runs on. */
export interface StatusParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: AgentMetrics;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

const scrapeTimeoutMs = 10_000;

/** Serves both doors. */
export class StatusServer {
  readonly #settings: StatusSettings;
  readonly #actions: StatusActions;
  readonly #parts: StatusParts;
  readonly #servers: Server[] = [];
  #wasReady = false;

  constructor(settings: StatusSettings, actions: StatusActions, parts: StatusParts) {
    this.#settings = settings;
    this.#actions = actions;
    this.#parts = parts;
  }

  /** Binds both ports. Errors: rejects when one is taken. */
  async listen(): Promise<void> {
    const scrape = this.#guarded((request, response) => this.#serveMerged(request, response));
    await this.#open(
      this.#settings.status,
      new Map<string, Handler>([
        ['/healthz/ready', (_request, response) => this.#serveReadiness(response)],
        ['/stats/prometheus', scrape],
        ['/metrics', scrape],
        ['/drain', (request, response) => this.#serveDrain(request, response)],
        ['/debug/ndsz', (request, response) => this.#serveNames(request, response)],
        ['/quitquitquit', (request, response) => this.#serveQuit(request, response)],
      ]),
    );
    const envoyOnly = this.#guarded((request, response) => {
      const encoding = this.#settings.compresses && takesGzip(request) ? 'gzip' : 'identity';
      return writeScrape(response, '', [this.#envoySource(request)], this.#parts.metrics, encoding);
    });
    await this.#open(this.#settings.prometheus, new Map([['/stats/prometheus', envoyOnly]]));
  }

  /** Closes both ports and what is under way. */
  async close(): Promise<void> {
    const closing = this.#servers.map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    );
    await Promise.all(closing);
  }

  #open(address: SocketAddress, routes: ReadonlyMap<string, Handler>): Promise<void> {
    const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000 }, (request, response) => {
      const path = (request.url ?? '').split('?', 1)[0] ?? '';
      const handler = routes.get(path);
      if (handler === undefined) return answer(response, 404, 'not found');
      void Promise.resolve(handler(request, response)).catch((error: unknown) => {
        this.#parts.log.warn('status request failed', { path, error });
        if (!response.headersSent) answer(response, 500, 'internal error');
        else response.destroy();
      });
    });
    server.maxConnections = 100;
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(address.port, address.address, resolve);
    });
  }

  #guarded(handler: Handler): Handler {
    if (!this.#settings.hasLocalMetrics) return handler;
    return (request, response) => {
      if (isLocal(request)) return handler(request, response);
      answer(response, 403, 'Only requests from localhost are allowed');
    };
  }

  async #serveReadiness(response: ServerResponse): Promise<void> {
    const readiness = await this.#readiness();
    this.#noteReadiness(readiness);
    answer(response, readiness.isReady ? 200 : 503, readiness.reason);
  }

  async #readiness(): Promise<Readiness> {
    const reason = this.#actions.hindrance();
    if (reason !== undefined) return { isReady: false, reason };
    return this.#actions.hasEnvoy ? checkReadiness(this.#settings.admin) : { isReady: true, reason: '' };
  }

  #noteReadiness(readiness: Readiness): void {
    if (readiness.isReady === this.#wasReady) return;
    this.#wasReady = readiness.isReady;
    const { log } = this.#parts;
    if (readiness.isReady) log.info('Envoy proxy is ready');
    else log.warn('Envoy proxy is NOT ready', { reason: readiness.reason });
    if (readiness.isReady) this.#actions.becameReady();
  }

  async #serveMerged(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { metrics, clock } = this.#parts;
    metrics.add('istio_agent_scrapes_total');
    const own = metrics.print(this.#actions.gauges(), clock.nowMs());
    const ofEnvoy = this.#settings.mergesEnvoy ? [this.#envoySource(request)] : [];
    const sources = [...ofEnvoy, ...this.#applicationSources(request)];
    await writeScrape(response, own, sources, metrics);
  }

  /** The query goes along: `usedonly`, `filter`, `histogram_buckets` are Envoy's. */
  #envoySource(request: IncomingMessage): MetricsSource {
    const { address: host, port } = this.#settings.admin;
    const query = /\?[\w=&.~%^$*()|+-]*$/.exec(request.url ?? '')?.[0] ?? '';
    return {
      name: 'envoy',
      target: { host, port, path: `/stats/prometheus${query}`, timeoutMs: scrapeTimeoutMs },
    };
  }

  #applicationSources(request: IncomingMessage): readonly MetricsSource[] {
    const { application, status } = this.#settings;
    if (application === undefined || application.port === status.port) return [];
    const timeout = request.headers['x-prometheus-scrape-timeout-seconds'];
    const headers = {
      accept: 'text/plain;version=0.0.4',
      ...(typeof timeout === 'string' ? { 'x-prometheus-scrape-timeout-seconds': timeout } : {}),
    };
    const { address: host, port, path } = application;
    return [{ name: 'application', target: { host, port, path, headers, timeoutMs: scrapeTimeoutMs } }];
  }

  /** For people; who asks is on this machine. Source: Istio pilot/cmd/pilot-agent/status/server.go handleNdsz. */
  #serveNames(request: IncomingMessage, response: ServerResponse): void {
    if (!isLocal(request)) return answer(response, 403, '');
    const names = [...this.#actions.names()].map(([name, ips]) => [name, { ips }] as const);
    answer(response, 200, `${JSON.stringify({ table: Object.fromEntries(names) }, null, 2)}\n`);
  }

  async #serveDrain(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = findRefusal(request);
    if (refusal !== undefined) return answer(response, refusal, '');
    await this.#actions.drain();
    answer(response, 200, 'OK');
  }

  #serveQuit(request: IncomingMessage, response: ServerResponse): void {
    const refusal = this.#settings.isQuitEnabled ? findRefusal(request) : 404;
    if (refusal !== undefined) return answer(response, refusal, '');
    this.#parts.log.info('asked to quit');
    answer(response, 200, 'OK');
    this.#actions.quit();
  }
}

function answer(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(body);
}

/** The status to refuse a command with; undefined when it may be carried out. */
function findRefusal(request: IncomingMessage): number | undefined {
  if (request.method !== 'POST') return 405;
  const isFromPage = request.headers.origin !== undefined || request.headers['sec-fetch-site'] !== undefined;
  return isLocal(request) && !isFromPage ? undefined : 403;
}

function takesGzip(request: IncomingMessage): boolean {
  return /(?:^|[,\s])gzip(?:$|[,;\s])(?!\s*q=0(?:\.0*)?(?:$|[,\s]))/.test(
    String(request.headers['accept-encoding'] ?? ''),
  );
}

function isLocal(request: IncomingMessage): boolean {
  const from = (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
  return from.startsWith('127.') || from === '::1';
}

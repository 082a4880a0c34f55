/**
 * A real Envoy as the sidecar of one workload without interception: fed by the graph from YAML, called through its HTTP proxy
 * listener. Services of such tests are ServiceEntries with endpoints on loopback.
 */
import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import type { ObjectRef } from '#base/object-ref.ts';
import type { MeshFlags } from '#model/mesh-flags.ts';
import { EnvoyFeed, type FeedOptions } from '../support/envoy-feed.ts';
import { type MeshFixture, meshFixture, type ProxyFacts } from '../support/mesh-fixture.ts';
import { envoyPath } from './agent-fixture.ts';
import { freePort, ownAddress } from './static-envoy.ts';

const CLIENT = 'client';
const LIMIT_MS = 10_000;

/** What a call got, and how it was called in the end. */
export interface LiveAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
}

/** What of a call may differ. */
export interface LiveCall {
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Loopback address that the call comes from. */
  readonly from?: string;
}

export interface LiveOptions extends FeedOptions {
  /** Where its agent would answer DNS, `address:port`. */
  readonly agentDns?: string;
  readonly flags?: MeshFlags;
  /** `region/zone/subzone` of the client. */
  readonly locality?: { readonly region: string; readonly zone: string };
  /** What else is true of the client. */
  readonly facts?: Partial<ProxyFacts>;
}

/** The running sidecar. */
export class LiveSidecar implements AsyncDisposable {
  readonly fixture: MeshFixture;
  readonly feed: EnvoyFeed;
  /** Where it listens for its application. */
  readonly address: string;
  readonly #port: number;

  private constructor(fixture: MeshFixture, feed: EnvoyFeed, address: string, port: number) {
    this.fixture = fixture;
    this.feed = feed;
    this.address = address;
    this.#port = port;
  }

  static async start(options: LiveOptions = {}): Promise<LiveSidecar> {
    const address = ownAddress();
    const port = await freePort(address);
    const { agentDns, discoversItselfIn: itself } = options;
    const fixture = meshFixture(options.flags === undefined ? {} : { flags: options.flags });
    fixture.connect({
      name: CLIENT,
      ip: address,
      interceptionMode: 'NONE',
      outboundAddress: address,
      httpProxyPort: port,
      ...(options.locality === undefined ? {} : { locality: options.locality }),
      ...options.facts,
      ...(agentDns === undefined ? {} : { dnsCapture: true, metadata: { DNS_PROXY_ADDR: agentDns } }),
      ...(itself === undefined ? {} : { locality: itself, metadata: { ENABLE_SELF_DISCOVERY: 'true' } }),
    });
    const feed = await EnvoyFeed.start(await envoyPath(), options);
    return new LiveSidecar(fixture, feed, address, port);
  }

  /** Adds the objects of a YAML text, and waits until Envoy has taken what follows from them. */
  async apply(yaml: string): Promise<void> {
    this.fixture.apply(yaml);
    await this.feed.update(this.fixture.entries(CLIENT));
  }

  /** Takes objects away, and waits until Envoy has taken what follows from that. */
  async remove(...refs: readonly ObjectRef[]): Promise<void> {
    for (const ref of refs) this.fixture.remove(ref);
    await this.feed.update(this.fixture.entries(CLIENT));
  }

  /** One call to a host of the mesh on a connection of its own. */
  async call(host: string, { path = '/', headers = {}, from }: LiveCall = {}): Promise<LiveAnswer> {
    const outgoing = request({
      host: this.address,
      port: this.#port,
      path,
      headers: { host, ...headers },
      agent: false,
      timeout: LIMIT_MS,
      ...(from === undefined ? {} : { localAddress: from }),
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${LIMIT_MS} ms`)));
    outgoing.end();
    const [answer] = await once(outgoing, 'response');
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk);
    return { status: answer.statusCode, body: Buffer.concat(chunks).toString(), headers: answer.headers };
  }

  /** How many of so many calls, one after another, each body answered. */
  async count(
    host: string,
    calls: number,
    how?: (i: number) => LiveCall,
  ): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>();
    for (let i = 0; i < calls; i++) {
      const { body } = await this.call(host, how?.(i));
      counts.set(body, (counts.get(body) ?? 0) + 1);
    }
    return counts;
  }

  /** Value of a counter or gauge of a cluster, such as `upstream_rq_pending_overflow`. */
  async stat(cluster: string, name: string): Promise<number> {
    const text = await this.feed.admin('/stats?filter=' + encodeURIComponent(name));
    const line = text.split('\n').find((each) => each.startsWith(`cluster.${cluster};.${name}: `));
    return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(' ')));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.feed[Symbol.asyncDispose]();
  }
}

/**
 * Envoy's delta ADS client as a model: subscriptions that follow from what it holds, names added and removed between
 * requests, the CDS answer that waits for warm clusters, refusals of a part or the whole, reconnects that list versions.
 * Facts: Envoy 1.40 delta_subscription_state, new_grpc_mux_impl. What it does with resources is envoy-state.ts.
 */
import assert from 'node:assert/strict';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type DeltaDiscoveryResponse,
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { TYPE_CLUSTER, TYPE_ENDPOINT, TYPE_LISTENER, TYPE_ROUTE } from '#xds/resource.ts';
import { EnvoyState } from './envoy-state.ts';
import { contentOf, NODE_ID } from './fake-world.ts';
import { MemoryStream } from './memory-stream.ts';
import type { ModelClient, Verdict } from './model-history.ts';

const TAKE: Verdict = { kind: 'take' };
const SUBSCRIPTION_ORDER = [TYPE_CLUSTER, TYPE_ENDPOINT, TYPE_LISTENER, TYPE_ROUTE];

/** One type's subscription as the client's multiplexer keeps it. */
class Watch {
  readonly interest: Set<string> = new Set();
  readonly versions: Map<string, string> = new Map();
  readonly added: Set<string> = new Set();
  readonly removed: Set<string> = new Set();
  readonly isWildcard: boolean;
  isFirst = true;
  /** Answers that wait to be written: nonce and error text. */
  answers: { nonce: string; error: string | undefined }[] = [];

  constructor(isWildcard: boolean) {
    this.isWildcard = isWildcard;
  }

  /** Removed and added again before a request leaves counts as added: the user may have forgotten it. */
  add(name: string): void {
    this.interest.add(name);
    this.versions.delete(name);
    this.removed.delete(name);
    this.added.add(name);
  }

  drop(name: string): void {
    this.interest.delete(name);
    this.versions.delete(name);
    this.added.delete(name);
    this.removed.add(name);
  }
}

export class DeltaClientModel implements ModelClient {
  stream: MemoryStream = new MemoryStream();
  readonly state: EnvoyState = new EnvoyState((typeUrl, name, isWanted) =>
    this.#want(typeUrl, name, isWanted),
  );
  /** Clusters that the client itself turned away and therefore lacks. */
  readonly refusedClusters: Set<string> = new Set();
  /**
   * Taken from a response that was refused as a whole, and not listed after the next reconnect: nobody but the client
   * knows of these, so they stay (a limit of the protocol as Envoy plays it).
   */
  readonly ghosts: Set<string> = new Set();
  readonly #unlisted: Set<string> = new Set();
  /** What the next responses meet, one each. */
  verdicts: Verdict[] = [];
  /** When set, requests wait in `outbox` until `flush`. */
  holdsRequests = false;
  outbox: Uint8Array[] = [];
  received = 0;
  readonly #watches: Map<string, Watch> = new Map();
  readonly #unanswered: Map<string, number> = new Map();

  /** Opens a stream (a first one, or after a break) and says what it wants and has. */
  connect(serve: (stream: MemoryStream) => void): void {
    this.stream.break();
    this.stream = new MemoryStream();
    this.outbox = [];
    this.#unanswered.clear();
    for (const name of this.#unlisted) this.ghosts.add(name);
    serve(this.stream);
    this.#watch(TYPE_CLUSTER);
    for (const watch of this.#watches.values()) {
      watch.isFirst = true;
      watch.answers = [];
    }
    this.#flushTypes(true);
  }

  /** Takes up to `count` messages off the wire. */
  process(count: number): void {
    for (let left = count; left > 0 && this.stream.sent.length > 0; left--) {
      const message = this.stream.sent.shift() as Uint8Array;
      this.received++;
      this.#respond(fromBinary(DeltaDiscoveryResponseSchema, message));
      this.#flushTypes(false);
    }
  }

  /** Lets held requests reach the server. */
  flush(): void {
    const messages = this.outbox;
    this.outbox = [];
    if (messages.length > 0) this.stream.receive(...messages);
  }

  isIdle(): boolean {
    return this.stream.sent.length === 0 && this.outbox.length === 0;
  }

  /** Responses of a type that have not been answered on this stream. */
  unanswered(typeUrl: string): number {
    const waiting = this.stream.sent.filter(
      (message) => fromBinary(DeltaDiscoveryResponseSchema, message).typeUrl === typeUrl,
    );
    return waiting.length + (this.#unanswered.get(typeUrl) ?? 0);
  }

  #watch(typeUrl: string): Watch {
    let watch = this.#watches.get(typeUrl);
    if (watch === undefined) {
      watch = new Watch(typeUrl === TYPE_CLUSTER || typeUrl === TYPE_LISTENER);
      this.#watches.set(typeUrl, watch);
    }
    return watch;
  }

  #respond(response: DeltaDiscoveryResponse): void {
    const watch = this.#watch(response.typeUrl);
    const verdict = this.verdicts.shift() ?? TAKE;
    const adds = response.resources.map(({ name, version, resource }) => {
      assert.equal(resource?.typeUrl, response.typeUrl);
      const content = contentOf(resource?.value ?? new Uint8Array());
      assert.equal(content.name, name);
      return { name, version, content };
    });
    this.#unanswered.set(response.typeUrl, (this.#unanswered.get(response.typeUrl) ?? 0) + 1);
    const fresh = adds.filter(({ content }) => !this.state.has(response.typeUrl, content));
    const bad = verdict.kind === 'one' ? fresh[verdict.index % Math.max(1, fresh.length)]?.name : undefined;
    const isRefused = verdict.kind === 'whole' || bad !== undefined;
    const taken = verdict.kind === 'whole' ? [] : adds.filter(({ name }) => name !== bad);
    if (response.typeUrl === TYPE_CLUSTER) {
      for (const { name } of adds) {
        if (taken.some((add) => add.name === name)) this.refusedClusters.delete(name);
        else if (!this.state.clusters.has(name) && !this.state.warmingClusters.has(name))
          this.refusedClusters.add(name);
      }
    }
    if (isRefused)
      this.state.refuse(
        response.typeUrl,
        adds.map(({ name }) => name),
      );
    if (verdict.kind !== 'whole') {
      this.state.apply(
        response.typeUrl,
        taken.map(({ content }) => content),
        response.removedResources,
      );
    }
    if (!isRefused) {
      for (const { name, version } of adds)
        if (watch.isWildcard || watch.interest.has(name)) watch.versions.set(name, version);
      for (const name of response.removedResources) watch.versions.delete(name);
    }
    if (this.state.initialise()) this.#watch(TYPE_LISTENER);
    if (watch.isWildcard) this.#noteUnlisted(adds, response.removedResources, isRefused, taken.length > 0);
    const error = bad === undefined ? 'refused' : `Error adding/updating ${bad}: refused`;
    watch.answers.push({ nonce: response.nonce, error: isRefused ? error : undefined });
  }

  #noteUnlisted(
    adds: readonly { name: string }[],
    removed: readonly string[],
    isRefused: boolean,
    isPartlyTaken: boolean,
  ): void {
    for (const { name } of adds) {
      if (isRefused && isPartlyTaken) this.#unlisted.add(name);
      else if (!isRefused) this.#unlisted.delete(name);
    }
    for (const name of removed) {
      this.#unlisted.delete(name);
      this.ghosts.delete(name);
    }
  }

  #want(typeUrl: string, name: string, isWanted: boolean): void {
    const watch = this.#watch(typeUrl);
    if (isWanted) watch.add(name);
    else watch.drop(name);
  }

  /** Writes what is to be written, type by type. CDS says nothing while a cluster warms (after start-up). */
  #flushTypes(isReconnect: boolean): void {
    for (const typeUrl of SUBSCRIPTION_ORDER) {
      const watch = this.#watches.get(typeUrl);
      if (watch === undefined) continue;
      const { isInitialised, warmingClusters } = this.state;
      const isHeld = typeUrl === TYPE_CLUSTER && isInitialised && warmingClusters.size > 0;
      if (isHeld && !(isReconnect && watch.isFirst)) continue;
      this.#writeRequests(typeUrl, watch);
    }
    if (!this.holdsRequests) this.flush();
  }

  #writeRequests(typeUrl: string, watch: Watch): void {
    const hasInterest = watch.isWildcard || watch.interest.size > 0;
    if (watch.isFirst && !hasInterest && watch.added.size === 0) return;
    while (watch.isFirst || watch.answers.length > 0 || watch.added.size > 0 || watch.removed.size > 0) {
      const answer = watch.answers.shift();
      if (answer !== undefined) this.#unanswered.set(typeUrl, (this.#unanswered.get(typeUrl) ?? 0) - 1);
      const first = watch.isFirst;
      const request = create(DeltaDiscoveryRequestSchema, {
        ...(typeUrl === TYPE_CLUSTER && first ? { node: { id: NODE_ID } } : {}),
        typeUrl,
        resourceNamesSubscribe: first && !watch.isWildcard ? [...watch.interest] : [...watch.added],
        resourceNamesUnsubscribe: first ? [] : [...watch.removed],
        initialResourceVersions: first ? Object.fromEntries(watch.versions) : {},
        responseNonce: answer?.nonce ?? '',
        ...(answer?.error === undefined ? {} : { errorDetail: { code: 13, message: answer.error } }),
      });
      watch.isFirst = false;
      watch.added.clear();
      watch.removed.clear();
      this.outbox.push(toBinary(DeltaDiscoveryRequestSchema, request));
    }
  }
}

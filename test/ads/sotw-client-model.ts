/**
 * Envoy's state-of-the-world ADS client as a model: each request repeats all names, the last nonce and the last version taken.
 * Facts: Envoy 1.40 grpc_mux_impl. What it does with resources is envoy-state.ts.
 */
import assert from 'node:assert/strict';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { TYPE_CLUSTER, TYPE_ENDPOINT, TYPE_LISTENER, TYPE_ROUTE } from '#xds/resource.ts';
import { EnvoyState } from './envoy-state.ts';
import { contentOf, NODE_ID } from './fake-world.ts';
import { MemoryStream } from './memory-stream.ts';
import type { ModelClient, Verdict } from './model-history.ts';

const ORDER = [TYPE_CLUSTER, TYPE_ENDPOINT, TYPE_LISTENER, TYPE_ROUTE];

interface Subscription {
  version: string;
  nonce: string;
  isFirst: boolean;
  /** Names changed, or a watch was renewed: a request is to be written. */
  isDirty: boolean;
  /** What waits to be written: a version that was taken, or the text of a refusal. */
  answers: { nonce: string; version: string | undefined; error: string }[];
}

export class SotwClientModel implements ModelClient {
  stream: MemoryStream = new MemoryStream();
  readonly state: EnvoyState = new EnvoyState((typeUrl) => {
    this.#subscription(typeUrl).isDirty = true;
  });
  readonly refusedClusters: Set<string> = new Set();
  readonly ghosts: Set<string> = new Set();
  verdicts: Verdict[] = [];
  holdsRequests = false;
  readonly #outbox: Uint8Array[] = [];
  readonly #subscriptions: Map<string, Subscription> = new Map();
  readonly #unanswered: Map<string, number> = new Map();

  connect(serve: (stream: MemoryStream) => void): void {
    this.stream.break();
    this.stream = new MemoryStream();
    this.#outbox.length = 0;
    this.#unanswered.clear();
    serve(this.stream);
    this.#subscription(TYPE_CLUSTER);
    for (const subscription of this.#subscriptions.values()) {
      Object.assign(subscription, { nonce: '', isFirst: true, isDirty: true, answers: [] });
    }
    this.#write(true);
  }

  process(count: number): void {
    for (let left = count; left > 0 && this.stream.sent.length > 0; left--) {
      this.#respond(fromBinary(DiscoveryResponseSchema, this.stream.sent.shift() as Uint8Array));
      this.#write(false);
    }
  }

  flush(): void {
    const messages = this.#outbox.splice(0);
    if (messages.length > 0) this.stream.receive(...messages);
  }

  isIdle(): boolean {
    return this.stream.sent.length === 0 && this.#outbox.length === 0;
  }

  unanswered(typeUrl: string): number {
    const waiting = this.stream.sent.filter(
      (sent) => fromBinary(DiscoveryResponseSchema, sent).typeUrl === typeUrl,
    );
    return waiting.length + (this.#unanswered.get(typeUrl) ?? 0);
  }

  #subscription(typeUrl: string): Subscription {
    let subscription = this.#subscriptions.get(typeUrl);
    if (subscription === undefined) {
      subscription = { version: '', nonce: '', isFirst: true, isDirty: true, answers: [] };
      this.#subscriptions.set(typeUrl, subscription);
    }
    return subscription;
  }

  #respond(response: DiscoveryResponse): void {
    const { typeUrl, nonce, versionInfo } = response;
    const subscription = this.#subscription(typeUrl);
    const contents = response.resources.map((resource) => {
      assert.equal(resource.typeUrl, typeUrl);
      return contentOf(resource.value);
    });
    const names = new Set(contents.map(({ name }) => name));
    assert.equal(names.size, contents.length, 'no resource twice in one response');
    this.#unanswered.set(typeUrl, (this.#unanswered.get(typeUrl) ?? 0) + 1);
    const fresh = contents.filter((content) => !this.state.has(typeUrl, content));
    // A client can't refuse what it has, nor that something is missing.
    const verdict = (fresh.length > 0 ? this.verdicts.shift() : undefined) ?? { kind: 'take' };
    const bad = verdict.kind === 'one' ? fresh[verdict.index % Math.max(1, fresh.length)]?.name : undefined;
    const isRefused = verdict.kind === 'whole' || bad !== undefined;
    const taken = verdict.kind === 'whole' ? [] : contents.filter(({ name }) => name !== bad);
    if (typeUrl === TYPE_CLUSTER) this.#noteRefusals(names, new Set(taken.map(({ name }) => name)));
    if (isRefused) this.state.refuse(typeUrl, names);
    if (verdict.kind !== 'whole') {
      // What is missing from a whole-state response is removed.
      const held =
        typeUrl === TYPE_CLUSTER ? [...this.state.clusters.keys(), ...this.state.warmingClusters.keys()] : [];
      if (typeUrl === TYPE_LISTENER)
        held.push(...this.state.listeners.keys(), ...this.state.warmingListeners.keys());
      this.state.apply(
        typeUrl,
        taken,
        held.filter((name) => !names.has(name)),
      );
    }
    if (this.state.initialise()) this.#subscription(TYPE_LISTENER);
    const error = bad === undefined ? 'refused' : `Error adding/updating ${bad}: refused`;
    subscription.answers.push({ nonce, version: isRefused ? undefined : versionInfo, error });
  }

  #noteRefusals(offered: ReadonlySet<string>, taken: ReadonlySet<string>): void {
    for (const name of offered) {
      if (taken.has(name)) this.refusedClusters.delete(name);
      else if (!this.state.clusters.has(name) && !this.state.warmingClusters.has(name))
        this.refusedClusters.add(name);
    }
  }

  #write(isReconnect: boolean): void {
    for (const typeUrl of ORDER) {
      const subscription = this.#subscriptions.get(typeUrl);
      if (subscription === undefined) continue;
      const isHeld =
        typeUrl === TYPE_CLUSTER && this.state.isInitialised && this.state.warmingClusters.size > 0;
      if (isHeld && !(isReconnect && subscription.isFirst)) continue;
      this.#writeRequests(typeUrl, subscription);
    }
    if (!this.holdsRequests) this.flush();
  }

  #writeRequests(typeUrl: string, subscription: Subscription): void {
    const named =
      typeUrl === TYPE_ENDPOINT
        ? this.state.wantedEndpoints
        : typeUrl === TYPE_ROUTE
          ? this.state.wantedRoutes
          : [];
    while (subscription.isDirty || subscription.answers.length > 0) {
      const answer = subscription.answers.shift();
      if (answer !== undefined) {
        this.#unanswered.set(typeUrl, (this.#unanswered.get(typeUrl) ?? 0) - 1);
        subscription.nonce = answer.nonce;
        subscription.version = answer.version ?? subscription.version;
      }
      const isRefused = answer !== undefined && answer.version === undefined;
      const request = create(DiscoveryRequestSchema, {
        ...(typeUrl === TYPE_CLUSTER && subscription.isFirst ? { node: { id: NODE_ID } } : {}),
        typeUrl,
        resourceNames: [...named],
        versionInfo: subscription.version,
        responseNonce: subscription.nonce,
        ...(isRefused ? { errorDetail: { code: 13, message: answer.error } } : {}),
      });
      subscription.isFirst = false;
      subscription.isDirty = false;
      this.#outbox.push(toBinary(DiscoveryRequestSchema, request));
    }
  }
}

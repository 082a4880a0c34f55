/**
 * What differs between the two variants of the protocol, delta and state of the world: how requests read, what they say
 * about subscriptions, and how a response is put together. ads-session.ts holds what is common.
 */
import type { ErrorDetail, ResponseHead } from './messages.ts';
import type { DiffCache, ResourceMap } from './snapshot-diff.ts';
import type { Changes, TypeState, VersionOf } from './subscription.ts';
import type { Body, BodyCache } from './response-body.ts';

/** What all requests have. */
export interface DiscoveryRequest {
  readonly node: Uint8Array | undefined;
  readonly typeUrl: string;
  readonly nonce: string;
  readonly error: ErrorDetail | undefined;
}

/** Where a request meets its type. */
export interface SubscriptionContext {
  readonly state: TypeState;
  readonly target: ResourceMap;
  /** The stream's first request for this type. */
  readonly isFirst: boolean;
  /** The request answers a response that is not the last one sent. */
  readonly isExpired: boolean;
  readonly versionOf: VersionOf;
  readonly nowMs: number;
}

/** What a response is made from. */
export interface ResponseContext {
  readonly state: TypeState;
  readonly target: ResourceMap;
  readonly changes: Changes;
  readonly head: ResponseHead;
  readonly versionOf: VersionOf;
  /** The map that `versionOf` reads, for types whose versions depend on one. */
  readonly versionedBy: ResourceMap | undefined;
  readonly diffs: DiffCache;
}

/** A message for XdsStream.send. */
export interface Response {
  readonly chunks: readonly Uint8Array[];
  readonly sizeBytes: number;
}

export interface Dialect<R extends DiscoveryRequest> {
  readonly isDelta: boolean;
  /** Errors: WireError. */
  decode(message: Uint8Array): R;
  subscribe(request: R, context: SubscriptionContext): void;
  /** The names that the client is subscribed to once the request is taken; `names` are those before. */
  wantedNames(request: R, names: Iterable<string>): Iterable<string>;
  /** Undefined when the variant has no way to say this. */
  compose(context: ResponseContext, bodies: BodyCache): Response | undefined;
}

/** Head and bodies as one message. */
export function joinResponse(head: Uint8Array, bodies: readonly Body[]): Response {
  const chunks = [head, ...bodies.flatMap((body) => body.chunks)];
  return { chunks, sizeBytes: bodies.reduce((sum, body) => sum + body.sizeBytes, head.length) };
}

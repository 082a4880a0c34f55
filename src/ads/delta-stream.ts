/**
 * The delta variant: subscriptions change by name, a response carries what changed and the names of what is gone.
 * Source: envoy.service.discovery.v3.DeltaDiscoveryRequest, xDS protocol "incremental".
 */
import {
  type Dialect,
  joinResponse,
  type Response,
  type ResponseContext,
  type SubscriptionContext,
} from './dialect.ts';
import { type DeltaRequest, decodeDeltaRequest, encodeDeltaHead } from './messages.ts';
import { type BodyCache, encodeDelta } from './response-body.ts';

const WILDCARD = '*';
const NO_VERSIONS: ReadonlyMap<string, string> = new Map();

/** The delta variant of ADS. */
export const DELTA: Dialect<DeltaRequest> = {
  isDelta: true,
  decode: decodeDeltaRequest,
  subscribe,
  wantedNames,
  compose,
};

function wantedNames(request: DeltaRequest, names: Iterable<string>): Iterable<string> {
  const dropped = new Set(request.unsubscribe);
  return [...[...names].filter((name) => !dropped.has(name)), ...request.subscribe];
}

/** A delta request's subscriptions count even when its nonce is old: they are not repeated. */
function subscribe(request: DeltaRequest, context: SubscriptionContext): void {
  const { state, target, isFirst, versionOf, nowMs } = context;
  const names = request.subscribe.filter((name) => name !== WILDCARD);
  const asksAll = names.length < request.subscribe.length;
  const claims = { versions: isFirst ? request.initialVersions : NO_VERSIONS, versionOf };
  if (isFirst && (asksAll || (names.length === 0 && state.type.isWildcard))) {
    state.startWildcard(target, claims, nowMs);
  } else if (isFirst) {
    state.startNamed(target);
  } else if (asksAll) {
    state.addWildcard(target);
  }
  if (request.unsubscribe.includes(WILDCARD)) state.stopWildcard();
  if (request.unsubscribe.length > 0) state.unsubscribe(request.unsubscribe);
  if (names.length > 0) state.subscribe(names, target, claims);
}

function compose(context: ResponseContext, bodies: BodyCache): Response {
  const { state, changes, versionOf, versionedBy } = context;
  const encode = () => encodeDelta(state.type, changes.adds, versionOf);
  const body = changes.shared === undefined ? encode() : bodies.get(changes.shared, versionedBy, encode);
  return joinResponse(encodeDeltaHead(context.head, changes.removals), [body]);
}

/**
 * The state-of-the-world variant: each request repeats all names; clusters, listeners and name tables are sent whole, so that
 * what is missing is removed; of the other types only what changed is sent, and nothing can be removed.
 * Source: envoy.service.discovery.v3.DiscoveryRequest, xDS protocol "state of the world".
 */
import type { ResourceEntry } from '#xds/resource.ts';
import {
  type Dialect,
  joinResponse,
  type Response,
  type ResponseContext,
  type SubscriptionContext,
} from './dialect.ts';
import { decodeSotwRequest, encodeSotwHead, type SotwRequest } from './messages.ts';
import { lastKnown } from './held-resources.ts';
import type { Claims } from './subscription.ts';
import { type Body, type BodyCache, encodeSotw } from './response-body.ts';

const WILDCARD = '*';
const NO_CLAIMS: Claims = { versions: new Map(), versionOf: () => '' };

type Named = readonly [string, ResourceEntry];

/** The state-of-the-world variant of ADS. */
export const SOTW: Dialect<SotwRequest> = {
  isDelta: false,
  decode: decodeSotwRequest,
  subscribe,
  wantedNames,
  compose,
};

function wantedNames(request: SotwRequest): Iterable<string> {
  return request.names;
}

function subscribe(request: SotwRequest, context: SubscriptionContext): void {
  const { state, target, isFirst, isExpired, nowMs } = context;
  if (isExpired) return;
  const asksAll = request.names.includes(WILDCARD);
  const isEmpty = request.names.length === 0;
  if (isFirst && (asksAll || (isEmpty && state.type.isWildcard)))
    state.startWildcard(target, NO_CLAIMS, nowMs);
  else if (isFirst) state.startNamed(target);
  else if (asksAll) state.addWildcard(target);
  else if (state.isWildcard && !isEmpty) state.stopWildcard();
  if (state.isWildcard && isEmpty) return;
  const added = request.names.filter((name) => name !== WILDCARD && !state.names.has(name));
  const count = request.names.length - (asksAll ? 1 : 0);
  if (state.names.size + added.length !== count) {
    const wanted = new Set(request.names);
    state.unsubscribe([...state.names].filter((name) => !wanted.has(name)));
  }
  if (added.length > 0) state.subscribe(added, target, NO_CLAIMS);
}

function compose(context: ResponseContext, bodies: BodyCache): Response | undefined {
  const { state, changes } = context;
  const head = encodeSotwHead(context.head);
  if (state.type.isWholeState) return joinResponse(head, wholeState(context, bodies));
  const isAsked = state.mustAnswer || changes.removals.some((name) => state.exceptions.get(name)?.due);
  if (changes.adds.length === 0 && !isAsked) return undefined;
  const encode = () => encodeSotw(state.type, changes.adds);
  return joinResponse(head, [
    changes.shared === undefined ? encode() : bodies.get(changes.shared, undefined, encode),
  ]);
}

/** All that the client should hold now: the target, the last good version of what it refused, and what must stay for a while. */
function wholeState(context: ResponseContext, bodies: BodyCache): readonly Body[] {
  const { state, target, diffs } = context;
  const kept = encodeSotw(state.type, keptEntries(context));
  const isPlain =
    state.isWildcard && ![...state.exceptions.values()].some((exception) => exception.refused !== '');
  if (isPlain) {
    const whole = diffs.whole(target);
    return [bodies.get(whole, undefined, () => encodeSotw(state.type, whole.set)), kept];
  }
  const entries: Named[] = [];
  for (const [name, entry] of target) {
    if (!state.isSubscribed(name)) continue;
    const exception = state.exceptions.get(name);
    const { version } = entry.resource;
    const isRefused = exception?.refused === version;
    const shown = isRefused
      ? lastKnown((exception?.held ?? []).filter(({ resource }) => resource.version !== version))
      : entry;
    if (shown !== undefined) entries.push([name, shown]);
  }
  return [encodeSotw(state.type, entries), kept];
}

/** What left the target but is not removed yet. */
function keptEntries({ state, target, changes }: ResponseContext): readonly Named[] {
  const removed = new Set(changes.removals);
  const names = new Set([...changes.diff.deleted, ...state.exceptions.keys()]);
  const kept: Named[] = [];
  for (const name of names) {
    const held = target.has(name) || removed.has(name) ? undefined : lastKnown(state.held(name));
    if (held !== undefined) kept.push([name, held]);
  }
  return kept;
}

/**
 * Listeners that a client may still run although it has taken their successors: a listener that names a new route warms
 * until the route comes, and until then the old one serves, with all that it uses. Small: only changed listeners that name
 * routes are in here, between their being sent and their routes being taken.
 */
import type { Resource } from '#xds/resource.ts';
import { isExactly } from './held-resources.ts';
import type { ResourceMap } from './snapshot-diff.ts';
import type { InFlight, TypeState } from './subscription.ts';

/** After this time a successor is taken to run: no client waits that long for a route, or it never asked. */
const LINGER_MS = 60_000;

interface Lingering {
  /** One of these runs. */
  readonly resources: Set<Resource>;
  /** When the successor was first seen to be taken, Unix milliseconds; 0 before. */
  takenAtMs: number;
}

export class LingeringListeners {
  readonly #byName: Map<string, Lingering> = new Map();

  /** New versions of these listeners are on their way. */
  sent(response: InFlight): void {
    for (const [name, entry] of response.adds) {
      const old = response.before.get(name) ?? [];
      if (old.length === 0 || (entry.resource.references ?? []).length === 0) continue;
      const lingering = this.#byName.get(name) ?? { resources: new Set(), takenAtMs: 0 };
      for (const { resource } of old) lingering.resources.add(resource);
      lingering.takenAtMs = 0;
      this.#byName.set(name, lingering);
    }
  }

  /** Forgets those whose successor runs by now, and gives the rest. */
  *remaining(stream: ListenersAndRoutes, nowMs: number): Iterable<Resource> {
    for (const [name, lingering] of this.#byName) {
      if (!stream.listeners.isInFlight(name)) {
        // A client that has not answered the last routes has not had the time to ask for others.
        const isBusy = (stream.routes?.inFlight.length ?? 0) > 0;
        if (lingering.takenAtMs === 0 || isBusy) lingering.takenAtMs = nowMs;
        if (nowMs - lingering.takenAtMs >= LINGER_MS || runs(name, stream)) {
          this.#byName.delete(name);
          continue;
        }
      }
      yield* lingering.resources;
    }
  }
}

/** The two types of a stream that this is about, and where they are going. */
export interface ListenersAndRoutes {
  readonly listeners: TypeState;
  readonly listenerTarget: ResourceMap;
  readonly routes: TypeState | undefined;
  readonly routeTarget: ResourceMap;
}

/** True when the client took the listener as the target has it, with all its routes; or the listener is gone. */
function runs(name: string, { listeners, listenerTarget, routes, routeTarget }: ListenersAndRoutes): boolean {
  const wanted = listenerTarget.get(name);
  if (!isExactly(listeners.held(name), wanted)) return false;
  return (wanted?.resource.references ?? []).every((used) => {
    if (!routeTarget.has(used)) return true;
    return routes !== undefined && !routes.isInFlight(used) && routes.wasAnswered(used);
  });
}

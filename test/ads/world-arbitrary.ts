/** Random worlds that are consistent in themselves: a route names clusters that exist, a listener clusters and routes that exist. */
import fc from 'fast-check';
import type { Content, WorldDescription } from './fake-world.ts';

const CLUSTERS = ['c0', 'c1', 'c2', 'c3', 'c4'];
const ROUTES = ['r0', 'r1', 'r2'];
const LISTENERS = ['l0', 'l1', 'l2'];

const revision = fc.nat(2);
const presence = fc.nat(3).map((n) => n > 0);

interface Draft {
  readonly isPresent: boolean;
  readonly revision: number;
  readonly endpointRevision: number;
  readonly isEds: boolean;
  readonly clusters: readonly string[];
  readonly routes: readonly string[];
}

const draft: fc.Arbitrary<Draft> = fc.record({
  isPresent: presence,
  revision,
  endpointRevision: revision,
  isEds: fc.nat(4).map((n) => n > 0),
  clusters: fc.subarray(CLUSTERS),
  routes: fc.subarray(ROUTES),
});

function drafts(names: readonly string[]): fc.Arbitrary<readonly (Draft & { name: string })[]> {
  return fc
    .tuple(...names.map(() => draft))
    .map((list) =>
      list.map((item, i) => ({ ...item, name: names[i] as string })).filter((item) => item.isPresent),
    );
}

/** A world; `world.map(bump)` style changes are not needed, as names and revisions are few and so collide often. */
export const arbitraryWorld: fc.Arbitrary<WorldDescription> = fc
  .record({ clusters: drafts(CLUSTERS), routes: drafts(ROUTES), listeners: drafts(LISTENERS) })
  .map(({ clusters, routes, listeners }) => {
    const clusterNames = new Set(clusters.map(({ name }) => name));
    const routeNames = new Set(routes.map(({ name }) => name));
    const existing = (names: readonly string[], known: ReadonlySet<string>) =>
      names.filter((name) => known.has(name));
    return {
      clusters: clusters.map(({ name, revision, isEds }): Content => ({ name, revision, isEds })),
      endpoints: clusters
        .filter(({ isEds }) => isEds)
        .map(({ name, endpointRevision }): Content => ({ name, revision: endpointRevision })),
      routes: routes.map(
        ({ name, revision, clusters }): Content => ({
          name,
          revision,
          clusters: existing(clusters, clusterNames),
        }),
      ),
      listeners: listeners.map(
        ({ name, revision, clusters, routes }): Content => ({
          name,
          revision,
          clusters: existing(clusters, clusterNames).slice(0, 1),
          routes: existing(routes, routeNames),
        }),
      ),
    };
  });

/** The same world with every resource in a version never seen before: what was refused is offered anew. */
export function renewed(world: WorldDescription, revision: number): WorldDescription {
  const renew = (contents: readonly Content[]) => contents.map((content) => ({ ...content, revision }));
  return {
    clusters: renew(world.clusters),
    endpoints: renew(world.endpoints),
    listeners: renew(world.listeners),
    routes: renew(world.routes),
  };
}

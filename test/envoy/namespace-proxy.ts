/** The Envoy of a network namespace: a sidecar whose traffic the kernel brings to it. */
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { EnvoyFeed } from '../support/envoy-feed.ts';
import { meshFixture } from '../support/mesh-fixture.ts';
import { envoyPath } from './agent-fixture.ts';
import type { ServeOptions } from './namespace-host.ts';

/** The group by which Istio's rules know the proxy. */
export const PROXY_GROUP = 1337;

export interface NamespaceProxy extends AsyncDisposable {
  /** What about it never changes while it runs. */
  readonly kind: string;
  /** Gives Envoy what follows from these objects, and the names of its listeners back. */
  serve(yaml: string, options: ServeOptions): Promise<readonly string[]>;
}

export async function startNamespaceProxy(kind: string): Promise<NamespaceProxy> {
  const feed = await EnvoyFeed.start(await envoyPath(), { gid: PROXY_GROUP });
  return {
    kind,
    async serve(yaml, { facts, meshConfig = {}, flags = {} }) {
      const fixture = meshFixture({ flags: { ...DEFAULT_MESH_FLAGS, ...flags } });
      fixture.configure(meshConfig);
      fixture.apply(yaml);
      fixture.connect(facts);
      const snapshot = fixture.entries(facts.name);
      await feed.update(snapshot);
      return Array.from(snapshot.listeners, ([name]) => name);
    },
    [Symbol.asyncDispose]: () => feed[Symbol.asyncDispose](),
  };
}

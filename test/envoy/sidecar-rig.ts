/**
 * One sidecar of a mesh in memory as a real Envoy: objects from YAML, listeners at loopback addresses of the test's own. What its
 * application would send goes to `address`, what comes for its application to `own`.
 */
import { type ProxyFacts, meshFixture } from '../support/mesh-fixture.ts';
import { EnvoyFeed } from '../support/envoy-feed.ts';
import { envoyPath } from './agent-fixture.ts';
import { freePort, ownAddress } from './static-envoy.ts';

export interface SidecarRig extends AsyncDisposable {
  /** Where outbound listeners are. */
  readonly address: string;
  /** The workload's own address. */
  readonly own: string;
  /** Port of the proxy that the application is told to use. */
  readonly proxyPort: number;
  /** A port that is free at every address of the rig. */
  port(): Promise<number>;
  /**
   * Makes these the mesh's only objects and config, and waits until Envoy has all of it. `facts` say what else is true of the proxy.
   */
  serve(yaml: string, meshConfig?: object, facts?: Partial<ProxyFacts>): Promise<void>;
}

/** Starts Envoy for a proxy in namespace `default`, a sidecar unless told otherwise. */
export async function openSidecarRig(): Promise<SidecarRig> {
  const feed = await EnvoyFeed.start(await envoyPath());
  const [address, own] = [ownAddress(), ownAddress()];
  const proxyPort = await freePort(own);
  const place = { ip: own, outboundAddress: address, httpProxyPort: proxyPort };
  return {
    address,
    own,
    proxyPort,
    port: () => freePort('0.0.0.0'),
    async serve(yaml, meshConfig = {}, facts = {}) {
      const fixture = meshFixture();
      fixture.configure(meshConfig);
      fixture.apply(yaml);
      fixture.connect({ name: 'web', interceptionMode: 'NONE', ...place, ...facts });
      await feed.accept(fixture.entries('web'), keepSockets);
    },
    [Symbol.asyncDispose]: () => feed[Symbol.asyncDispose](),
  };
}

/** Listeners listen as they are. */
function keepSockets(): void {}

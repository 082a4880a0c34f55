/**
 * The HTTP doors of a control plane: `/ready` and `/debug/*` on the HTTP port, `/metrics` and `/version` on the
 * monitoring port; every port answers all of them, debug pages to callers on this machine only.
 */
import type { Logger } from '#base/logger.ts';
import { configDump } from '#doors/config-dump.ts';
import { debugRoutes, type DebugSource } from '#doors/debug.ts';
import { type Readiness, readyRoute } from '#doors/health.ts';
import { HttpDoor, loopbackKeeper, type Route, textAnswer } from '#doors/http-server.ts';
import { configPage, endpointPage, registryPage } from '#doors/model-pages.ts';
import type { MetricRegistry } from '#doors/prometheus-text.ts';
import { debugConnection, syncStatus } from '#doors/sync-pages.ts';
import type { Mesh } from './mesh.ts';
import type { HostPort, XdsDoor } from './xds-door.ts';

export interface DiscoveryDoorOptions {
  readonly http: HostPort | undefined;
  readonly monitoring: HostPort | undefined;
  readonly mesh: Mesh;
  readonly door: XdsDoor;
  readonly metrics: MetricRegistry;
  readonly version: string;
  readonly readiness: Readiness;
  readonly hasDebugPages: boolean;
  readonly log: Logger;
}

export interface DiscoveryDoors extends AsyncDisposable {
  /** Port of the HTTP door, 0 when it is shut. */
  readonly httpPort: number;
}

/** Opens the doors that have an address. Errors: a port that is taken rejects with the system's error. */
export async function openDiscoveryDoors(options: DiscoveryDoorOptions): Promise<DiscoveryDoors> {
  const { metrics, version, readiness, log } = options;
  const page = (): { status: number; contentType: string; body: string } => {
    return { status: 200, contentType: metrics.contentType, body: metrics.print() };
  };
  const routes: readonly Route[] = [
    readyRoute(readiness),
    { path: '/metrics', access: 'open', answer: page },
    { path: '/version', access: 'open', answer: () => textAnswer(200, `${version}\n`) },
    ...(options.hasDebugPages ? debugRoutes(debugSource(options)) : []),
  ];
  const doors: HttpDoor[] = [];
  const open = async (address: HostPort | undefined): Promise<number> => {
    if (address === undefined) return 0;
    const door = new HttpDoor({ routes, keeper: loopbackKeeper(), log });
    doors.push(door);
    return door.listen(address.host, address.port);
  };
  const httpPort = await open(options.http);
  await open(options.monitoring);
  return {
    httpPort,
    async [Symbol.asyncDispose]() {
      await Promise.all(doors.map((door) => door[Symbol.asyncDispose]()));
    },
  };
}

function debugSource({ mesh, door }: DiscoveryDoorOptions): DebugSource {
  const { serviceModel, snapshots } = mesh.graph;
  return {
    syncz: () => Array.from(door.ads.connections, syncStatus),
    connections: () => Array.from(door.ads.connections, debugConnection),
    configz: () => configPage(mesh.objects.all()),
    registryz: () => registryPage(serviceModel.services.all().values()),
    endpointz: () => endpointPage(serviceModel.services.all(), serviceModel.endpoints.all()),
    configDump(proxyId) {
      const named = [...door.ads.connections].find(
        ({ node: { proxy } }) => `${proxy.name}.${proxy.namespace}` === proxyId,
      );
      const snapshot = named === undefined ? undefined : snapshots.get(named.node.proxy.id);
      return snapshot === undefined ? undefined : configDump(snapshot);
    },
  };
}

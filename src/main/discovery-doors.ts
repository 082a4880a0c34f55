/**
 * The HTTP doors of a control plane: `/ready` and `/debug/*` on the HTTP port, `/metrics` and `/version` on the
 * monitoring port; every port answers all of them, debug pages to those only whom doors/debug-access.ts lets in.
 */
import type { Logger } from '#base/logger.ts';
import { configDump, partialDump } from '#doors/config-dump.ts';
import { type DebugAccess, debugKeeper } from '#doors/debug-access.ts';
import { debugRoutes, type DebugSource } from '#doors/debug.ts';
import { type Readiness, readyRoute } from '#doors/health.ts';
import { type DoorKeeper, HttpDoor, jsonAnswer, type Route, textAnswer } from '#doors/http-server.ts';
import { configPage, endpointPage, registryPage } from '#doors/model-pages.ts';
import type { MetricRegistry } from '#doors/prometheus-text.ts';
import { debugConnection, syncStatus } from '#doors/sync-pages.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
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
  readonly debugAccess: DebugAccessSettings;
  /** Metrics are shown to this machine only, and to the system namespace. Default: to everybody. */
  readonly hasLocalMetrics?: boolean;
  readonly log: Logger;
}

/** Who sees debug pages besides the system namespace. */
export type DebugAccessSettings = Pick<DebugAccess, 'isByNamespace' | 'allowedNamespaces'>;

/** Only identities of the system namespace see everything. */
export const STRICT_DEBUG_ACCESS: DebugAccessSettings = { isByNamespace: true, allowedNamespaces: [] };

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
    { path: '/metrics', access: options.hasLocalMetrics === true ? 'guarded' : 'open', answer: page },
    { path: '/version', access: 'open', answer: () => textAnswer(200, `${version}\n`) },
    ...(options.hasDebugPages ? debugRoutes(debugSource(options)) : []),
  ];
  const doors: HttpDoor[] = [];
  const keeper = keeperOf(options);
  const open = async (address: HostPort | undefined): Promise<number> => {
    if (address === undefined) return 0;
    const door = new HttpDoor({ routes, keeper, log });
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

/** Without an authority nobody can prove who they are: only callers on this machine see debug pages then. */
function keeperOf({ door, mesh, debugAccess }: DiscoveryDoorOptions): DoorKeeper {
  return debugKeeper({
    ...debugAccess,
    systemNamespace: () => mesh.meshConfig.get(MESH_KEY)?.rootNamespace || 'istio-system',
    async identify(authorization) {
      const { authenticator } = door.authority ?? {};
      const caller = await authenticator?.authenticate({ authorization, certificate: undefined });
      return caller?.ok === true ? caller.value.identity.namespace : undefined;
    },
  });
}

function debugSource({ mesh, door }: DiscoveryDoorOptions): DebugSource {
  const { serviceModel, snapshots } = mesh.graph;
  return {
    syncz: () => Array.from(door.ads.connections, syncStatus),
    connections: () => Array.from(door.ads.connections, debugConnection),
    configz: () => configPage(mesh.objects.all()),
    registryz: () => registryPage(serviceModel.services.all().values()),
    endpointz: () => endpointPage(serviceModel.services.all(), serviceModel.endpoints.all()),
    configDump({ proxyId, namespace, part }) {
      const named = [...door.ads.connections].find(
        ({ node: { proxy } }) =>
          `${proxy.name}.${proxy.namespace}` === proxyId &&
          (namespace === undefined || proxy.namespace === namespace),
      );
      const snapshot = named === undefined ? undefined : snapshots.get(named.node.proxy.id);
      if (snapshot === undefined) return undefined;
      return part === 'all' ? configDump(snapshot) : partialDump(snapshot, part);
    },
    more: [
      {
        name: 'trustbundlez',
        help: 'How far connected proxies are with the newest trust bundle',
        read: () => jsonAnswer(door.trustBundle?.status ?? {}),
      },
    ],
  };
}

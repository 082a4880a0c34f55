/**
 * The /debug pages of the control plane, in Istio's JSON shapes where tools read them (Kiali, istioctl). What they show comes
 * from functions that main/ gives; who may see it is the DoorKeeper's business: every page is guarded.
 * Source: istio pilot/pkg/xds/debug.go.
 */
import { type DoorAnswer, type DoorRequest, jsonAnswer, type Route, textAnswer } from './http-server.ts';

/** One entry of /debug/syncz: nonces of the last response sent and taken, per type. */
export interface SyncStatus {
  readonly cluster_id: string;
  readonly proxy: string;
  readonly proxy_type: string;
  readonly istio_version: string;
  readonly cluster_sent: string;
  readonly cluster_acked: string;
  readonly listener_sent: string;
  readonly listener_acked: string;
  readonly route_sent: string;
  readonly route_acked: string;
  readonly endpoint_sent: string;
  readonly endpoint_acked: string;
  readonly extensionconfig_sent: string;
  readonly extensionconfig_acked: string;
}

/** One entry of /debug/connections and /debug/adsz. */
export interface DebugConnection {
  readonly connectionId: string;
  /** RFC 3339. */
  readonly connectedAt: string;
  readonly address: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Names of the types that it watches. */
  readonly watches?: readonly string[];
}

/** What the pages show, as plain JSON data. */
export interface DebugSource {
  syncz(): readonly SyncStatus[];
  connections(): readonly DebugConnection[];
  /** All objects of Istio's kinds. */
  configz(): unknown;
  /** All services. */
  registryz(): unknown;
  /** All endpoints by service. */
  endpointz(): unknown;
  /** What a proxy should hold, as Envoy's admin API prints it (or a promise of it); undefined when it is not connected here. */
  configDump(proxyId: string): unknown;
  /** Pages of other parts. */
  readonly more?: readonly DebugPage[];
}

export interface DebugPage {
  /** Path below /debug/. */
  readonly name: string;
  readonly help: string;
  read(request: DoorRequest): DoorAnswer | Promise<DoorAnswer>;
}

/** The routes of all pages, and of /debug, which lists them. */
export function debugRoutes(source: DebugSource): readonly Route[] {
  const pages: readonly DebugPage[] = [
    page('syncz', 'Synchronization status of all Envoys connected here', () => source.syncz()),
    page('connections', 'Proxies connected here', () => clients(source.connections(), false)),
    page('adsz', 'Proxies connected here, and what they watch', () => clients(source.connections(), true)),
    page('configz', 'Objects of the mesh', () => source.configz()),
    page('registryz', 'Services of the mesh', () => source.registryz()),
    page('endpointz', 'Endpoints of the mesh', () => source.endpointz()),
    {
      name: 'config_dump',
      help: 'What the proxy named by ?proxyID= should hold, in the form of the Envoy admin API',
      read: (request) => dumpConfig(source, request.query.get('proxyID')),
    },
    ...(source.more ?? []),
  ];
  const routes = pages.map(
    ({ name, read }): Route => ({
      path: `/debug/${name}`,
      access: 'guarded',
      answer: (request) => read(request),
    }),
  );
  return [{ path: '/debug', access: 'guarded', answer: () => index(pages) }, ...routes];
}

function page(name: string, help: string, value: () => unknown): DebugPage {
  return { name, help, read: () => jsonAnswer(value()) };
}

function index(pages: readonly DebugPage[]): DoorAnswer {
  return textAnswer(200, pages.map(({ name, help }) => `/debug/${name}  ${help}\n`).join(''));
}

function clients(connections: readonly DebugConnection[], isFull: boolean): unknown {
  const shown = connections.map(({ connectionId, connectedAt, address, labels, watches }) =>
    isFull ? { connectionId, connectedAt, address, labels, watches } : { connectionId, connectedAt, address },
  );
  return { totalClients: connections.length, clients: shown };
}

async function dumpConfig(source: DebugSource, proxyId: string | null): Promise<DoorAnswer> {
  if (proxyId === null || proxyId === '') {
    return textAnswer(400, 'You must provide a proxyID in the query string\n');
  }
  const dump = await source.configDump(proxyId);
  if (dump !== undefined) return jsonAnswer(dump);
  return textAnswer(
    404,
    'Proxy not connected to this Pilot instance. It may be connected to another instance.\n',
  );
}

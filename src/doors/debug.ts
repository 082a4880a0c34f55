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
  /** What a proxy should hold, as Envoy's admin API prints it (or a promise of it); undefined when no such proxy is connected here. */
  configDump(wanted: WantedDump): unknown;
  /** Pages of other parts. */
  readonly more?: readonly DebugPage[];
}

/** What is dumped of a proxy: all, or its endpoints, name table, extension configurations. */
export type DumpPart = 'all' | 'endpoints' | 'nameTable' | 'extensions';

/** What is to be dumped. */
export interface WantedDump {
  /** `name.namespace`. */
  readonly proxyId: string;
  /** The namespace that the proxy must be of; undefined for any. */
  readonly namespace: string | undefined;
  readonly part: DumpPart;
}

export interface DebugPage {
  /** Path below /debug/. */
  readonly name: string;
  readonly help: string;
  /** Whoever may see one namespace only may read it, about that namespace. Default: false. */
  readonly isByNamespace?: boolean;
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
    dump(source, 'config_dump', 'all', 'What the proxy named by ?proxyID= should hold'),
    dump(source, 'edsz', 'endpoints', 'The endpoints of the proxy named by ?proxyID='),
    dump(source, 'ndsz', 'nameTable', 'The name table of the proxy named by ?proxyID='),
    // As in Istio, extensions are not shown to those who see one namespace only.
    {
      ...dump(source, 'ecdsz', 'extensions', 'The extensions of the proxy named by ?proxyID='),
      isByNamespace: false,
    },
    ...(source.more ?? []),
  ];
  const routes = pages.map(
    ({ name, read, isByNamespace = false }): Route => ({
      path: `/debug/${name}`,
      access: isByNamespace ? 'by-namespace' : 'guarded',
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

function dump(source: DebugSource, name: string, part: DumpPart, what: string): DebugPage {
  const help = `${what}, in the form of the Envoy admin API`;
  return { name, help, isByNamespace: true, read: (request) => dumpConfig(source, part, request) };
}

async function dumpConfig(
  source: DebugSource,
  part: DumpPart,
  { query, namespace }: DoorRequest,
): Promise<DoorAnswer> {
  const proxyId = query.get('proxyID');
  if (proxyId === null || proxyId === '') {
    return textAnswer(400, 'You must provide a proxyID in the query string\n');
  }
  // A proxy of another namespace is answered for as one that is not there.
  const dumped = await source.configDump({ proxyId, namespace, part });
  if (dumped !== undefined) return jsonAnswer(dumped);
  return textAnswer(
    404,
    'Proxy not connected to this Pilot instance. It may be connected to another instance.\n',
  );
}

/**
 * All Gateways that configure one proxy as one: which ports it binds, which servers share them, which route tables they
 * need. Servers that cannot share a port are left out, the older Gateway wins, and each is reported.
 * Source: istio pilot/pkg/model/gateway.go mergeGateways.
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import type { Gateway, GatewayServer } from '#model/gateway.ts';
import { isHttp } from '#model/service-protocol.ts';
import type { Protocol } from '#model/service.ts';
import { isHttpServer, isTlsServer, mode, routeTableName, terminatesHttps } from './gateway-server.ts';
import { boundPort, type GatewayView } from './gateway-view.ts';

/** One place that the proxy listens on for one protocol. Those with equal bind and number make up one listener. */
export interface MergedPort {
  readonly number: number;
  readonly protocol: Protocol;
  readonly bind: string;
  readonly servers: readonly GatewayServer[];
  /** Those that are served over HTTP/3 as well, on the UDP port of the same number. */
  readonly quicServers: readonly GatewayServer[];
  /** Table of plain HTTP servers, '' where each server has its own. */
  readonly routeTable: string;
}

export interface MergedGateway {
  readonly ports: readonly MergedPort[];
  /** Route table -> its servers; one except for plain HTTP. */
  readonly tables: readonly RouteTableServers[];
  readonly diagnostics: readonly Diagnostic[];
}

export interface RouteTableServers {
  readonly name: string;
  readonly servers: readonly GatewayServer[];
  /** Answers tell clients that the same is there over HTTP/3. */
  readonly advertisesHttp3: boolean;
}

/** Merges Gateways that come in order of precedence. */
export function mergeGateways(
  gateways: readonly Gateway[],
  view: GatewayView,
  quicListeners: boolean,
): MergedGateway {
  const merger = new GatewayMerger(quicListeners ? view.udpPorts : []);
  for (const gateway of gateways) {
    for (const server of gateway.servers) merger.add(server, boundPort(view, server.port));
  }
  return merger.result();
}

interface PortState {
  readonly number: number;
  readonly protocol: Protocol;
  readonly bind: string;
  readonly servers: GatewayServer[];
  readonly quicServers: GatewayServer[];
  routeTable: string;
}

class GatewayMerger {
  readonly #ports = new Map<string, PortState>();
  readonly #tables = new Map<string, GatewayServer[]>();
  /** The plain server that decides what else may share a port. */
  readonly #plain = new Map<number, PortState>();
  readonly #known = new Set<number>();
  /** `port|host` -> bind: no two filter chains of a port may match one server name. */
  readonly #tlsHosts = new Map<string, string>();
  readonly #diagnostics: Diagnostic[] = [];
  readonly #http3Tables = new Set<string>();
  readonly #udpPorts: readonly number[];

  constructor(udpPorts: readonly number[]) {
    this.#udpPorts = udpPorts;
  }

  add(server: GatewayServer, number: number): void {
    const table = routeTableName(server, number);
    if (server.tls !== undefined && !this.#takeTlsHosts(server, number)) return;
    const port = { number, protocol: server.protocol, bind: server.bind };
    if (!this.#known.has(number)) {
      this.#known.add(number);
      this.#open(server, port, table);
      return;
    }
    const plain = this.#plain.get(number);
    if (plain !== undefined) this.#joinPlain(server, port, table, plain);
    else if (!isTlsServer(server)) this.#open(server, port, table);
    else this.#joinTls(server, port, table);
  }

  result(): MergedGateway {
    return {
      ports: [...this.#ports.values()],
      tables: [...this.#tables].map(([name, servers]) => ({
        name,
        servers,
        advertisesHttp3: this.#http3Tables.has(name),
      })),
      diagnostics: this.#diagnostics,
    };
  }

  /** The first server of a port, bind and protocol. */
  #open(server: GatewayServer, port: Place, table: string): void {
    const state: PortState = { ...port, servers: [server], quicServers: [], routeTable: table };
    if (!isTlsServer(server)) this.#plain.set(port.number, state);
    if (isHttpServer(server)) this.#tables.set(table, [server]);
    this.#ports.set(placeKey(port), state);
    this.#offerHttp3(state, server, table);
  }

  #joinPlain(server: GatewayServer, port: Place, table: string, plain: PortState): void {
    if (plain.bind !== port.bind) {
      const state = this.#ports.get(placeKey(port));
      if (state === undefined) this.#open(server, port, table);
      else this.#addToTable(state, server, table);
      return;
    }
    const canShare = isHttp(plain.protocol) && isHttp(port.protocol);
    if (!canShare || table === '') {
      this.#refuse('LTN5010', server, port, { protocol: plain.protocol });
      return;
    }
    this.#addToTable(plain, server, table);
  }

  #joinTls(server: GatewayServer, port: Place, table: string): void {
    if (isHttpServer(server)) {
      if (this.#tables.has(table)) {
        this.#refuse('LTN5011', server, port, { portName: server.portName });
        return;
      }
      this.#tables.set(table, [server]);
    }
    const state = this.#ports.get(placeKey(port)) ?? {
      ...port,
      servers: [],
      quicServers: [],
      routeTable: '',
    };
    state.servers.push(server);
    this.#ports.set(placeKey(port), state);
    this.#offerHttp3(state, server, table);
  }

  /**
   * Envoy can't ask for a client's certificate over QUIC: servers that want one are not there over HTTP/3, or everybody could
   * come in that way. Istio serves them without the check.
   */
  #offerHttp3(state: PortState, server: GatewayServer, table: string): void {
    if (!terminatesHttps(server) || mode(server) !== 'SIMPLE') return;
    if (!this.#udpPorts.includes(server.port)) return;
    state.quicServers.push(server);
    this.#http3Tables.add(table);
  }

  #addToTable(state: PortState, server: GatewayServer, table: string): void {
    state.servers.push(server);
    state.routeTable = table;
    this.#tables.set(table, [...(this.#tables.get(table) ?? []), server]);
  }

  #takeTlsHosts(server: GatewayServer, number: number): boolean {
    const duplicate = server.hosts.find((host) => this.#tlsHosts.get(`${number}|${host}`) === server.bind);
    if (duplicate !== undefined) {
      this.#refuse(
        'LTN5012',
        server,
        { number, protocol: server.protocol, bind: server.bind },
        { host: duplicate },
      );
      return false;
    }
    for (const host of server.hosts) this.#tlsHosts.set(`${number}|${host}`, server.bind);
    return true;
  }

  #refuse(code: string, server: GatewayServer, port: Place, args: Readonly<Record<string, string>>): void {
    const { path, ...resource } = server.cause;
    this.#diagnostics.push({
      code,
      severity: 'warning',
      resource,
      path,
      args: { port: String(port.number), ...args },
    });
  }
}

type Place = Pick<PortState, 'number' | 'protocol' | 'bind'>;

function placeKey(place: Place): string {
  return `${place.number}|${place.protocol}|${place.bind}`;
}

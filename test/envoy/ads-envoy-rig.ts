/**
 * A stock Envoy whose only configuration source is our xDS server, fed from snapshots written by hand. Everything is on
 * loopback; disposing of the rig ends Envoy, servers and upstreams.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { noMetrics } from '#ads/ads-metrics.ts';
import { AdsServer } from '#ads/ads-server.ts';
import { GrpcServer } from '#ads/grpc-server.ts';
import type { NackEvent } from '#ads/nack-event.ts';
import { systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { ok } from '#base/result.ts';
import { seededRng } from '#base/rng.ts';
import { emptyMap, mapOf } from '#collections/persistent-map.ts';
import { Cluster_DiscoveryType, ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '#proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { RouterSchema } from '#proto/envoy/extensions/filters/http/router/v3/router_pb.ts';
import {
  HttpConnectionManagerSchema,
  HttpFilterSchema,
} from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { adsConfigSource } from '#xds/config-source.ts';
import { durationFromMs } from '#xds/duration.ts';
import { encodeResource, packAny } from '#xds/encode.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import {
  type Resource,
  type ResourceEntry,
  TYPE_CLUSTER,
  TYPE_ENDPOINT,
  TYPE_LISTENER,
  TYPE_ROUTE,
} from '#xds/resource.ts';
import { FakeSource } from '../ads/fake-world.ts';
import { envoyPath } from './agent-fixture.ts';
import { DELTA_METHOD, OPEN_DOOR, SOTW_METHOD } from '../ads/grpc-rig.ts';

const NODE_ID = 'sidecar~127.0.0.1~app.default~default.svc.cluster.local';

export function edsCluster(name: string, connectTimeoutMs = 1_000): Resource {
  const message = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: adsConfigSource() },
    connectTimeout: durationFromMs(connectTimeoutMs),
  });
  return encodeResource(ClusterSchema, message, TYPE_CLUSTER, name);
}

export function assignment(name: string, ...ports: readonly number[]): Resource {
  const lbEndpoints = ports.map((portValue) => ({
    hostIdentifier: {
      case: 'endpoint' as const,
      value: {
        address: {
          address: {
            case: 'socketAddress' as const,
            value: { address: '127.0.0.1', portSpecifier: { case: 'portValue' as const, value: portValue } },
          },
        },
      },
    },
  }));
  const message = create(ClusterLoadAssignmentSchema, { clusterName: name, endpoints: [{ lbEndpoints }] });
  return encodeResource(ClusterLoadAssignmentSchema, message, TYPE_ENDPOINT, name);
}

export function route(name: string, cluster: string): Resource {
  const action = {
    case: 'route' as const,
    value: { clusterSpecifier: { case: 'cluster' as const, value: cluster } },
  };
  const match = { pathSpecifier: { case: 'prefix' as const, value: '/' } };
  const message = create(RouteConfigurationSchema, {
    name,
    virtualHosts: [{ name: 'all', domains: ['*'], routes: [{ match, action }] }],
  });
  return encodeResource(RouteConfigurationSchema, message, TYPE_ROUTE, name, [cluster]);
}

export function listener(name: string, port: number, routeName: string, statPrefix = 'test'): Resource {
  const router = packAny(RouterSchema, create(RouterSchema));
  const hcm = create(HttpConnectionManagerSchema, {
    statPrefix,
    routeSpecifier: { case: 'rds', value: { configSource: adsConfigSource(), routeConfigName: routeName } },
    httpFilters: [
      create(HttpFilterSchema, { name: 'router', configType: { case: 'typedConfig', value: router } }),
    ],
  });
  const message = create(ListenerSchema, {
    name,
    address: {
      address: {
        case: 'socketAddress',
        value: { address: '127.0.0.1', portSpecifier: { case: 'portValue', value: port } },
      },
    },
    filterChains: [
      {
        filters: [
          {
            name: 'hcm',
            configType: { case: 'typedConfig', value: packAny(HttpConnectionManagerSchema, hcm) },
          },
        ],
      },
    ],
  });
  return encodeResource(ListenerSchema, message, TYPE_LISTENER, name, [routeName]);
}

export function snapshot(...resources: readonly Resource[]): ProxySnapshot {
  const map = (typeUrl: string) =>
    mapOf(
      resources
        .filter((r) => r.typeUrl === typeUrl)
        .map((resource): [string, ResourceEntry] => [resource.name, { resource, causes: [] }]),
    );
  return {
    clusters: map(TYPE_CLUSTER),
    endpoints: map(TYPE_ENDPOINT),
    listeners: map(TYPE_LISTENER),
    routes: map(TYPE_ROUTE),
    nameTable: emptyMap(),
    trustBundle: emptyMap(),
    secrets: emptyMap(),
    secretsOwner: '',
    extensions: emptyMap(),
  };
}

/** A line per response and per answer, in the order of their happening, for asserting on order. */
export class EnvoyRig implements AsyncDisposable {
  readonly source: FakeSource = new FakeSource();
  readonly nacks: NackEvent[] = [];
  readonly pushes: string[] = [];
  readonly ads: AdsServer;
  readonly #grpc: GrpcServer;
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'ads-envoy-'));
  readonly #upstreams: Server[] = [];
  #envoy: ChildProcess | undefined;
  #adminPort = 0;
  log = '';

  constructor() {
    const clock = systemClock();
    const metrics = { ...noMetrics(), pushed: ({ type }: { type: string }) => this.pushes.push(type) };
    this.ads = new AdsServer({
      source: this.source,
      admission: { admit: (_peer, proxy) => ok(proxy) },
      clock,
      log: silentLogger(),
      metrics,
      controlPlane: 'lateen',
      onNack: (event) => this.nacks.push(event),
    });
    this.#grpc = new GrpcServer({
      authenticator: OPEN_DOOR,
      clock,
      rng: seededRng(1),
      log: silentLogger(),
      metrics,
      limits: { graceMs: 200 },
    });
    this.#grpc.stream(DELTA_METHOD, (stream, peer) => this.ads.serveDelta(stream, peer));
    this.#grpc.stream(SOTW_METHOD, (stream, peer) => this.ads.serveSotw(stream, peer));
  }

  async start(apiType: 'DELTA_GRPC' | 'GRPC'): Promise<void> {
    const { port } = await this.#grpc.listenTcp('127.0.0.1', 0);
    const config = join(this.#folder, 'envoy.json');
    writeFileSync(config, JSON.stringify(bootstrap(port, apiType)));
    const addressFile = join(this.#folder, 'admin');
    const args = [
      '-c',
      config,
      '--admin-address-path',
      addressFile,
      '--use-dynamic-base-id',
      '--concurrency',
      '1',
      '-l',
      'warning',
      '--drain-time-s',
      '2',
    ];
    this.#envoy = spawn(await envoyPath(), args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#envoy.stderr?.on('data', (chunk: Buffer) => {
      this.log = (this.log + chunk.toString()).slice(-20_000);
    });
    await until('the admin address', () => {
      try {
        this.#adminPort = Number(readFileSync(addressFile, 'utf8').split(':').at(-1));
      } catch {
        return false;
      }
      return this.#adminPort > 0;
    });
  }

  publish(...resources: readonly Resource[]): void {
    this.source.publish(snapshot(...resources), NODE_ID);
  }

  /** True when Envoy has answered everything. */
  synced(): Promise<void> {
    return until('Envoy to be in sync', () => this.ads.connections.synced(NODE_ID));
  }

  async isLive(): Promise<boolean> {
    return (await this.admin('/server_info')).includes('"LIVE"');
  }

  reconnect(): void {
    assert.equal(this.ads.disconnect(NODE_ID, 'test'), 1);
  }

  async admin(path: string): Promise<string> {
    return (await httpGet(this.#adminPort, path)).body;
  }

  async stat(name: string): Promise<number> {
    return Number(/: (\d+)/.exec(await this.admin(`/stats?filter=^${name}$`))?.[1]);
  }

  /** An HTTP server that answers its name; returns its port. */
  async upstream(name: string): Promise<number> {
    const server = createServer((_request, response) => response.end(name));
    this.#upstreams.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const envoy = this.#envoy;
    if (envoy !== undefined && envoy.exitCode === null) {
      const exited = new Promise((resolve) => envoy.once('exit', resolve));
      envoy.kill('SIGKILL');
      await exited;
    }
    this.ads[Symbol.dispose]();
    await this.#grpc[Symbol.asyncDispose]();
    for (const server of this.#upstreams) {
      server.closeAllConnections();
      server.close();
    }
    rmSync(this.#folder, { recursive: true });
  }
}

/** A free port; nobody else takes it before Envoy does, as good as always. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export function httpGet(port: number, path = '/'): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent: false, timeout: 5_000 }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', reject);
  });
}

/** Looks every few milliseconds, for up to twenty seconds. */
export async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 20_000;
  while (!(await isTrue())) {
    if (performance.now() > endMs) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function bootstrap(port: number, apiType: string): unknown {
  const endpoint = { address: { socket_address: { address: '127.0.0.1', port_value: port } } };
  return {
    node: { id: NODE_ID, cluster: 'app.default' },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    dynamic_resources: {
      ads_config: {
        api_type: apiType,
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
      cds_config: { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' },
      lds_config: { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' },
    },
    static_resources: {
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          connect_timeout: '1s',
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: { cluster_name: 'xds', endpoints: [{ lb_endpoints: [{ endpoint }] }] },
        },
      ],
    },
  };
}

/**
 * pilot-discovery as a program of its own on a folder of YAML, and a real Envoy as its one gateway proxy, on loopback
 * addresses of the test's own. Stopping leaves neither process nor file.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get, type IncomingHttpHeaders, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { resolveEnvoy } from '#envoy/envoy-provider.ts';
import { freePort, ownAddress } from './static-envoy.ts';

const root = join(import.meta.dirname, '..', '..');
const LIMIT_MS = 20_000;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Asks with a Host header of its own. A refused connection is status 0. */
export function ask(address: string, port: number, path: string, host: string): Promise<Answer> {
  return new Promise((resolve) => {
    const request = get(
      { host: address, port, path, headers: { host }, agent: false, timeout: 5000 },
      (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
      },
    );
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve({ status: 0, headers: {}, body: '' }));
  });
}

/** Asks again and again until the answer is as wanted; fails after the limit with the last answer. */
export async function waitFor<T>(
  what: string,
  look: () => Promise<T>,
  wanted: (value: T) => boolean,
): Promise<T> {
  const until = performance.now() + LIMIT_MS;
  for (;;) {
    const value = await look();
    if (wanted(value)) return value;
    if (performance.now() > until) throw new Error(`${what}: still ${JSON.stringify(value)}`);
    await new Promise(setImmediate);
  }
}

export interface DiscoveryFixture extends AsyncDisposable {
  /** Where the gateway's servers listen. */
  readonly address: string;
  readonly gatewayPort: number;
  readonly folder: string;
  readonly xdsPort: number;
  readonly httpPort: number;
  /** Writes a file as editors do: beside it, then renamed into place. */
  save(name: string, yaml: string): void;
  /** A server on the test's address that says its name. */
  backend(name: string): Promise<number>;
  startGateway(): Promise<void>;
  /** Starts an Envoy that is configured over ADS; `node` as an agent writes it. Its admin port is `adminPort`. */
  startProxy(node: ProxyNode): Promise<void>;
  readonly adminPort: number;
}

/** The node of a bootstrap. */
export interface ProxyNode {
  readonly id: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly locality?: Readonly<Record<string, string>>;
}

/** Starts pilot-discovery on an empty folder. */
export async function startDiscovery(): Promise<DiscoveryFixture> {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-discovery-'));
  const address = ownAddress();
  const [httpPort, xdsPort, monitoringPort, gatewayPort, adminPort] = await Promise.all(
    [1, 2, 3, 4, 5].map(() => freePort(address)),
  );
  const children: ChildProcess[] = [];
  const servers: Server[] = [];
  const start = (command: string, args: readonly string[]): ChildProcess => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    children.push(child);
    return child;
  };
  const flags = [
    '--registries=',
    `--configDir=${join(folder, 'mesh')}`,
    '--meshConfig=',
    '--secureGRPCAddr=',
  ];
  const doors = [`--httpAddr=${address}:${httpPort}`, `--grpcAddr=${address}:${xdsPort}`];
  mkdirSync(join(folder, 'mesh'));
  const program = join(root, 'src', 'main', 'pilot-discovery.ts');
  start(process.execPath, [
    program,
    'discovery',
    ...flags,
    ...doors,
    `--monitoringAddr=${address}:${monitoringPort}`,
  ]);
  await waitFor(
    'ready',
    () => ask(address, httpPort!, '/ready', 'x'),
    (answer) => answer.status === 200,
  );
  const fixture: DiscoveryFixture = {
    address,
    gatewayPort: gatewayPort!,
    xdsPort: xdsPort!,
    httpPort: httpPort!,
    folder: join(folder, 'mesh'),
    save(name, yaml) {
      const path = join(folder, 'mesh', name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(`${path}.tmp`, yaml);
      renameSync(`${path}.tmp`, path);
    },
    async backend(name) {
      const server = createServer((_request, response) => response.end(name));
      servers.push(server);
      const port = await freePort(address);
      server.listen(port, address);
      await once(server, 'listening');
      return port;
    },
    adminPort: adminPort!,
    startGateway: () => fixture.startProxy(gatewayNode(address)),
    async startProxy(node) {
      const file = join(folder, 'bootstrap.json');
      const ports = { xds: xdsPort!, admin: adminPort! };
      writeFileSync(file, JSON.stringify(proxyBootstrap(node, address, ports)));
      const binary = await resolveEnvoy({
        pathDirs: [],
        cacheDir: join(root, '.cache'),
        ...(process.env['ENVOY_PATH'] === undefined ? {} : { envoyPath: process.env['ENVOY_PATH'] }),
      });
      if (!binary.ok) throw new Error(binary.error.text);
      start(binary.value.path, ['-c', file, '--use-dynamic-base-id', '--concurrency', '1', '-l', 'error']);
    },
    async [Symbol.asyncDispose]() {
      for (const server of servers) server.close();
      await Promise.all(
        children.reverse().map(async (child) => {
          if (child.exitCode !== null || child.signalCode !== null) return;
          child.kill('SIGTERM');
          const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
          await once(child, 'exit');
          clearTimeout(timer);
        }),
      );
      rmSync(folder, { recursive: true });
    },
  };
  return fixture;
}

function gatewayNode(address: string): ProxyNode {
  return {
    id: `router~${address}~gateway.istio-system~istio-system.svc.cluster.local`,
    metadata: {
      NAME: 'gateway',
      NAMESPACE: 'istio-system',
      LABELS: { istio: 'ingressgateway' },
      INTERCEPTION_MODE: 'NONE',
      INSTANCE_IPS: address,
    },
  };
}

function proxyBootstrap(
  node: ProxyNode,
  address: string,
  ports: { readonly xds: number; readonly admin: number },
): object {
  const ads = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' };
  const http2 = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  return {
    node: { cluster: 'test', ...node },
    admin: { address: { socket_address: { address, port_value: ports.admin } } },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }],
      },
      cds_config: ads,
      lds_config: ads,
    },
    static_resources: {
      clusters: [
        {
          name: 'xds-grpc',
          type: 'STATIC',
          connect_timeout: '1s',
          typed_extension_protocol_options: {
            [http2]: {
              '@type': `type.googleapis.com/${http2}`,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: {
            cluster_name: 'xds-grpc',
            endpoints: [
              {
                lb_endpoints: [
                  { endpoint: { address: { socket_address: { address, port_value: ports.xds } } } },
                ],
              },
            ],
          },
        },
      ],
    },
  };
}

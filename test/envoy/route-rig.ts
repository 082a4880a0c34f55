/**
 * For tests of routes: pilot-discovery on a folder, a real Envoy as the sidecar `client` (namespace default, HTTP proxy listener),
 * and apps in this process that note what they see. Service app.test has the endpoints v1 and v2, far.test and mirror.test one each.
 */
import {
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { startDiscovery, waitFor } from './discovery-fixture.ts';
import { freePort, ownAddress } from './static-envoy.ts';

export type AppName = 'v1' | 'v2' | 'far' | 'mirror';
const APPS: readonly AppName[] = ['v1', 'v2', 'far', 'mirror'];

/** What a client sends; all but the path has a default. */
export interface Call {
  readonly host?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface CallAnswer {
  /** 0: no answer. */
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly tookMs: number;
}

/** A request as an app saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

export type Behaviour = (request: IncomingMessage, response: ServerResponse) => void;

export interface RouteRig extends AsyncDisposable {
  /** Replaces the objects of the last call, forgets what apps saw and did, and waits until requests follow. */
  apply(yaml: string): Promise<void>;
  call(path: string, call?: Call): Promise<CallAnswer>;
  /** So many calls, a few at a time. */
  calls(count: number, path: string, call?: Call): Promise<readonly CallAnswer[]>;
  /** What an app has seen since the last apply. */
  seen(app: AppName): readonly SeenRequest[];
  /** What an app does from now on; it says its name otherwise. */
  behave(app: AppName, behaviour: Behaviour): void;
  /** Value of a counter of Envoy. */
  stat(name: string): Promise<number>;
}

const AT_A_TIME = 8;

/** Starts everything; the rig answers when it resolves. */
export async function startRouteRig(): Promise<RouteRig> {
  const discovery = await startDiscovery();
  const { address } = discovery;
  // Endpoints at the proxy's own address would be its own workload's.
  const appAddress = ownAddress();
  const apps = await Promise.all(APPS.map((name) => startApp(name, appAddress)));
  const appOf = (name: AppName): App => apps.find((app) => app.name === name) as App;
  const proxyPort = await freePort(address);
  discovery.save('services.yaml', servicesYaml(appAddress, appOf));
  await discovery.startProxy({
    id: `sidecar~${address}~client.default~default.svc.cluster.local`,
    metadata: {
      NAME: 'client',
      NAMESPACE: 'default',
      LABELS: { app: 'client', version: 'v1' },
      INTERCEPTION_MODE: 'NONE',
      INSTANCE_IPS: address,
      OUTBOUND_ADDRESS: address,
      HTTP_PROXY_PORT: String(proxyPort),
    },
    locality: { region: 'r1', zone: 'z1' },
  });
  const call: RouteRig['call'] = (path, one = {}) => send(address, proxyPort, path, one);
  let generation = 0;
  const rig: RouteRig = {
    async apply(yaml) {
      const body = `generation ${++generation}`;
      discovery.save('routes.yaml', `${yaml}\n---\n${markerYaml(body)}`);
      const answered = (answer: CallAnswer): boolean => answer.body === body;
      await waitFor(body, () => call('/', { host: 'marker.test' }), answered);
      for (const app of apps) app.reset();
    },
    call,
    async calls(count, path, one) {
      const answers: CallAnswer[] = [];
      let left = count;
      const work = async (): Promise<void> => {
        while (left-- > 0) answers.push(await call(path, one));
      };
      await Promise.all(Array.from({ length: AT_A_TIME }, work));
      return answers;
    },
    seen: (name) => appOf(name).seen,
    behave: (name, behaviour) => (appOf(name).behaviour = behaviour),
    async stat(name) {
      const url = `http://${address}:${discovery.adminPort}/stats?format=json&filter=${encodeURIComponent(name)}`;
      const { stats } = (await (await fetch(url)).json()) as { stats: { name?: string; value?: number }[] };
      return stats.find((stat) => stat.name?.endsWith(name))?.value ?? 0;
    },
    async [Symbol.asyncDispose]() {
      for (const app of apps) app.close();
      await discovery[Symbol.asyncDispose]();
    },
  };
  await rig.apply('');
  return rig;
}

interface App {
  readonly name: AppName;
  readonly port: number;
  readonly seen: SeenRequest[];
  behaviour: Behaviour;
  reset(): void;
  close(): void;
}

async function startApp(name: AppName, address: string): Promise<App> {
  const sayName: Behaviour = (_request, response) => response.end(name);
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    app.seen.push({ method, path: url, headers });
    app.behaviour(request, response);
  });
  const port = await freePort(address);
  server.listen(port, address);
  await once(server, 'listening');
  const app: App = {
    name,
    port,
    seen: [],
    behaviour: sayName,
    reset() {
      app.seen.length = 0;
      app.behaviour = sayName;
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
  return app;
}

function send(address: string, port: number, path: string, call: Call): Promise<CallAnswer> {
  const startMs = performance.now();
  const { host = 'app.test', method = 'GET', headers = {} } = call;
  return new Promise((done) => {
    const end = (status: number, got: IncomingHttpHeaders, body: string): void =>
      done({ status, headers: got, body, tookMs: performance.now() - startMs });
    const sent = httpRequest(
      { host: address, port, path, method, headers: { host, ...headers }, agent: false, timeout: 5000 },
      (response) => {
        let body = '';
        response.on('data', (chunk) => (body += chunk));
        response.on('end', () => end(response.statusCode ?? 0, response.headers, body));
        response.on('error', () => end(0, {}, ''));
      },
    );
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => end(0, {}, ''));
    sent.end();
  });
}

function servicesYaml(address: string, appOf: (name: AppName) => App): string {
  const entry = (host: string, apps: readonly AppName[], localities: readonly string[]): string => {
    const endpoints = apps.map((name, i) => {
      const locality = localities[i] === undefined ? '' : `, locality: ${localities[i]}`;
      return `  - { address: ${address}, ports: { http: ${appOf(name).port} }, labels: { version: ${name} }${locality} }`;
    });
    return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${host.replace('.', '-')} }
spec:
  hosts: [${host}]
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints:
${endpoints.join('\n')}
`;
  };
  const subsets = ['v1', 'v2'].map((name) => `{ name: ${name}, labels: { version: ${name} } }`).join(', ');
  return [
    entry('app.test', ['v1', 'v2'], []),
    entry('far.test', ['far'], []),
    entry('mirror.test', ['mirror'], []),
    entry('zones.test', ['v1', 'v2'], ['r1/z1', 'r2/z1']),
    `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: app }
spec: { host: app.test, subsets: [${subsets}] }
`,
  ].join('---\n');
}

/** A host of its own in the same route table: when it answers anew, all that came with it is in force. */
function markerYaml(body: string): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: marker }
spec:
  hosts: [marker.test]
  http: [{ directResponse: { status: 200, body: { string: ${body} } } }]
`;
}

/** A VirtualService of host app.test with the given `http` (flow or block YAML, as one value). */
export function virtualService(http: string, host = 'app.test'): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: under-test }
spec:
  hosts: [${host}]
  http: ${http}
`;
}

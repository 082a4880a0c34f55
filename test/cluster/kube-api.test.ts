/**
 * KubeSource against a real API server (control plane only, from the kube harness), through a TCP relay that cuts connections
 * at random. Skipped where the harness is not built.
 */
import { deepStrictEqual, ok } from 'node:assert';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { type KindInfo, KINDS, kindInfo } from '#api/kind-registry.ts';
import { ObjectCollections } from '#api/object-collections.ts';
import { systemClock } from '#base/clock.ts';
import { seededRng, systemRng } from '#base/rng.ts';
import { createEngine } from '#collections/engine.ts';
import { resourcePath } from '#kube/api-resource.ts';
import { KubeClient } from '#kube/kube-client.ts';
import type { KubeTarget } from '#kube/kube-target.ts';
import { Transport } from '#kube/transport.ts';
import { KubeSource } from '#sources/kube.ts';
import type { SourceBatch } from '#sources/object-sink.ts';
import { ClusterFixture, NO_CLUSTER as skip } from './cluster-fixture.ts';

const CHANGES = 5000;
const WRITERS = 16;
const LIMIT_MS = 60_000;

let cluster: ClusterFixture;
let target: KubeTarget;

before(async () => {
  if (skip !== false) return;
  cluster = await ClusterFixture.start(17_400);
  cluster.applyCrds();
  target = cluster.target;
});

after(async () => {
  if (skip === false) await cluster[Symbol.asyncDispose]();
});

/** Passes bytes on to the API server until told to cut. */
class Relay implements Disposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(port: number): Promise<Relay> {
    const server = createServer();
    const relay = new Relay(server);
    server.on('connection', (inner) => {
      const outer = connect(port, '127.0.0.1');
      for (const socket of [inner, outer]) {
        relay.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          relay.#sockets.delete(socket);
          inner.destroy();
          outer.destroy();
        });
      }
      inner.pipe(outer).pipe(inner);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  [Symbol.dispose](): void {
    this.#server.close();
    this.cut();
  }
}

/** A source with an engine behind it. */
function follow(at: KubeTarget): { readonly source: KubeSource; contents(): readonly string[] } & Disposable {
  const engine = createEngine();
  const collections = new ObjectCollections(engine);
  const clock = systemClock();
  const client = new KubeClient(at, { clock, env: {}, userAgent: 'lateen-test' });
  const sink = {
    apply(batch: SourceBatch) {
      collections.apply(batch);
      engine.settle();
    },
  };
  const source = new KubeSource({
    client,
    sink,
    clock,
    rng: systemRng(),
    revision: 'default',
    discoverySelectors: [],
    backoff: { initialMs: 20, maxMs: 500 },
  });
  source.start();
  return {
    source,
    contents: () =>
      [...collections.all()].map(({ kind, namespace, name, hash }) => `${kind} ${namespace}/${name} ${hash}`),
    [Symbol.dispose]() {
      source[Symbol.dispose]();
      client[Symbol.dispose]();
    },
  };
}

/** Specs that the API server accepts, with a number in them. */
function specOf(kind: string, value: number): Readonly<Record<string, unknown>> | undefined {
  const host = `h${value}.example.com`;
  const specs: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    Service: { spec: { ports: [{ name: 'http', port: (value % 60_000) + 1 }], selector: { app: 'a' } } },
    ServiceAccount: {},
    Secret: { type: 'Opaque', stringData: { a: String(value) } },
    ConfigMap: { data: { a: String(value) } },
    Endpoints: { subsets: [{ addresses: [{ ip: `10.3.${value % 250}.1` }], ports: [{ port: 80 }] }] },
    EndpointSlice: {
      addressType: 'IPv4',
      endpoints: [{ addresses: [`10.2.${value % 250}.1`] }],
      ports: [{ port: 80 }],
    },
    VirtualService: { spec: { hosts: [host], http: [{ route: [{ destination: { host } }] }] } },
    DestinationRule: { spec: { host } },
    Gateway: {
      spec: {
        selector: { v: String(value) },
        servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: [host] }],
      },
    },
    ServiceEntry: {
      spec: { hosts: [host], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'DNS' },
    },
    WorkloadEntry: { spec: { address: `10.4.${value % 250}.1` } },
    Sidecar: { spec: { egress: [{ hosts: [`./${host}`] }] } },
    PeerAuthentication: {
      spec: { selector: { matchLabels: { v: String(value) } }, mtls: { mode: 'STRICT' } },
    },
    RequestAuthentication: { spec: { selector: { matchLabels: { v: String(value) } } } },
    AuthorizationPolicy: { spec: { rules: [{ to: [{ operation: { paths: [`/${value}`] } }] }] } },
    Telemetry: { spec: { accessLogging: [{ disabled: value % 2 === 0 }] } },
  };
  return specs[kind];
}

const KIND_NAMES = KINDS.map(({ kind }) => kind).filter((kind) => specOf(kind, 0) !== undefined);

/** Makes one change at random; what is not there to be deleted, or there already, is no matter. */
async function change(writer: Transport, rng: ReturnType<typeof seededRng>): Promise<number> {
  const info = kindInfo(KIND_NAMES[rng.int(KIND_NAMES.length)] as string) as KindInfo;
  const [version = 'v1'] = info.versions;
  const collection = resourcePath({ ...info, version }).replace(
    `/${info.plural}`,
    `/namespaces/default/${info.plural}`,
  );
  const name = `o${rng.int(40)}`;
  const isDelete = rng.int(3) === 0;
  const body = {
    apiVersion: info.group === '' ? version : `${info.group}/${version}`,
    kind: info.kind,
    metadata: { name, labels: { l: String(rng.int(9)) } },
    ...specOf(info.kind, rng.int(50_000)),
  };
  const response = await writer.send({
    method: isDelete ? 'DELETE' : 'PATCH',
    path: `${collection}/${name}${isDelete ? '' : '?fieldManager=test&force=true'}`,
    headers: { 'content-type': 'application/apply-patch+yaml', accept: 'application/json' },
    ...(isDelete ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(LIMIT_MS),
  });
  response.body.resume();
  return response.status;
}

async function pauseMs(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

test('5,000 changes of all kinds with connections cut at random end as a fresh list does', {
  skip,
  timeout: 240_000,
}, async (t) => {
  using relay = await Relay.open(Number(new URL(target.server).port));
  using followed = follow({ ...target, server: `https://127.0.0.1:${relay.port}` });
  await followed.source.synced;
  using writer = new Transport(target, systemClock());
  const rng = seededRng(1);
  const statuses = new Map<number, number>();
  let left = CHANGES;
  let cuts = 0;
  const write = async (): Promise<void> => {
    while (left-- > 0) {
      const status = await change(writer, rng);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (rng.int(100) === 0) {
        cuts += 1;
        relay.cut();
      }
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, write));
  const endMs = performance.now() + LIMIT_MS;
  let fresh: readonly string[] = [];
  while (performance.now() < endMs) {
    using again = follow(target);
    await again.source.synced;
    fresh = again.contents();
    if (JSON.stringify(fresh) === JSON.stringify(followed.contents())) break;
    await pauseMs(500);
  }
  deepStrictEqual(followed.contents(), fresh);
  t.diagnostic(`${cuts} cuts, ${fresh.length} objects, answers ${JSON.stringify([...statuses])}`);
  ok(cuts > 10 && fresh.length > 200);
  ok((statuses.get(200) ?? 0) + (statuses.get(201) ?? 0) > CHANGES / 2, JSON.stringify([...statuses]));
});

test('a CRD that is deleted and made again takes its objects away and is followed again', {
  skip,
  timeout: 120_000,
}, async () => {
  using followed = follow(target);
  await followed.source.synced;
  const names = (): readonly string[] =>
    followed.contents().filter((line) => line.startsWith('ProxyConfig '));
  const until = async (count: number): Promise<void> => {
    const endMs = performance.now() + LIMIT_MS;
    while (names().length !== count && performance.now() < endMs) await pauseMs(50);
    deepStrictEqual(names().length, count);
  };
  const object = {
    apiVersion: 'networking.istio.io/v1beta1',
    kind: 'ProxyConfig',
    metadata: { name: 'p', namespace: 'default' },
    spec: { concurrency: 2 },
  };
  cluster.apply(object);
  await until(1);
  cluster.kubectl('delete', 'crd', 'proxyconfigs.networking.istio.io');
  await until(0);
  cluster.applyCrds();
  cluster.kubectl('wait', '--for=condition=Established', 'crd/proxyconfigs.networking.istio.io');
  cluster.apply(object);
  await until(1);
});

/** For tests of registrations: sources of groups and entries, a store in memory or at an API server, a clock that stands still, proxies. */
import type { MeshObject } from '#api/mesh-object.ts';
import { decodeObject } from '#api/decode-object.ts';
import { ObjectCollections } from '#api/object-collections.ts';
import { TestClock } from '#base/clock.ts';
import type { GrpcStatus } from '#base/grpc-frame.ts';
import { silentLogger } from '#base/logger.ts';
import { seededRng } from '#base/rng.ts';
import { createEngine } from '#collections/engine.ts';
import { PLAIN_TRAITS, type Proxy } from '#model/proxy.ts';
import type { EntryStore } from './entry-store.ts';
import { MemoryEntries } from './memory-entries.ts';
import {
  type ConnectedEntry,
  DEFAULT_REGISTRATION,
  type RegistrationSettings,
  WorkloadRegistration,
} from './workload-registration.ts';

/** A WorkloadGroup `vms` of namespace `shop` for service account `db`. */
export const GROUP = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'WorkloadGroup',
  metadata: { name: 'vms', namespace: 'shop' },
  spec: {
    metadata: { labels: { app: 'db' } },
    template: { serviceAccount: 'db', ports: { tcp: 5432 } },
    probe: { tcpSocket: { port: 5432 } },
  },
};

/** The name of the entry that `machine` gets. */
export const ENTRY = 'shop/vms-10.1.2.3';

/** A document as an object. Throws for what the decoder refuses. */
export function decoded(document: object): MeshObject {
  const { object, diagnostics } = decodeObject(document, { defaultNamespace: 'default' });
  if (object === undefined) throw new Error(JSON.stringify(diagnostics));
  return object;
}

/** A proxy of that group, with a probe. */
export function machine(changes: Partial<Proxy> = {}): Proxy {
  return {
    id: 'sidecar~10.1.2.3~vm.shop~shop.svc.cluster.local',
    type: 'sidecar',
    addresses: ['10.1.2.3'],
    name: 'vm',
    namespace: 'shop',
    labels: {},
    serviceAccount: 'db',
    identity: 'spiffe://cluster.local/ns/shop/sa/db',
    workloadName: '',
    clusterId: 'Kubernetes',
    network: '',
    networkView: [],
    locality: { region: '', zone: '', subzone: '' },
    nodeName: '',
    interceptionMode: 'REDIRECT',
    dnsDomain: '',
    dnsCapture: false,
    generator: '',
    httpProxyPort: 0,
    outboundAddress: '',
    istioVersion: '',
    metadata: { AUTO_REGISTER_GROUP: 'vms' },
    traits: PLAIN_TRAITS,
    proxyConfig: { readinessProbe: { tcpSocket: { port: 5432 } } },
    ...changes,
  };
}

/** What is the same for all replicas: time, and the store. */
export interface RegistrationWorld {
  readonly clock: TestClock;
  readonly objects: ObjectCollections;
  readonly memory: MemoryEntries;
  apply(...objects: readonly object[]): void;
  remove(kind: string, key: string): void;
  /** What the mesh has under the key. */
  entry(key?: string): MeshObject | undefined;
  replica(name: string, settings?: Partial<RegistrationSettings>, store?: EntryStore): Replica;
}

/** One control plane. */
export interface Replica {
  readonly controller: WorkloadRegistration;
  /** Connects; the status when it is refused. */
  connect(proxy?: Proxy): ConnectedEntry | GrpcStatus | undefined;
  /** Connects one that must not be refused. */
  connected(proxy?: Proxy): ConnectedEntry;
  /** Statuses with which connections were ended. */
  readonly ended: readonly GrpcStatus[];
}

/** An empty world. */
export function registrationWorld(): RegistrationWorld {
  const engine = createEngine();
  const objects = new ObjectCollections(engine);
  const clock = new TestClock(1_000_000);
  const memory = new MemoryEntries((batch) => {
    objects.apply(batch);
    engine.settle();
  }, clock);
  const put = (batch: Parameters<ObjectCollections['apply']>[0]): void => {
    objects.apply(memory.weave(batch));
    engine.settle();
  };
  return {
    clock,
    objects,
    memory,
    apply: (...documents) => put({ set: documents.map(decoded), remove: [] }),
    remove(kind, key) {
      const [namespace = '', name = ''] = key.split('/');
      put({ set: [], remove: [{ kind, namespace, name }] });
    },
    entry: (key = ENTRY) => objects.of('WorkloadEntry').get(key),
    replica(name, settings = {}, store = memory) {
      const ended: GrpcStatus[] = [];
      const controller = new WorkloadRegistration({
        engine,
        groups: objects.of('WorkloadGroup'),
        entries: objects.of('WorkloadEntry'),
        store,
        settings: { ...DEFAULT_REGISTRATION, ...settings },
        controller: name,
        clock,
        rng: seededRng(1),
        log: silentLogger(),
      });
      const connect = (proxy = machine()): ConnectedEntry | GrpcStatus | undefined => {
        const facts = { proxy, remoteAddress: '192.0.2.1:4711', connectedAtMs: clock.nowMs() };
        const registered = controller.register({ ...facts, end: (status) => void ended.push(status) });
        return registered.ok ? registered.value : registered.error;
      };
      const connected = (proxy = machine()): ConnectedEntry => {
        const entry = connect(proxy);
        if (entry === undefined || 'code' in entry) throw new Error(`not registered: ${entry?.message}`);
        return entry;
      };
      return { controller, connect, connected, ended };
    },
  };
}

/** Lets what is under way in memory come to its end. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
}

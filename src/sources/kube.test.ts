/** What is particular to a cluster: CRDs that come and go, permissions, selection of namespaces and revisions, cuts. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { afterEach, beforeEach, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { KINDS, kindInfo, type KindInfo } from '#api/kind-registry.ts';
import { ObjectCollections } from '#api/object-collections.ts';
import { systemClock } from '#base/clock.ts';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import { type Rng, seededRng } from '#base/rng.ts';
import { createEngine } from '#collections/engine.ts';
import type { KubeObject } from '#kube/api-resource.ts';
import { ApiServerFixture } from '#kube/api-server-fixture.ts';
import { KubeClient } from '#kube/kube-client.ts';
import { KubeSource, type KubeSourceOptions } from './kube.ts';
import type { SourceBatch } from './object-sink.ts';

class Cluster {
  readonly #engine = createEngine();
  readonly #collections = new ObjectCollections(this.#engine);
  readonly batches: SourceBatch[] = [];

  apply(batch: SourceBatch): void {
    this.batches.push(batch);
    this.#collections.apply(batch);
    this.#engine.settle();
  }

  get names(): readonly string[] {
    return [...this.#collections.all()].map(({ kind, namespace, name }) => `${kind} ${namespace}/${name}`);
  }

  get contents(): readonly string[] {
    return [...this.#collections.all()].map(
      ({ kind, namespace, name, hash }) => `${kind} ${namespace}/${name} ${hash}`,
    );
  }

  get findings(): readonly string[] {
    return (this.batches.at(-1)?.diagnostics ?? []).map(
      (found) => printDiagnostic(found).split('\n')[0] as string,
    );
  }
}

const CUSTOM = KINDS.filter(({ group }) => group.endsWith('istio.io'));
const CORE = KINDS.filter(({ group }) => group === '' || group === 'discovery.k8s.io');

let server: ApiServerFixture;
let cluster: Cluster;
let started: Disposable[] = [];

beforeEach(async () => {
  server = new ApiServerFixture();
  await server.start();
  for (const { group, plural, versions } of CUSTOM) server.define({ group, plural, versions });
  cluster = new Cluster();
});

afterEach(async () => {
  for (const member of started.reverse()) member[Symbol.dispose]();
  started = [];
  await server[Symbol.asyncDispose]();
});

function open(options: Partial<KubeSourceOptions> = {}): KubeSource {
  const clock = systemClock();
  const client = new KubeClient(server.target, { clock, env: {}, userAgent: 'test', perSecond: 10_000 });
  const source = new KubeSource({
    client,
    sink: cluster,
    clock,
    rng: seededRng(1),
    revision: 'default',
    discoverySelectors: [],
    backoff: { initialMs: 1, maxMs: 20 },
    ...options,
  });
  started.push(client, source);
  source.start();
  return source;
}

function put(kind: string, key: string, rest: Readonly<Record<string, unknown>> = {}, labels = {}): void {
  const [namespace = '', name = ''] = key.split('/');
  const metadata = { ...(namespace === '' ? {} : { namespace }), name, labels };
  server.put(kindInfo(kind) as KindInfo, { metadata, ...rest } as KubeObject);
}

function remove(kind: string, key: string): void {
  server.remove(kindInfo(kind) as KindInfo, key);
}

const PORTS = { spec: { ports: [{ port: 80 }] } };
const STRICT = { spec: { mtls: { mode: 'STRICT' } } };

test('the first batch holds everything', async () => {
  put('Service', 'a/web', PORTS);
  put('PeerAuthentication', 'a/strict', STRICT);
  put('Node', '/n1', { status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] } });
  const source = open();
  await source.synced;
  strictEqual(cluster.batches.length, 1);
  deepStrictEqual(cluster.names, ['PeerAuthentication a/strict', 'Service a/web', 'Node /n1']);
  deepStrictEqual(source.state, { isReady: true, problems: [] });
  ok((source.kept().get('Service')?.sizeBytes ?? 0) > 0);
});

test('one namespace alone can be watched; what has no namespace is read all the same', async () => {
  put('Service', 'a/web', PORTS);
  put('Service', 'b/web', PORTS);
  put('Node', '/n1', { status: { addresses: [] } });
  await open({ watchNamespace: 'a' }).synced;
  deepStrictEqual(cluster.names, ['Service a/web', 'Node /n1']);
});

test('what no derivation reads changes nothing', async () => {
  put('Node', '/n1', { status: { addresses: [], images: ['x'] } });
  await open().synced;
  put('Node', '/n1', { status: { addresses: [], images: ['y'], conditions: [{ type: 'Ready' }] } });
  const managed = { managedFields: [{ manager: 'kubectl' }], generation: 9, newField: 1 };
  server.put(
    kindInfo('Node') as KindInfo,
    {
      metadata: { name: 'n1', ...managed },
      status: { addresses: [] },
    } as KubeObject,
  );
  put('Service', 'a/web', PORTS);
  await server.until(() => cluster.names.includes('Service a/web'));
  deepStrictEqual(
    cluster.batches.map((batch) => batch.set.map(({ name }) => name)),
    [['n1'], ['web']],
  );
});

test('an object that does not fit keeps what was good and harms no other', async () => {
  put('PeerAuthentication', 'a/p', STRICT);
  await open().synced;
  put('PeerAuthentication', 'a/p', { spec: { mtls: { mode: 'HARD' } } });
  put('PeerAuthentication', 'a/q', STRICT);
  await server.until(() => cluster.findings.length === 1 && cluster.names.length === 2);
  ok(/LTN1004.*PeerAuthentication a\/p/.test(cluster.findings[0] ?? ''), cluster.findings.join());
  remove('PeerAuthentication', 'a/p');
  await server.until(() => cluster.findings.length === 0 && cluster.names.length === 1);
});

test('a forbidden kind is a finding that names what to grant, and the others are served', async () => {
  server.forbidden.add('secrets');
  put('Service', 'a/web', PORTS);
  const source = open();
  await source.synced;
  deepStrictEqual(cluster.names, ['Service a/web']);
  const [found] = cluster.batches[0]?.diagnostics ?? [];
  strictEqual(
    found && printDiagnostic(found),
    'error LTN1301: the API server does not allow to list secrets; the mesh is served without them\n' +
      '  Grant the verbs get, list and watch on the resource secrets of the core API group to u.',
  );
});

test('where CRDs may not be listed every kind is tried', async () => {
  server.forbidden.add('customresourcedefinitions.apiextensions.k8s.io');
  put('PeerAuthentication', 'a/p', STRICT);
  await open().synced;
  deepStrictEqual(cluster.names, ['PeerAuthentication a/p']);
  ok(/LTN1301.*customresourcedefinitions/.test(cluster.findings[0] ?? ''));
});

test('a kind whose CRD comes later is followed, and one whose CRD goes is dropped', async () => {
  const kind = kindInfo('VirtualService') as KindInfo;
  server.undefine(kind);
  await open().synced;
  server.define({ ...kind, versions: ['v1beta1'] });
  put('VirtualService', 'a/v', {
    spec: { hosts: ['h'], http: [{ route: [{ destination: { host: 'h' } }] }] },
  });
  await server.until(() => cluster.names.length === 1);
  const object = cluster.batches.at(-1)?.set[0];
  strictEqual(object?.apiVersion, 'networking.istio.io/v1beta1');
  server.undefine(kind);
  await server.until(() => cluster.names.length === 0);
});

test('a CRD that moves to another version is followed there without losing its objects', async () => {
  const kind = kindInfo('PeerAuthentication') as KindInfo;
  server.define({ ...kind, versions: ['v1beta1'] });
  put('PeerAuthentication', 'a/p', STRICT);
  await open().synced;
  server.define({ ...kind, versions: ['v1', 'v1beta1'] });
  await server.until(() => cluster.batches.at(-1)?.set[0]?.apiVersion === 'security.istio.io/v1');
  deepStrictEqual(
    cluster.batches.flatMap((batch) => batch.remove),
    [],
  );
});

test('a CRD of a version that nobody knows is a finding', async () => {
  const kind = kindInfo('PeerAuthentication') as KindInfo;
  server.define({ ...kind, versions: ['v9'] });
  await open().synced;
  deepStrictEqual(cluster.findings, [
    'error LTN1302: the cluster serves peerauthentications.security.istio.io in versions that are not known here (v9); its objects are not used',
  ]);
});

test('objects of other revisions are left out, of kinds of Istio only', async () => {
  put('PeerAuthentication', 'a/mine', STRICT, { 'istio.io/rev': 'default' });
  put('PeerAuthentication', 'a/other', STRICT, { 'istio.io/rev': 'canary' });
  put('Service', 'a/web', PORTS, { 'istio.io/rev': 'canary' });
  await open().synced;
  deepStrictEqual(cluster.names, ['PeerAuthentication a/mine', 'Service a/web']);
  put('PeerAuthentication', 'a/mine', STRICT, { 'istio.io/rev': 'canary' });
  await server.until(() => cluster.names.length === 1);
});

test('discovery selectors choose namespaces, which may change', async () => {
  put('Namespace', '/in', {}, { mesh: 'on' });
  put('Namespace', '/out', {});
  put('Service', 'in/a', PORTS);
  put('Service', 'out/b', PORTS);
  await open({
    discoverySelectors: [
      { matchLabels: { mesh: 'on' } },
      { matchExpressions: [{ key: 'x', operator: 'In', values: ['y'] }] },
    ],
  }).synced;
  const services = (): readonly string[] => cluster.names.filter((name) => name.startsWith('Service '));
  await server.until(() => isDeepStrictEqual(services(), ['Service in/a']));
  put('Namespace', '/out', {}, { x: 'y' });
  await server.until(() => isDeepStrictEqual(services(), ['Service in/a', 'Service out/b']));
  put('Namespace', '/in', {}, { mesh: 'off' });
  await server.until(() => isDeepStrictEqual(services(), ['Service out/b']));
});

test('other discovery selectors let namespaces in and out, and mesh config is read whatever they say', async () => {
  put('Namespace', '/in', {}, { mesh: 'on' });
  put('Namespace', '/out', {}, { mesh: 'off' });
  put('Namespace', '/istio-system', {});
  for (const namespace of ['in', 'out', 'istio-system']) put('Service', `${namespace}/a`, PORTS);
  put('ConfigMap', 'istio-system/istio', { data: { mesh: '' } });
  put('ConfigMap', 'in/c', { data: {} });
  const source = open({ systemNamespace: 'istio-system' });
  await source.synced;
  const inNamespaces = (): readonly string[] =>
    cluster.names.filter((name) => !name.startsWith('Namespace ')).sort();
  const mesh = 'ConfigMap istio-system/istio';
  source.select([{ matchLabels: { mesh: 'on' } }]);
  deepStrictEqual(inNamespaces(), ['ConfigMap in/c', mesh, 'Service in/a']);
  source.select([{ matchLabels: { mesh: 'off' } }]);
  await server.until(() => isDeepStrictEqual(inNamespaces(), [mesh, 'Service out/a']));
  source.select([]);
  const all = ['ConfigMap in/c', mesh, 'Service in/a', 'Service istio-system/a', 'Service out/a'];
  await server.until(() => isDeepStrictEqual(inNamespaces(), all));
});

test('an API server that is away is waited for, and the state says so', async () => {
  put('Service', 'a/web', PORTS);
  await server.stop();
  const source = open();
  await server.until(() => source.state.problems.length > 5);
  ok(source.state.problems.every((problem) => /^[a-z.0-9]+: .*ECONNREFUSED/.test(problem)));
  ok(!source.state.isReady);
  await server.start();
  await source.synced;
  deepStrictEqual(cluster.names, ['Service a/web']);
});

/** A small spec that decodes, with a number in it. */
function specOf(kind: string, value: number): Readonly<Record<string, unknown>> | undefined {
  const hosts = ['h.example.com'];
  const specs: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    Service: { spec: { ports: [{ port: (value % 60_000) + 1 }] } },
    Namespace: {},
    ServiceAccount: {},
    Node: { status: { addresses: [{ type: 'InternalIP', address: `10.0.${value % 250}.1` }] } },
    Pod: { spec: { nodeName: `n${value}` }, status: { podIP: `10.1.${value % 250}.1`, phase: 'Running' } },
    Secret: { type: 'Opaque', data: { a: Buffer.from(String(value)).toString('base64') } },
    ConfigMap: { data: { a: String(value) } },
    EndpointSlice: {
      addressType: 'IPv4',
      endpoints: [{ addresses: [`10.2.${value % 250}.1`] }],
      ports: [{ port: 80 }],
    },
    Endpoints: { subsets: [{ addresses: [{ ip: `10.3.${value % 250}.1` }], ports: [{ port: 80 }] }] },
    VirtualService: {
      spec: { hosts, http: [{ timeout: `${(value % 60) + 1}s`, route: [{ destination: { host: 'h' } }] }] },
    },
    DestinationRule: { spec: { host: `h${value}.example.com` } },
    PeerAuthentication: STRICT,
    ServiceEntry: {
      spec: { hosts, ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'DNS' },
    },
  };
  return specs[kind];
}

function change(rng: Rng): void {
  const kinds = [...CORE, ...CUSTOM].filter(({ kind }) => specOf(kind, 0) !== undefined);
  const info = kinds[rng.int(kinds.length)] as KindInfo;
  const key = `${info.namespaced ? `ns${rng.int(3)}` : ''}/o${rng.int(30)}`;
  if (rng.int(3) === 0) remove(info.kind, key);
  else put(info.kind, key, specOf(info.kind, rng.int(1000)), { l: String(rng.int(5)) });
}

for (const seed of [1, 2, 3]) {
  test(`5,000 changes of all kinds with cuts at random end as a fresh list does (seed ${seed})`, async () => {
    const rng = seededRng(seed);
    for (let i = 0; i < 500; i++) change(rng);
    await open().synced;
    for (let step = 0; step < 4500; step++) {
      change(rng);
      if (rng.int(60) === 0) server.cut();
      if (rng.int(150) === 0) server.compact();
      if (rng.int(100) === 0) server.bookmark();
      if (rng.int(4) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const followed = cluster;
    cluster = new Cluster();
    await open().synced;
    await server.until(() => isDeepStrictEqual(followed.contents, cluster.contents));
    ok(followed.contents.length > 100);
  });
}

/**
 * On a real API server: WorkloadEntries of machines that register themselves, their health, and addresses in statuses of
 * ServiceEntries. Skipped where the harness is not built.
 */
import { deepStrictEqual, notDeepStrictEqual, ok, strictEqual } from 'node:assert';
import { after, before, test } from 'node:test';
import { ClusterFixture, NO_CLUSTER as skip } from './cluster-fixture.ts';
import { DiscoveryRig, until } from './discovery-rig.ts';
import { ProxyStream } from './proxy-stream.ts';

const LIMIT_MS = 120_000;
const API = 'networking.istio.io/v1';
const ENTRY = 'vms-10.1.2.3';

interface Found {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly annotations: Readonly<Record<string, string>>;
    readonly labels: Readonly<Record<string, string>>;
    readonly ownerReferences: readonly { readonly kind: string; readonly name: string }[];
  };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message?: string;
    }[];
    readonly addresses?: readonly { readonly host: string; readonly value: string }[];
  };
}

let cluster: ClusterFixture;
let a: DiscoveryRig;
let b: DiscoveryRig;

before(async () => {
  if (skip !== false) return;
  cluster = await ClusterFixture.start(17_440);
  for (const namespace of ['istio-system', 'shop']) cluster.kubectl('create', 'namespace', namespace);
  for (const account of ['db', 'web']) cluster.kubectl('-n', 'shop', 'create', 'serviceaccount', account);
  cluster.applyCrds();
  cluster.apply({
    apiVersion: API,
    kind: 'WorkloadGroup',
    metadata: { name: 'vms', namespace: 'shop' },
    spec: {
      metadata: { labels: { app: 'db' } },
      template: { serviceAccount: 'db', ports: { tcp: 5432 } },
    },
  });
  const environment = { PILOT_WORKLOAD_ENTRY_GRACE_PERIOD: '2s' };
  [a, b] = await Promise.all([
    DiscoveryRig.start('istiod-a', cluster.kubeconfig, environment),
    DiscoveryRig.start('istiod-b', cluster.kubeconfig, environment),
  ]);
});

after(async () => {
  if (skip !== false) return;
  await Promise.all([a, b].map((one) => one[Symbol.asyncDispose]()));
  await cluster[Symbol.asyncDispose]();
});

/** The object; undefined while there is none. */
function get(kind: string, name: string): Found | undefined {
  const text = cluster.kubectl('-n', 'shop', 'get', kind, name, '-o', 'json', '--ignore-not-found');
  return text.trim() === '' ? undefined : (JSON.parse(text) as Found);
}

function connect(to: DiscoveryRig, account = 'db'): ProxyStream {
  const token = cluster.kubectl('-n', 'shop', 'create', 'token', account, '--audience', 'istio-ca').trim();
  const metadata = {
    NAMESPACE: 'shop',
    SERVICE_ACCOUNT: account,
    INSTANCE_IPS: '10.1.2.3',
    AUTO_REGISTER_GROUP: 'vms',
    PROXY_CONFIG: { readinessProbe: { tcpSocket: { port: 5432 } } },
  };
  return new ProxyStream(to.securePort, token, {
    id: 'sidecar~10.1.2.3~vm-1.shop~shop.svc.cluster.local',
    metadata,
  });
}

const annotation = (name: string): string | undefined =>
  get('workloadentry', ENTRY)?.metadata.annotations[`istio.io/${name}`];

test('an entry is made, follows its proxy to another replica, tells its health, and goes', {
  skip,
  timeout: LIMIT_MS,
}, async () => {
  const first = connect(a);
  strictEqual(await first.answered, '0');
  await until('the entry', () => get('workloadentry', ENTRY), Boolean);
  const made = get('workloadentry', ENTRY);
  deepStrictEqual(
    [made?.spec, made?.metadata.labels, made?.metadata.ownerReferences.map(({ kind, name }) => [kind, name])],
    [
      { address: '10.1.2.3', labels: { app: 'db' }, ports: { tcp: 5432 }, serviceAccount: 'db' },
      { app: 'db' },
      [['WorkloadGroup', 'vms']],
    ],
  );
  strictEqual(annotation('workloadController'), 'istiod-a');

  first.report('connection refused');
  const condition = () =>
    get('workloadentry', ENTRY)?.status?.conditions?.find(({ type }) => type === 'Healthy');
  await until('not healthy', condition, (found) => found?.status === 'False');
  strictEqual(condition()?.message, 'connection refused');

  using second = connect(b);
  strictEqual(await second.answered, '0');
  await until(
    'the other replica',
    () => annotation('workloadController'),
    (name) => name === 'istiod-b',
  );
  first[Symbol.dispose]();
  second.report('');
  await until('healthy', condition, (found) => found?.status === 'True');
  ok(annotation('connectedAt') !== undefined && annotation('disconnectedAt') === undefined);

  second[Symbol.dispose]();
  await until('the end of the connection', () => annotation('disconnectedAt'), Boolean);
  await until(
    'the end of the entry',
    () => get('workloadentry', ENTRY),
    (found) => found === undefined,
  );
});

test('another service account gets no entry of the group', { skip, timeout: LIMIT_MS }, async () => {
  using stream = connect(a, 'web');
  strictEqual(await stream.answered, '7');
  strictEqual(get('workloadentry', ENTRY), undefined);
});

function serviceEntry(name: string, host: string): unknown {
  const ports = [{ number: 5432, name: 'tcp', protocol: 'TCP' }];
  return {
    apiVersion: API,
    kind: 'ServiceEntry',
    metadata: { name, namespace: 'shop' },
    spec: { hosts: [host], ports, resolution: 'DNS' },
  };
}

const recorded = (name: string) => get('serviceentry', name)?.status?.addresses ?? [];

test('addresses are recorded once, and a conflict is settled for the one that had them first', {
  skip,
  timeout: LIMIT_MS,
}, async () => {
  cluster.apply(serviceEntry('first', 'first.example.com'));
  await until(
    'addresses',
    () => recorded('first'),
    (found) => found.length === 2,
  );
  const before = get('serviceentry', 'first');
  deepStrictEqual(
    before?.status?.addresses?.map(({ host }) => host),
    ['first.example.com', 'first.example.com'],
  );
  cluster.apply(serviceEntry('second', 'second.example.com'));
  await until(
    'addresses',
    () => recorded('second'),
    (found) => found.length === 2,
  );
  const own = recorded('second');
  const stolen = (before?.status?.addresses ?? []).map(({ value }) => ({
    host: 'second.example.com',
    value,
  }));
  const patch = JSON.stringify({ status: { addresses: stolen } });
  cluster.kubectl(
    '-n',
    'shop',
    'patch',
    'serviceentry',
    'second',
    '--subresource=status',
    '--type=merge',
    '-p',
    patch,
  );
  await until(
    'its own addresses again',
    () => recorded('second'),
    (found) => found[0]?.value === own[0]?.value,
  );
  notDeepStrictEqual(own, stolen);
  // Nothing was written where nothing changed.
  strictEqual(get('serviceentry', 'first')?.metadata.resourceVersion, before?.metadata.resourceVersion);
});

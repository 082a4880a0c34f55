/** Entries of proxies outside of a cluster: what they are made of, whose they are, when they go. */
import { deepStrictEqual, match, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { WorkloadGroupSpec } from '#api/workload-group.ts';
import type { Proxy } from './proxy.ts';
import { object, proxy as anyProxy } from './service-model-rig.ts';
import {
  cleanup,
  controlProblem,
  entryFromGroup,
  lacksConnection,
  lacksDisconnection,
  readPresence,
  registeredEntryName,
  withConnected,
  withDisconnected,
} from './workload-registration.ts';

function machine(changes: Partial<Proxy> = {}): Proxy {
  return {
    ...anyProxy('vm-1'),
    addresses: ['10.1.2.3'],
    namespace: 'shop',
    serviceAccount: 'db',
    identity: 'spiffe://td/ns/shop/sa/db',
    labels: {},
    network: '',
    locality: { region: '', zone: '', subzone: '' },
    metadata: { AUTO_REGISTER_GROUP: 'vms' },
    proxyConfig: {},
    ...changes,
  };
}

function group(spec: WorkloadGroupSpec) {
  return object('WorkloadGroup', 'vms', spec, { namespace: 'shop' });
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

const NAMES: readonly (readonly [string, Partial<Proxy>, string | undefined])[] = [
  ['an address', {}, 'vms-10.1.2.3'],
  ['an IPv6 address', { addresses: ['2001:db8::7'] }, 'vms-2001-db8--7'],
  ['a network', { network: 'far' }, 'vms-10.1.2.3-far'],
  ['an end that is no end of a name', { addresses: ['fe80::'] }, undefined],
  ['a group that is no name', { metadata: { AUTO_REGISTER_GROUP: '../x' } }, undefined],
  [
    'a name that is too long',
    { metadata: { AUTO_REGISTER_GROUP: 'x'.repeat(300) } },
    `${'x'.repeat(244)}-10.1.2.3`,
  ],
];
for (const [what, changes, expected] of NAMES) {
  test(`the name of an entry with ${what}`, () => {
    const name = registeredEntryName(machine(changes));
    strictEqual(name.ok ? name.value : undefined, expected);
  });
}

test('an entry is the template of its group with what the node says of itself', () => {
  const proxy = machine({
    labels: { app: 'db', 'istio-locality': 'r1/z1' },
    network: 'far',
    locality: { region: 'r1', zone: 'z1', subzone: '' },
    proxyConfig: { readinessProbe: { tcpSocket: { port: 5432 } } },
    metadata: { AUTO_REGISTER_GROUP: 'vms', ENABLE_HBONE: 'true' },
  });
  const entry = entryFromGroup(
    proxy,
    group({
      metadata: { labels: { app: 'group', tier: 'group' }, annotations: { team: 'a' } },
      template: {
        serviceAccount: 'db',
        ports: { tcp: 5432 },
        weight: 2,
        labels: { app: 't', tier: 't', v: '1' },
      },
    }),
    'n',
  );
  const labels = { app: 'db', tier: 'group', v: '1', 'networking.istio.io/tunnel': 'http' };
  deepStrictEqual(plain(entry), {
    apiVersion: 'v1',
    kind: 'WorkloadEntry',
    metadata: {
      name: 'n',
      namespace: 'shop',
      labels,
      annotations: {
        'istio.io/autoRegistrationGroup': 'vms',
        'proxy.istio.io/health-checks-enabled': 'true',
        team: 'a',
      },
    },
    spec: {
      serviceAccount: 'db',
      ports: { tcp: 5432 },
      weight: 2,
      address: '10.1.2.3',
      labels,
      network: 'far',
      locality: 'r1/z1',
    },
  });
});

test('what the node does not say is as the template says', () => {
  const { spec, metadata } = entryFromGroup(
    machine(),
    group({ template: { network: 'near', locality: 'r2', labels: { a: 'b' } } }),
    'n',
  );
  deepStrictEqual(
    [spec.network, spec.locality, plain(spec.labels), Object.keys(metadata.annotations)],
    ['near', 'r2', { a: 'b' }, ['istio.io/autoRegistrationGroup']],
  );
});

const OWNED: readonly (readonly [string, Partial<Proxy>, object, RegExp | undefined])[] = [
  ['its own entry', {}, {}, undefined],
  ['an entry for any account', {}, { spec: {} }, undefined],
  ['without an identity', { identity: undefined as never }, {}, /proven identity/],
  ['in another namespace', {}, { namespace: 'bank' }, /another namespace/],
  ['of another account', {}, { spec: { serviceAccount: 'web' } }, /another service account/],
  ['of another group', {}, { annotations: { 'istio.io/autoRegistrationGroup': 'x' } }, /another group, x/],
];
for (const [what, changes, entry, expected] of OWNED) {
  test(`a proxy ${expected === undefined ? 'speaks for' : 'does not speak for an entry'} ${what}`, () => {
    const whole = { namespace: 'shop', annotations: {}, spec: { serviceAccount: 'db' }, ...entry };
    const problem = controlProblem(machine(changes), whole, 'vms');
    if (expected === undefined) strictEqual(problem, undefined);
    else match(problem ?? '', expected);
  });
}

test('annotations say who is connected, and whose word that is', () => {
  const connected = withConnected(
    { team: 'a', 'istio.io/disconnectedAt': '2026-01-01T00:00:00Z' },
    'cp-1',
    5_000,
  );
  deepStrictEqual(plain(connected), {
    team: 'a',
    'istio.io/workloadController': 'cp-1',
    'istio.io/connectedAt': '1970-01-01T00:00:05.000Z',
  });
  deepStrictEqual(plain(withDisconnected(connected, 6_000)), {
    team: 'a',
    'istio.io/workloadController': 'cp-1',
    'istio.io/disconnectedAt': '1970-01-01T00:00:06.000Z',
  });
  deepStrictEqual(readPresence({ 'istio.io/connectedAt': '1970-01-01T00:00:05.123456789Z' }), {
    controller: '',
    connectedAtMs: 5_123,
    disconnectedAtMs: undefined,
  });
});

test('the newest connection has the entry', () => {
  const mine = readPresence(withConnected({}, 'me', 5_000));
  const gone = readPresence(withDisconnected(withConnected({}, 'other', 5_000), 9_000));
  deepStrictEqual(
    [
      lacksConnection(mine, 'me', 5_000),
      lacksConnection(mine, 'me', 6_000),
      lacksConnection(mine, 'other', 6_000),
      lacksConnection(mine, 'other', 4_000),
      lacksConnection(gone, 'me', 6_000),
      lacksConnection(readPresence({}), 'me', 1),
    ],
    [false, true, true, false, true, true],
  );
  deepStrictEqual(
    [
      lacksDisconnection(mine, 'me', 5_000),
      lacksDisconnection(mine, 'me', 4_000),
      lacksDisconnection(mine, 'other', 5_000),
      lacksDisconnection(gone, 'other', 5_000),
    ],
    [true, false, false, false],
  );
});

const AUTO = { 'istio.io/autoRegistrationGroup': 'vms' };
const GONE = withDisconnected(withConnected({}, 'cp', 1_000), 2_000);
const CLEAN_UPS: readonly (readonly [string, Record<string, string>, boolean, number, string])[] = [
  ['is connected', { ...AUTO, ...withConnected({}, 'cp', 1_000) }, true, 1e9, 'keep'],
  ['has just gone', { ...AUTO, ...GONE }, true, 11_999, 'keep'],
  ['has been gone for long enough', { ...AUTO, ...GONE }, true, 12_000, 'remove'],
  ['has no times', AUTO, true, 1e9, 'keep'],
  ['has a time that nobody can read', { ...AUTO, 'istio.io/disconnectedAt': 'x' }, true, 12_000, 'remove'],
  ['is a user’s, whose health was checked', GONE, true, 12_000, 'forgetHealth'],
  ['is a user’s, whose health is not known', GONE, false, 12_000, 'keep'],
  ['is a user’s alone', {}, true, 12_000, 'keep'],
];
for (const [what, annotations, hasHealth, nowMs, expected] of CLEAN_UPS) {
  test(`an entry that ${what}: ${expected}`, () => {
    strictEqual(cleanup({ annotations, hasHealth }, nowMs, 10_000), expected);
  });
}

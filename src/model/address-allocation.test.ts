import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { type AddressClaims, allocateAddresses } from './address-allocation.ts';
import { DEFAULT_MESH_FLAGS } from './mesh-flags.ts';
import { kubernetesService, object, serviceEntry, serviceModelRig } from './service-model-rig.ts';

const OPTIONS = { derivesMissing: true, flags: DEFAULT_MESH_FLAGS };
const OPT_OUT = 'networking.istio.io/enable-autoallocate-ip';

function claim(key: string, createdAtMs = 0, recorded: readonly string[] = []): AddressClaims {
  return { createdAtMs, hosts: [{ key, recorded }], taken: [] };
}

function allocated(
  ...objects: Parameters<ReturnType<typeof serviceModelRig>['apply']>
): Record<string, number> {
  const rig = serviceModelRig();
  rig.apply(...objects);
  return Object.fromEntries(
    [...rig.model.services.all()].map(([key, service]) => [key, service.autoAllocatedAddresses.length]),
  );
}

test('a host without addresses gets one of each family, within the ranges of Istio', () => {
  const rig = serviceModelRig();
  rig.apply(serviceEntry('e', { hosts: ['db.com'], resolution: 'DNS' }));
  const [v4 = '', v6 = ''] = rig.model.services.get('default/db.com')?.autoAllocatedAddresses ?? [];
  ok(/^240\.240\.\d+\.\d+$/.test(v4) && /^2001:2::[0-9a-f]+$/.test(v6), `${v4} ${v6}`);
});

test('only hosts get addresses for which they can mean something', () => {
  const optedOut = { labels: { [OPT_OUT]: 'False' } };
  deepStrictEqual(
    allocated(
      serviceEntry('dns', { hosts: ['dns.com'], resolution: 'DNS' }),
      serviceEntry('static', { hosts: ['static.com'], resolution: 'STATIC' }),
      serviceEntry('none', { hosts: ['none.com'] }),
      serviceEntry('own', { hosts: ['own.com'], resolution: 'DNS', addresses: ['10.0.0.1'] }),
      serviceEntry('out', { hosts: ['out.com'], resolution: 'DNS' }, optedOut),
      serviceEntry('wildcard', { hosts: ['*.static.com'], resolution: 'STATIC' }),
      serviceEntry('dynamic', { hosts: ['*.dynamic.com'], resolution: 'DYNAMIC_DNS' }),
      kubernetesService('web'),
    ),
    {
      'default/*.dynamic.com': 2,
      'default/*.static.com': 0,
      'default/dns.com': 2,
      'default/none.com': 0,
      'default/out.com': 0,
      'default/own.com': 0,
      'default/static.com': 2,
      'default/web.default.svc.cluster.local': 0,
    },
  );
});

test('recorded addresses stay, and nobody else gets them', () => {
  const [usual = ''] = allocateAddresses([claim('ns/a')], OPTIONS).get('ns/a') ?? [];
  const both = allocateAddresses([claim('ns/a'), claim('ns/b', 9, [usual])], OPTIONS);
  deepStrictEqual(both.get('ns/b'), [usual]);
  ok(!both.get('ns/a')?.includes(usual));
});

test('addresses that users chose are not given away', () => {
  const [usual = ''] = allocateAddresses([claim('ns/a')], OPTIONS).get('ns/a') ?? [];
  const taken = { createdAtMs: 0, hosts: [], taken: [usual] };
  ok(
    !allocateAddresses([claim('ns/a'), taken], OPTIONS)
      .get('ns/a')
      ?.includes(usual),
  );
});

test('of two hosts that fall on one address the older keeps it, whatever the order', () => {
  const keys = Array.from({ length: 1500 }, (_, i) => `ns/host-${i}.com`);
  const old = keys.map((key) => claim(key, 1));
  const late = Array.from({ length: 1500 }, (_, i) => claim(`ns/late-${i}.com`, 2));
  const before = allocateAddresses(old, OPTIONS);
  const after = allocateAddresses([...late, ...old.toReversed()], OPTIONS);
  deepStrictEqual(
    keys.map((key) => after.get(key)),
    keys.map((key) => before.get(key)),
  );
  strictEqual(new Set([...after.values()].flat()).size, 6000);
});

test('with allocation left to a controller only recorded addresses count', () => {
  deepStrictEqual(
    [
      ...allocateAddresses([claim('ns/a'), claim('ns/b', 0, ['240.240.0.7'])], {
        ...OPTIONS,
        derivesMissing: false,
      }),
    ],
    [['ns/b', ['240.240.0.7']]],
  );
});

test('the flags say from where, and whether at all', () => {
  const taken = (prefixes: object) =>
    allocateAddresses([claim('ns/a')], { ...OPTIONS, flags: { ...OPTIONS.flags, ...prefixes } }).get('ns/a');
  const [v4 = '', v6 = ''] =
    taken({ ipAutoallocateV4Prefix: '10.5.4.0/23', ipAutoallocateV6Prefix: 'fd00::/64' }) ?? [];
  ok(/^10\.5\.[45]\.\d+$/.test(v4) && v6.startsWith('fd00::'), `${v4} ${v6}`);
  strictEqual(taken({ ipAutoallocateV4Prefix: 'nonsense' })?.length, 1);
});

test('a block that is too small gives what it has', () => {
  const claims = Array.from({ length: 300 }, (_, i) => claim(`ns/h${i}`));
  const flags = { ...OPTIONS.flags, ipAutoallocateV4Prefix: '10.5.4.0/24' };
  const given = [...allocateAddresses(claims, { ...OPTIONS, flags }).values()];
  strictEqual(given.filter((addresses) => addresses.length === 2).length, 254);
});

test('a status is read from the object', () => {
  const rig = serviceModelRig();
  const status = {
    addresses: [
      { host: 'a.com', value: '2001:2::5' },
      { host: 'a.com', value: '240.240.3.4' },
    ],
  };
  const entry = object('ServiceEntry', 'e', { hosts: ['a.com', 'b.com'], resolution: 'DNS' });
  rig.apply({ ...entry, status });
  deepStrictEqual(rig.model.services.get('default/a.com')?.autoAllocatedAddresses, [
    '240.240.3.4',
    '2001:2::5',
  ]);
  strictEqual(rig.model.services.get('default/b.com')?.autoAllocatedAddresses.length, 2);
});

test('a host that comes costs the hosts whose addresses change, not all', () => {
  const rig = serviceModelRig();
  const entries = Array.from({ length: 300 }, (_, i) =>
    serviceEntry(`e${i}`, { hosts: [`h${i}.com`], resolution: 'DNS' }),
  );
  rig.apply(...entries);
  const before = rig.engine.counters.recomputed;
  rig.apply(serviceEntry('late', { hosts: ['late.com'], resolution: 'DNS' }, { createdAtMs: 5 }));
  const cost = rig.engine.counters.recomputed - before;
  ok(cost < 12, `${cost} derivations`);
});

test('of two hosts with one address on record the older keeps it, and what a user chose is nobody else’s', () => {
  const shared = '240.240.7.7';
  const chosen: AddressClaims = { createdAtMs: 50, hosts: [], taken: ['240.240.8.8'] };
  const claims = [
    claim('ns/young', 9, [shared]),
    claim('ns/old', 3, [shared]),
    claim('ns/z', 3, ['240.240.6.6']),
    claim('ns/a', 3, ['240.240.6.6']),
    claim('ns/user', 1, ['240.240.8.8']),
    chosen,
  ];
  for (const order of [claims, claims.toReversed()]) {
    const given = allocateAddresses(order, OPTIONS);
    deepStrictEqual([given.get('ns/old'), given.get('ns/a')], [[shared], ['240.240.6.6']]);
    for (const loser of ['ns/young', 'ns/z', 'ns/user']) {
      strictEqual(given.get(loser)?.length, 2, loser);
      ok(!given.get(loser)?.some((address) => [shared, '240.240.6.6', '240.240.8.8'].includes(address)));
    }
  }
});

test('several objects may speak of one host: the older object’s record counts', () => {
  const claims = [claim('ns/a', 9, ['240.240.1.1']), claim('ns/a', 3, ['240.240.1.2'])];
  deepStrictEqual(allocateAddresses(claims, OPTIONS).get('ns/a'), ['240.240.1.2']);
});

/**
 * What name tables cost (law 4): nothing while nobody asks, one for all that see the same, and a change of one host the
 * encoding of that host, for those who may see it.
 */
import { deepStrictEqual, notStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { type MeshFixture, meshFixture } from '../support/mesh-fixture.ts';

const HOSTS = 400;

/** A mesh of many services and four proxies, two of a namespace that may not see the last host. */
function mesh(): MeshFixture {
  const fixture = meshFixture();
  for (let i = 0; i < HOSTS; i++) fixture.apply(entry(i, '10.0.0.1'));
  for (const namespace of ['default', 'shop'])
    for (const [i, name] of ['one', 'two'].entries())
      fixture.connect({
        name: `${namespace}-${name}`,
        namespace,
        ip: `10.9.0.${i + (namespace === 'shop' ? 3 : 1)}`,
        asks: { nameTable: true },
      });
  fixture.settle();
  return fixture;
}

function entry(i: number, address: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: host-${i}, namespace: default }
spec:
  hosts: [host-${i}.example.com]
  addresses: [${address}]
  exportTo: ['${i === HOSTS - 1 ? '.' : '*'}']
  ports: [{ number: 443, name: tls, protocol: TLS }]
  resolution: STATIC
  endpoints: [{ address: 10.1.0.1 }]
`;
}

function tableOf(fixture: MeshFixture, name: string) {
  return fixture.entries(name).nameTable.get('name-table')?.resource;
}

test('proxies that see the same share one table, and who asks for none has none', () => {
  const fixture = mesh();
  strictEqual(tableOf(fixture, 'default-one'), tableOf(fixture, 'default-two'));
  strictEqual(Object.keys(namesOf(fixture, 'default-one')).length, HOSTS);
  strictEqual(Object.keys(namesOf(fixture, 'shop-one')).length, HOSTS - 1);
  fixture.connect({ name: 'default-two', ip: '10.9.0.2' });
  strictEqual(tableOf(fixture, 'default-two'), undefined);
});

function namesOf(fixture: MeshFixture, name: string): object {
  return fixture.snapshot(name).nameTable['name-table']?.['table'] as object;
}

test('a changed host costs itself and reaches those who may see it', () => {
  const fixture = mesh();
  const before = ['default-one', 'shop-one'].map((name) => tableOf(fixture, name));
  const { recomputed } = fixture.mesh.engine.counters;
  fixture.apply(entry(HOSTS - 1, '10.0.0.2'));
  const after = ['default-one', 'shop-one'].map((name) => tableOf(fixture, name));
  notStrictEqual(after[0], before[0]);
  strictEqual(after[1], before[1]);
  deepStrictEqual(namesOf(fixture, 'default-one')['host-399.example.com' as never], {
    ips: ['10.0.0.2'],
    registry: 'External',
  });
  const cost = fixture.mesh.engine.counters.recomputed - recomputed;
  strictEqual(cost < 60, true, `${cost} derivations ran`);
});

test('a change of routes, policies or the health of other endpoints leaves names alone', () => {
  const fixture = mesh();
  const before = tableOf(fixture, 'default-one');
  fixture.apply(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: host-1 }
spec: { host: host-1.example.com, trafficPolicy: { tls: { mode: SIMPLE } } }
`);
  strictEqual(tableOf(fixture, 'default-one'), before);
});

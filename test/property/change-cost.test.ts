/**
 * What a change costs in a mesh of 2,000 services and 200 connected proxies, in counts that do not depend on the machine: a
 * changed VirtualService recomputes the route configurations that contain it, and reaches the proxies that see it.
 */
import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { before, test } from 'node:test';
import type { MeshObject } from '#api/mesh-object.ts';
import { decodeAll, type MeshFixture, meshFixture, SNAPSHOT_PARTS } from '../support/mesh-fixture.ts';

const SERVICES = 2_000;
const NAMESPACES = 4;
const PROXIES_PER_NAMESPACE = 50;
/** Every tenth service has this port besides 8080. */
const OTHER_PORT = 9090;

function serviceEntry(i: number): MeshObject {
  const ports = [{ number: 8080, name: 'http', protocol: 'HTTP' }];
  if (i % 10 === 0) ports.push({ number: OTHER_PORT, name: 'http-admin', protocol: 'HTTP' });
  const endpoints = Array.from({ length: 5 }, (_, e) => ({ address: `10.${i >> 8}.${i & 255}.${e + 1}` }));
  return one({
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: `svc-${i}`, namespace: `ns-${i % NAMESPACES}` },
    spec: { hosts: [host(i)], ports, location: 'MESH_INTERNAL', resolution: 'STATIC', endpoints },
  });
}

function virtualService(i: number, timeout: string, exportTo: readonly string[] = ['*']): MeshObject {
  const match = [{ port: 8080 }];
  return one({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: `vs-${i}`, namespace: `ns-${i % NAMESPACES}` },
    spec: {
      hosts: [host(i)],
      exportTo,
      http: [{ match, timeout, route: [{ destination: { host: host(i) } }] }],
    },
  });
}

function host(i: number): string {
  return `svc-${i}.example.com`;
}

function one(document: object): MeshObject {
  const [object] = decodeAll(document);
  if (object === undefined) throw new Error('nothing was decoded');
  return object;
}

/** What a change did: counters, and which proxies have something new in which part. */
interface Cost {
  readonly recomputed: number;
  readonly encoded: number;
  /** Namespace of a proxy -> how many of its proxies changed. */
  readonly proxies: Readonly<Record<string, number>>;
  /** Names of route tables that changed, and other parts, over all proxies. */
  readonly changed: readonly string[];
}

const fixture: MeshFixture = meshFixture();

function costOf(...objects: readonly MeshObject[]): Cost {
  const { engine, graph } = fixture.mesh;
  const counters = { recomputed: engine.counters.recomputed, encoded: graph.interner.encoded };
  const proxies: Record<string, number> = {};
  const changed = new Set<string>();
  const watch = engine.watch(graph.snapshots, (changes) => {
    for (const { key, old, now } of changes) {
      const namespace = fixture.mesh.proxies.get(key)?.namespace ?? '';
      proxies[namespace] = (proxies[namespace] ?? 0) + 1;
      if (old === undefined || now === undefined) continue;
      for (const part of SNAPSHOT_PARTS) {
        if (old[part] === now[part]) continue;
        for (const [name, { resource }] of now[part]) {
          if (old[part].get(name)?.resource.version !== resource.version) changed.add(`${part} ${name}`);
        }
      }
    }
  });
  fixture.set(...objects);
  fixture.settle();
  watch[Symbol.dispose]();
  return {
    recomputed: engine.counters.recomputed - counters.recomputed,
    encoded: graph.interner.encoded - counters.encoded,
    proxies,
    changed: [...changed].sort(),
  };
}

before(() => {
  fixture.set(...Array.from({ length: SERVICES }, (_, i) => serviceEntry(i)));
  fixture.set(virtualService(0, '1s'), virtualService(1, '1s', ['.']));
  for (let n = 0; n < NAMESPACES * PROXIES_PER_NAMESPACE; n++) {
    const ip = `10.100.${n >> 8}.${(n & 255) + 1}`;
    fixture.connect({ name: `app-${n}`, namespace: `ns-${n % NAMESPACES}`, ip });
  }
  fixture.settle();
});

test('a VirtualService that all see changes one table for all proxies, built once', () => {
  const cost = costOf(virtualService(0, '2s'));
  deepStrictEqual(cost.changed, ['routes 8080']);
  deepStrictEqual(cost.proxies, { 'ns-0': 50, 'ns-1': 50, 'ns-2': 50, 'ns-3': 50 });
  // The virtual host, its shard of the table, and the table: shared by all four namespaces. What was collected as garbage
  // meanwhile (the interner holds its results weakly) is built again beside them.
  ok(cost.encoded <= 4 + NAMESPACES, `${cost.encoded} resources and parts encoded`);
  // Per namespace its shard, its table and its listeners' facts; per proxy its snapshot.
  ok(cost.recomputed <= 200 + 10 * NAMESPACES, `${cost.recomputed} derivations`);
});

test('a VirtualService for one namespace reaches its proxies alone', () => {
  const cost = costOf(virtualService(1, '2s', ['.']));
  deepStrictEqual(cost.changed, ['routes 8080']);
  deepStrictEqual(cost.proxies, { 'ns-1': 50 });
  ok(cost.encoded <= 4 + NAMESPACES, `${cost.encoded} resources and parts encoded`);
  ok(cost.recomputed <= 50 + 10 * NAMESPACES, `${cost.recomputed} derivations`);
});

test('a VirtualService for one port of two leaves the table of the other alone', () => {
  const cost = costOf(virtualService(10, '1s'));
  deepStrictEqual(cost.changed, ['routes 8080']);
  strictEqual(cost.proxies['ns-2'], 50);
});

test('the same VirtualService again costs nothing', () => {
  const cost = costOf(virtualService(10, '1s'));
  deepStrictEqual(cost, { recomputed: 0, encoded: 0, proxies: {}, changed: [] });
});

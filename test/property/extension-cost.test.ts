/** What a change of an extension costs (law 4): its configuration alone, and nobody who does not have it. */
import { deepStrictEqual, notDeepStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import { type MeshFixture, meshFixture, type SnapshotPart } from '../support/mesh-fixture.ts';

const SERVICES = 50;
const PLAIN = Array.from({ length: 10 }, (_, i) => `plain-${i}`);

function plugin(selector: string, config: string): string {
  return `apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: plugin}
spec: {selector: {matchLabels: {app: ${selector}}}, url: "oci://r.example/a:1", pluginConfig: {tag: ${config}}}
`;
}

/** Fifty services, ten proxies without extensions and one that is selected. */
function bigMesh(): MeshFixture {
  const fixture = meshFixture();
  for (let i = 0; i < SERVICES; i++) {
    const ports = `[{name: http, port: ${8_000 + i}}, {name: tcp-db, port: ${3_000 + i}}]`;
    fixture.apply(
      `apiVersion: v1\nkind: Service\nmetadata: {name: s${i}}\nspec: {clusterIP: 10.1.0.${i}, ports: ${ports}}`,
    );
  }
  for (const [i, name] of PLAIN.entries())
    fixture.connect({ name, ip: `10.9.1.${i}`, labels: { app: 'plain' } });
  fixture.connect({ name: 'chosen', ip: '10.9.2.1', labels: { app: 'chosen' } });
  fixture.settle();
  return fixture;
}

function snapshots(fixture: MeshFixture): ReadonlyMap<string, ProxySnapshot> {
  return new Map([...PLAIN, 'chosen'].map((name) => [name, fixture.entries(name)]));
}

/** Versions of what the chosen proxy has. */
function versions(of: ReadonlyMap<string, ProxySnapshot>, part: SnapshotPart): readonly string[] {
  const entries = of.get('chosen')?.[part] ?? [];
  return Array.from(entries, ([name, { resource }]) => `${name} ${resource.version}`);
}

test('a new configuration encodes itself, and changes no listener', () => {
  const fixture = bigMesh();
  fixture.apply(plugin('chosen', 'one'));
  const before = snapshots(fixture);
  const { encoded } = fixture.mesh.graph.interner;
  fixture.apply(plugin('chosen', 'two'));
  const after = snapshots(fixture);
  strictEqual(fixture.mesh.graph.interner.encoded - encoded, 1);
  for (const name of PLAIN) strictEqual(after.get(name), before.get(name), name);
  for (const part of ['listeners', 'routes', 'clusters', 'endpoints'] as const)
    deepStrictEqual(versions(after, part), versions(before, part), part);
  notDeepStrictEqual(versions(after, 'extensions'), versions(before, 'extensions'));
});

test('an extension for one workload is built for that one, and touches no other', () => {
  const fixture = bigMesh();
  const before = snapshots(fixture);
  const { encoded } = fixture.mesh.graph.interner;
  const { recomputed } = fixture.mesh.engine.counters;
  fixture.apply(plugin('chosen', 'one'));
  const after = snapshots(fixture);
  for (const name of PLAIN) strictEqual(after.get(name), before.get(name), name);
  for (const part of ['routes', 'clusters', 'endpoints'] as const)
    deepStrictEqual(versions(after, part), versions(before, part), part);
  const listeners = after.get('chosen')?.listeners.size ?? 0;
  const spent = fixture.mesh.graph.interner.encoded - encoded;
  ok(spent <= listeners + 5, `${spent} encoded for ${listeners} listeners`);
  const computed = fixture.mesh.engine.counters.recomputed - recomputed;
  ok(computed <= 2 * SERVICES * 2 + 5 * PLAIN.length + 20, `${computed} recomputed`);
});

test('an extension that selects nobody costs nothing but a look', () => {
  const fixture = bigMesh();
  const before = snapshots(fixture);
  const { encoded } = fixture.mesh.graph.interner;
  fixture.apply(plugin('nobody', 'one'));
  for (const [name, snapshot] of snapshots(fixture)) strictEqual(snapshot, before.get(name), name);
  strictEqual(fixture.mesh.graph.interner.encoded - encoded, 0);
});

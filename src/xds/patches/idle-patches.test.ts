import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { Cause } from '#base/cause.ts';
import { emptyMap, mapOf } from '#collections/persistent-map.ts';
import { compileEnvoyFilter } from '#model/envoy-filter.ts';
import type { PatchSet } from '#scope/envoy-filter.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import { idlePatches } from './idle-patches.ts';
import { envoyFilter, resourceOf } from './patch-rig.ts';

const change = (applyTo: string, operation: string) => ({
  applyTo,
  patch: { operation, ...(operation === 'REMOVE' ? {} : { value: {} }) },
});

/** Two patches that meet both proxies, and one that leaves no trace when it works. */
const { patches } = compileEnvoyFilter(
  envoyFilter([change('CLUSTER', 'MERGE'), change('VIRTUAL_HOST', 'MERGE'), change('CLUSTER', 'REMOVE')]),
);
const sets = mapOf<PatchSet>(['p1', 'p2'].map((id) => [id, { patches }] as const));

function snapshot(...causes: readonly Cause[]): ProxySnapshot {
  const clusters = mapOf([['a', { resource: resourceOf('cluster', { name: 'a' }), causes }] as const]);
  const nothing = emptyMap<never>();
  return {
    clusters,
    endpoints: nothing,
    listeners: nothing,
    routes: nothing,
    nameTable: nothing,
    trustBundle: nothing,
    secrets: nothing,
    secretsOwner: '',
    extensions: nothing,
  };
}

function idle(...snapshots: readonly ProxySnapshot[]): readonly string[] {
  const byProxy = mapOf(snapshots.map((one, i) => [`p${i + 1}`, one] as const));
  return idlePatches(sets, byProxy).map(({ code, path, args }) => `${code} ${path} ${args['proxies']}`);
}

const [first, second] = patches.map(({ cause }) => cause);

test('patches without effect at any proxy are told, with the number of proxies', () => {
  deepStrictEqual(idle(snapshot(), snapshot()), [
    'LTN2609 spec.configPatches[0] 2',
    'LTN2609 spec.configPatches[1] 2',
  ]);
});

test('an effect at one proxy is enough', () => {
  deepStrictEqual(idle(snapshot(), snapshot(first!)), ['LTN2609 spec.configPatches[1] 2']);
  deepStrictEqual(idle(snapshot(first!), snapshot(second!)), []);
});

test('nothing is said where no proxy is connected', () => {
  deepStrictEqual(idle(), []);
});

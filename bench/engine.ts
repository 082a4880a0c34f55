/**
 * Micro-benchmark of the incremental engine: many scopes that each derive one value per service, with five fetches per
 * value, as scope/ and xds/ do. Prints heap, time to build, and time of single changes. Needs --expose-gc for the heap.
 *   node --expose-gc bench/engine.ts [groups] [items]
 */
import { createEngine } from '#collections/engine.ts';

interface Item {
  readonly name: string;
  readonly bucket: string;
  readonly version: number;
}

const groups = Number(process.argv[2] ?? 40);
const items = Number(process.argv[3] ?? 10_000);
const BUCKETS = 100;
const SINGLE_CHANGES = 20;

function heapMiB(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

function itemOf(i: number, version = 0): Item {
  return { name: `service-${i}`, bucket: `bucket-${i % BUCKETS}`, version };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function buildGraph() {
  const engine = createEngine();
  const services = engine.source<Item>('services');
  const endpoints = engine.source<Item>('endpoints');
  const policies = engine.source<Item>('policies');
  const mesh = engine.source<Item>('mesh');
  const byBucket = engine.index('policies.byBucket', policies, (policy) => [policy.bucket]);
  for (let group = 0; group < groups; group++) {
    engine.derive(`scope-${group}`, services, (fetch, service, key) => {
      const endpoint = fetch.get(endpoints, key);
      const local = fetch.bucket(byBucket, service.bucket);
      const config = fetch.get(mesh, 'mesh');
      const root = fetch.get(mesh, `group-${group}`);
      const missing = fetch.get(policies, `${key}/none`);
      return {
        version: service.version + (endpoint?.version ?? 0) + (config?.version ?? 0),
        policies: local.size,
        root: root?.version,
        missing: missing?.version,
      };
    });
  }
  return { engine, services, endpoints, policies, mesh };
}

const emptyMiB = heapMiB();
const { engine, services, endpoints, policies, mesh } = buildGraph();
for (let i = 0; i < items; i++) {
  services.set(`namespace-${i % 50}/service-${i}`, itemOf(i));
  endpoints.set(`namespace-${i % 50}/service-${i}`, itemOf(i));
}
for (let i = 0; i < 1000; i++) policies.set(`policy-${i}`, itemOf(i));
mesh.set('mesh', itemOf(0));
const sourcesMiB = heapMiB();

const started = performance.now();
let longestSliceMs = 0;
for (let isIdle = false; !isIdle; ) {
  const sliceStarted = performance.now();
  isIdle = engine.step(() => performance.now() - sliceStarted > 10);
  longestSliceMs = Math.max(longestSliceMs, performance.now() - sliceStarted);
}
const builtMs = performance.now() - started;
const builtMiB = heapMiB();

function time(change: (round: number) => void): { readonly ms: number; readonly recomputed: number } {
  const times: number[] = [];
  const before = engine.counters.recomputed;
  for (let round = 1; round <= SINGLE_CHANGES; round++) {
    const changeStarted = performance.now();
    change(round);
    engine.settle();
    times.push(performance.now() - changeStarted);
  }
  return { ms: median(times), recomputed: (engine.counters.recomputed - before) / SINGLE_CHANGES };
}

function print(what: string, { ms, recomputed }: { readonly ms: number; readonly recomputed: number }): void {
  console.log(`${what.padEnd(34)} ${ms.toFixed(2).padStart(9)} ms   ${recomputed} recomputed`);
}

console.log(`${groups} groups x ${items} items, 5 fetches each: ${engine.counters.recomputed} computed`);
console.log(`build ${builtMs.toFixed(0)} ms, longest 10 ms slice ${longestSliceMs.toFixed(1)} ms`);
console.log(
  `heap ${(builtMiB - emptyMiB).toFixed(0)} MiB, of which sources ${(sourcesMiB - emptyMiB).toFixed(0)} MiB`,
);
console.log(`per derived value ${(((builtMiB - sourcesMiB) * 2 ** 20) / (groups * items)).toFixed(0)} bytes`);
print(
  'one service',
  time((round) => services.set('namespace-7/service-7', itemOf(7, round))),
);
print(
  'one endpoint record',
  time((round) => endpoints.set('namespace-7/service-7', itemOf(7, round))),
);
print(
  'one policy (a bucket of services)',
  time((round) => policies.set('policy-new', itemOf(7, round))),
);
print(
  'no-op set',
  time(() => mesh.set('mesh', itemOf(0))),
);
print(
  'service added and removed',
  time((round) => (round % 2 ? services.set('a/b', itemOf(1)) : services.delete('a/b'))),
);
const meshChange = time((round) => round === 1 && mesh.set('mesh', itemOf(0, 1)));
console.log(`mesh config (all values): ${meshChange.recomputed * SINGLE_CHANGES} recomputed`);

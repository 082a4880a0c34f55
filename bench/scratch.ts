/**
 * Everything from scratch: the configuration of one sidecar in a mesh of S services with E endpoints each, from decoded objects
 * to encoded resources, on one core. What a restart of the control plane costs before it can answer, without reading YAML.
 * Figures go to bench/history.jsonl; more CPU than the limit fails.
 *   node bench/scratch.ts [--services N] [--endpoints N] [--no-history]
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { defaultMeshConfig } from '#api/mesh-config.ts';
import { createMesh } from '../src/main/mesh.ts';
import { proxyOf, SNAPSHOT_PARTS } from '../test/support/mesh-fixture.ts';
import { type MeshSize, meshObjects, namespaceOf } from './mesh-shape.ts';

/** CPU that generating may take. Source: the target for 2,000 services of 5 endpoints on one core. */
const LIMIT_CPU_MS = 2_000;
/** The first run also compiles the program; a control plane that restarts does so too, so it is shown beside. */
const RUNS = 4;

const { values } = parseArgs({
  options: {
    services: { type: 'string', default: '2000' },
    endpoints: { type: 'string', default: '5' },
    'no-history': { type: 'boolean', default: false },
  },
});
const size: MeshSize = { services: Number(values.services), endpoints: Number(values.endpoints), proxies: 1 };
const objects = meshObjects(size);

function generate(): { readonly cpuMs: number; readonly resources: number; readonly bytes: number } {
  const mesh = createMesh({
    meshConfig: defaultMeshConfig(),
    clusterId: 'Kubernetes',
    clusterDomain: 'cluster.local',
    onError: (collection, key, cause) => {
      throw new Error(`${collection} failed for ${key}`, { cause });
    },
  });
  const proxy = proxyOf({ name: 'client', namespace: namespaceOf(size, 0) });
  const before = process.cpuUsage();
  mesh.objects.apply({ set: objects, remove: [] });
  mesh.proxies.set(proxy.id, proxy);
  mesh.engine.settle();
  const { user, system } = process.cpuUsage(before);
  const snapshot = mesh.graph.snapshots.get(proxy.id);
  if (snapshot === undefined) throw new Error('the proxy got nothing');
  const entries = SNAPSHOT_PARTS.flatMap((part) => [...snapshot[part].values()]);
  const bytes = entries.reduce((sum, { resource }) => sum + resource.bytes.length, 0);
  return { cpuMs: (user + system) / 1000, resources: entries.length, bytes };
}

const runs = Array.from({ length: RUNS }, generate);
const [first] = runs;
const warm = runs.slice(1).sort((a, b) => a.cpuMs - b.cpuMs)[Math.floor((RUNS - 1) / 2)];
if (first === undefined || warm === undefined) throw new Error('no runs');
const figures = {
  date: new Date().toISOString().slice(0, 10),
  commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
  node: process.version,
  case: `scratch ${size.services}x${size.endpoints}`,
  n: 1,
  firstCpuMs: Math.round(first.cpuMs),
  cpuMs: Math.round(warm.cpuMs),
  resources: warm.resources,
  bytes: warm.bytes,
};
console.log(JSON.stringify(figures));
if (!values['no-history'])
  appendFileSync(join(import.meta.dirname, 'history.jsonl'), `${JSON.stringify(figures)}\n`);
if (warm.cpuMs > LIMIT_CPU_MS) {
  console.error(`${warm.cpuMs} ms of CPU, ${LIMIT_CPU_MS} at most`);
  process.exitCode = 1;
}

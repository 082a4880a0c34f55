/** The samples' YAML: it parses, refers to what exists, and copies of one object are the same. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { loadAll } from 'js-yaml';

interface Doc {
  readonly file: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Fields;
}

type Fields = Readonly<Record<string, unknown>>;

const root = import.meta.dirname;
const files = globSync('**/*.yaml', { cwd: root }).sort();
const docs: readonly Doc[] = files.flatMap((file) =>
  loadAll(readFileSync(join(root, file), 'utf8')).map((doc) => ({ ...(doc as Doc), file })),
);

/** All values of a field, however deep. */
function findAll(value: unknown, field: string): readonly unknown[] {
  if (Array.isArray(value)) return value.flatMap((item) => findAll(item, field));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => [
    ...(name === field ? [inner] : []),
    ...findAll(inner, field),
  ]);
}

function named(kind: string): ReadonlySet<string> {
  return new Set(docs.filter((doc) => doc.kind === kind).map((doc) => doc.metadata.name));
}

test('every document is an object with a name', () => {
  assert.ok(docs.length >= 60, `${docs.length} documents`);
  for (const { file, kind, metadata, spec } of docs) {
    assert.deepEqual([typeof kind, typeof metadata?.name, typeof spec], ['string', 'string', 'object'], file);
  }
});

test('routes name hosts and subsets that the same sample defines', () => {
  const hosts = new Set([...named('Service'), 'www.googleapis.com']);
  const rules = docs.filter((doc) => doc.kind === 'DestinationRule');
  const subsets = rules.flatMap(({ spec }) =>
    ((spec['subsets'] ?? []) as { name: string }[]).map(({ name }) => `${spec['host']}/${name}`),
  );
  for (const doc of docs.filter((candidate) => candidate.kind === 'VirtualService')) {
    for (const destination of findAll(doc.spec, 'destination') as Fields[]) {
      const { host, subset } = destination as { host: string; subset?: string };
      assert.ok(hosts.has(host), `${doc.file}: ${host}`);
      if (subset !== undefined)
        assert.ok(subsets.includes(`${host}/${subset}`), `${doc.file}: ${host}/${subset}`);
    }
    for (const gateway of findAll(doc.spec, 'gateways').flat()) {
      assert.ok(named('Gateway').has(String(gateway)), `${doc.file}: ${gateway}`);
    }
  }
});

test('the weights of a route add up to 100', () => {
  for (const doc of docs.filter((candidate) => candidate.kind === 'VirtualService')) {
    for (const route of findAll(doc.spec, 'route') as Fields[][]) {
      if (route.length === 1) continue;
      const weights = route.map((part) => Number(part['weight']));
      assert.equal(
        weights.reduce((sum, weight) => sum + weight, 0),
        100,
        doc.file,
      );
    }
  }
});

test('every program that a workload runs is there, and its Service selects it', () => {
  const workloads = docs.filter((doc) => doc.kind === 'LocalWorkload');
  const services = docs.filter((doc) => doc.kind === 'Service');
  assert.equal(new Set(workloads.map((doc) => doc.metadata.name)).size, 12);
  for (const { file, spec } of workloads) {
    const { command = [], labels } = spec as { command?: string[]; labels: Record<string, string> };
    const [program, script] = command;
    if (program === 'node' && script !== undefined) {
      assert.ok(existsSync(join(root, dirname(file), script)), `${file}: ${script}`);
    }
    const selected = services.some((service) =>
      Object.entries(service.spec['selector'] as Fields).every(([name, value]) => labels[name] === value),
    );
    assert.ok(selected, file);
  }
});

test('files that samples share by copy are the same', () => {
  for (const shared of ['bookinfo-gateway.yaml', 'ingressgateway.yaml']) {
    const copies = files.filter((file) => basename(file) === shared);
    assert.ok(copies.length > 1, shared);
    assert.equal(new Set(copies.map((file) => readFileSync(join(root, file), 'utf8'))).size, 1, shared);
  }
});

/** One rig for all sources: the same sequence of texts, put and deleted, gives the same objects and findings. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { type KindInfo, KINDS, kindInfo } from '#api/kind-registry.ts';
import { ObjectCollections } from '#api/object-collections.ts';
import { parseDocuments } from '#api/yaml-documents.ts';
import { systemClock } from '#base/clock.ts';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import { seededRng } from '#base/rng.ts';
import { createEngine } from '#collections/engine.ts';
import type { KubeObject } from '#kube/api-resource.ts';
import { ApiServerFixture } from '#kube/api-server-fixture.ts';
import { KubeClient } from '#kube/kube-client.ts';
import { FilesSource } from './files.ts';
import { KubeSource } from './kube.ts';
import { MemorySource } from './memory.ts';
import type { ObjectSink, SourceBatch } from './object-sink.ts';

const LIMIT_MS = 5000;

/** One event: a text under a name, or a name that goes. */
type Step = { readonly put: string; readonly text: string } | { readonly delete: string };

/** What can be seen of a source: objects by collection and key, and findings in words. */
interface Seen {
  readonly objects: readonly string[];
  readonly findings: readonly string[];
}

/** A sink with an engine behind it, which remembers findings and wakes whoever waits. */
class RecordingSink implements ObjectSink {
  readonly #engine = createEngine();
  readonly #collections = new ObjectCollections(this.#engine);
  #findings: readonly string[] = [];
  #wake: () => void = () => {};

  apply(batch: SourceBatch): void {
    this.#collections.apply(batch);
    this.#engine.settle();
    this.#findings = batch.diagnostics.map(printDiagnostic);
    this.#wake();
  }

  seen(): Seen {
    const objects = [...this.#collections.all()].map((o) => `${o.kind} ${o.namespace}/${o.name} ${o.hash}`);
    return { objects, findings: this.#findings };
  }

  /** Waits until `expected` is seen, or for the limit. */
  async waitFor(expected: Seen): Promise<void> {
    const endMs = performance.now() + LIMIT_MS;
    while (JSON.stringify(this.seen()) !== JSON.stringify(expected) && performance.now() < endMs) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, endMs - performance.now());
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

function service(name: string, port: number): string {
  return `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {ports: [{port: ${port}}]}\n`;
}

const SEQUENCES: readonly { readonly name: string; readonly steps: readonly Step[] }[] = [
  {
    name: 'objects come, change and go',
    steps: [
      { put: 'a.yaml', text: `${service('a', 1)}---\n${service('b', 1)}` },
      { put: 'a.yaml', text: `${service('a', 2)}---\n${service('b', 1)}` },
      { put: 'a.yaml', text: service('a', 2) },
      { put: 'deep/er/c.yml', text: service('c', 1) },
      { put: 'd.json', text: '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"prod"}}' },
      { delete: 'a.yaml' },
      { delete: 'deep/er/c.yml' },
    ],
  },
  {
    name: 'a text that cannot be read keeps what was good',
    steps: [
      { put: 'a.yaml', text: `${service('a', 1)}---\n${service('b', 1)}` },
      { put: 'a.yaml', text: '' },
      { put: 'a.yaml', text: `${service('a', 2)}---\nkind: [\n` },
      { put: 'a.yaml', text: `${service('a', 99999)}---\n${service('b', 3)}` },
      { put: 'a.yaml', text: `${service('a', 3)}---\n${service('b', 3)}` },
    ],
  },
  {
    name: 'the first of two files that define an object counts, and the second takes over',
    steps: [
      { put: 'b.yaml', text: service('x', 2) },
      { put: 'a.yaml', text: service('x', 1) },
      { put: 'c.yaml', text: `${service('x', 3)}---\n${service('x', 4)}` },
      { delete: 'a.yaml' },
      { delete: 'b.yaml' },
      { put: 'c.yaml', text: service('y', 3) },
    ],
  },
  {
    name: 'lists, kinds of a cluster and comments',
    steps: [
      {
        put: 'list.yaml',
        text: `apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: l}, spec: {ports: [{prt: 1}]}}\n- {apiVersion: v1, kind: Service, metadata: {name: m}, spec: {ports: [{port: 1}]}}\n`,
      },
      { put: 'deploy.yaml', text: 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n' },
      { put: 'list.yaml', text: '# nothing here\n' },
    ],
  },
  {
    name: 'kinds of Istio, with labels and annotations',
    steps: [
      {
        put: 'vs.yaml',
        text: 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, labels: {a: b}, annotations: {x: y}}\nspec: {hosts: [h], http: [{route: [{destination: {host: h}}]}]}\n',
      },
      {
        put: 'ns.yaml',
        text: 'apiVersion: v1\nkind: Namespace\nmetadata: {name: n, labels: {istio-injection: enabled}}\n',
      },
      {
        put: 'pa.yaml',
        text: 'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p, namespace: n}\nspec: {mtls: {mode: STRICT}}\n',
      },
      {
        put: 'vs.yaml',
        text: 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec: {hosts: [h], htp: []}\n',
      },
      { delete: 'vs.yaml' },
      { delete: 'ns.yaml' },
    ],
  },
];

/** What a user does who applies files to a cluster: each object once, the first file that has it wins. */
class KubeCopy {
  readonly #server: ApiServerFixture;
  readonly #files = new Map<string, Map<string, KubeObject>>();
  #applied = new Map<string, string>();

  constructor(server: ApiServerFixture) {
    this.#server = server;
    for (const { group, plural, versions } of KINDS) {
      if (group.endsWith('istio.io')) server.define({ group, plural, versions });
    }
  }

  put(file: string, text: string): void {
    const documents = [...parseDocuments(text, file)];
    const objects = new Map<string, KubeObject>();
    for (const { value } of documents) {
      const { items } = (value ?? {}) as { readonly items?: readonly KubeObject[] };
      for (const object of items ?? [value as KubeObject]) {
        if (object?.kind === undefined || kindInfo(String(object.kind)) === undefined) continue;
        const namespaced = kindInfo(String(object.kind))?.namespaced === true;
        const metadata = { ...(namespaced && { namespace: 'default' }), ...object.metadata };
        const key = `${object.kind}/${metadata.namespace ?? ''}/${metadata.name}`;
        if (!objects.has(key)) objects.set(key, { ...object, metadata });
      }
    }
    // What cannot be read is not applied, and nobody deletes what was applied before.
    const isBroken = text === '' || documents.some(({ diagnostic }) => diagnostic !== undefined);
    const kept = isBroken ? (this.#files.get(file) ?? new Map<string, KubeObject>()) : new Map();
    this.#files.set(file, new Map([...kept, ...objects]));
    this.#apply();
  }

  delete(file: string): void {
    this.#files.delete(file);
    this.#apply();
  }

  #apply(): void {
    const wanted = new Map<string, KubeObject>();
    for (const file of [...this.#files.keys()].sort().reverse()) {
      for (const [key, object] of this.#files.get(file) ?? []) wanted.set(key, object);
    }
    for (const [key, object] of wanted) {
      if (this.#applied.get(key) !== JSON.stringify(object)) {
        this.#server.put(kindInfo(String(object.kind)) as KindInfo, object);
      }
    }
    for (const key of this.#applied.keys()) {
      const slash = key.indexOf('/');
      if (!wanted.has(key))
        this.#server.remove(kindInfo(key.slice(0, slash)) as KindInfo, key.slice(slash + 1));
    }
    this.#applied = new Map([...wanted].map(([key, object]) => [key, JSON.stringify(object)]));
  }
}

for (const { name, steps } of SEQUENCES) {
  test(`a cluster agrees with memory: ${name}`, async () => {
    await using server = new ApiServerFixture();
    await server.start();
    const clock = systemClock();
    using client = new KubeClient(server.target, { clock, env: {}, userAgent: 'test', perSecond: 1000 });
    const copy = new KubeCopy(server);
    const memorySink = new RecordingSink();
    const kubeSink = new RecordingSink();
    const memory = new MemorySource(memorySink, { defaultNamespace: 'default' });
    using source = new KubeSource({
      client,
      sink: kubeSink,
      clock,
      rng: seededRng(1),
      revision: 'default',
      discoverySelectors: [],
      backoff: { initialMs: 1, maxMs: 20 },
    });
    source.start();
    await source.synced;
    for (const step of steps) {
      if ('put' in step) {
        memory.put(step.put, step.text);
        copy.put(step.put, step.text);
      } else {
        memory.delete(step.delete);
        copy.delete(step.delete);
      }
      await server.until(() => isDeepStrictEqual(kubeSink.seen().objects, memorySink.seen().objects));
    }
  });

  test(`files and memory agree: ${name}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lateen-rig-'));
    const memorySink = new RecordingSink();
    const filesSink = new RecordingSink();
    const memory = new MemorySource(memorySink, { defaultNamespace: 'default' });
    using files = new FilesSource({
      folder,
      sink: filesSink,
      clock: systemClock(),
      defaultNamespace: 'default',
      rescanMs: LIMIT_MS * 10,
    });
    await files.start();
    for (const step of steps) {
      const path = join(folder, 'put' in step ? step.put : step.delete);
      if ('put' in step) {
        memory.put(path, step.text);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, step.text);
      } else {
        memory.delete(path);
        rmSync(path);
      }
      await filesSink.waitFor(memorySink.seen());
      deepStrictEqual(filesSink.seen(), memorySink.seen());
    }
    rmSync(folder, { recursive: true });
  });
}

test('a folder that is there at the start gives the same objects as its texts one by one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-rig-'));
  const memorySink = new RecordingSink();
  const memory = new MemorySource(memorySink, { defaultNamespace: 'default' });
  for (let i = 0; i < 200; i++) {
    const path = join(folder, `d${i % 7}`, `f${i}.yaml`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, service(`s${i}`, i + 1));
    memory.put(path, service(`s${i}`, i + 1));
  }
  const sink = new RecordingSink();
  using files = new FilesSource({ folder, sink, clock: systemClock(), defaultNamespace: 'default' });
  await files.start();
  deepStrictEqual(sink.seen(), memorySink.seen());
  strictEqual(sink.seen().objects.length, 200);
  rmSync(folder, { recursive: true });
});

test('a folder renamed into place brings its files, and renamed away takes them along', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-rig-'));
  const outside = mkdtempSync(join(tmpdir(), 'lateen-rig-'));
  mkdirSync(join(outside, 'x', 'y'), { recursive: true });
  writeFileSync(join(outside, 'x', 'y', 'a.yaml'), service('a', 1));
  const sink = new RecordingSink();
  using files = new FilesSource({
    folder,
    sink,
    clock: systemClock(),
    defaultNamespace: 'default',
    rescanMs: LIMIT_MS * 10,
  });
  await files.start();
  renameSync(join(outside, 'x'), join(folder, 'x'));
  const expected = new RecordingSink();
  new MemorySource(expected, { defaultNamespace: 'default' }).put('a.yaml', service('a', 1));
  await sink.waitFor(expected.seen());
  deepStrictEqual(sink.seen(), expected.seen());
  renameSync(join(folder, 'x'), join(outside, 'x'));
  await sink.waitFor({ objects: [], findings: [] });
  deepStrictEqual(sink.seen(), { objects: [], findings: [] });
  rmSync(folder, { recursive: true });
  rmSync(outside, { recursive: true });
});
